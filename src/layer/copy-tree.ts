/** A part of a file tree written as real files with their owners and modes: the first content of a cache mount. */
import {
  chmodSync,
  closeSync,
  lchownSync,
  mkdirSync,
  openSync,
  readSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { toByteString, toFsPath } from '../system/byte-path.ts';
import { makeNode } from '../system/file-calls.ts';
import type { FileContent, FileTree } from './file-tree.ts';
import { resolvePath } from './resolve-path.ts';

const CHUNK = 1 << 20;

/** Copies a directory of the tree as `directory`, which must not be there yet: its own owner and mode too. */
export function copyTree(tree: FileTree, source: string, directory: string): void {
  const top = resolvePath(tree, toByteString(source), { followLast: true });
  mkdirSync(toFsPath(directory));
  const entry = tree.lstat(top);
  if (entry?.type !== 'directory') return;
  copyChildren(tree, top, directory);
  lchownSync(toFsPath(directory), entry.uid, entry.gid);
  chmodSync(toFsPath(directory), entry.mode);
}

function copyContent(content: FileContent, fd: number): void {
  if (content.kind === 'bytes') {
    writeFileSync(fd, content.bytes);
    return;
  }
  const source = openSync(toFsPath(content.path), 'r');
  const buffer = Buffer.allocUnsafe(CHUNK);
  let position = content.kind === 'range' ? content.offset : 0;
  let left = content.kind === 'range' ? content.size : Number.POSITIVE_INFINITY;
  try {
    while (left > 0) {
      const count = readSync(source, buffer, 0, Math.min(CHUNK, left), position);
      if (count === 0) break;
      writeFileSync(fd, buffer.subarray(0, count));
      position += count;
      left -= count;
    }
  } finally {
    closeSync(source);
  }
}

function copyChildren(tree: FileTree, path: string, directory: string): void {
  for (const name of tree.list(path)) {
    const child = path === '' ? name : `${path}/${name}`;
    const host = `${directory}/${name}`;
    const entry = tree.lstat(child);
    if (entry === undefined) continue;
    if (entry.type === 'directory') {
      mkdirSync(toFsPath(host));
      copyChildren(tree, child, host);
    } else if (entry.type === 'symlink') symlinkSync(toFsPath(entry.linkTarget ?? ''), toFsPath(host));
    else if (entry.type === 'fifo') makeNode(host, 0o010600, 0, 0);
    else if (entry.type === 'file') {
      const fd = openSync(toFsPath(host), 'wx', 0o600);
      try {
        copyContent(tree.content(child), fd);
      } finally {
        closeSync(fd);
      }
    } else continue;
    lchownSync(toFsPath(host), entry.uid, entry.gid);
    if (entry.type !== 'symlink') chmodSync(toFsPath(host), entry.mode);
  }
}
