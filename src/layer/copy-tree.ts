/** A part of a file tree written as real files with their owners and modes: the first content of a cache mount. */
import { chmodSync, closeSync, lchownSync, mkdirSync, openSync, symlinkSync, writeSync } from 'node:fs';
import { toByteString, toFsPath } from '../system/byte-path.ts';
import { makeNode } from '../system/libc.ts';
import type { FileTree } from './file-tree.ts';
import { readSmallFile } from './read-file.ts';
import { resolvePath } from './resolve-path.ts';

/** Copies what is at `source` in the tree (a directory's contents) into `directory`, making it. Files up to 16 MiB. */
export function copyTree(tree: FileTree, source: string, directory: string): void {
  const top = resolvePath(tree, toByteString(source), { followLast: true });
  mkdirSync(toFsPath(directory), { recursive: false });
  if (tree.lstat(top)?.type !== 'directory') return;
  copyChildren(tree, top, directory);
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
        writeSync(fd, readSmallFile(tree, child));
      } finally {
        closeSync(fd);
      }
    } else continue;
    lchownSync(toFsPath(host), entry.uid, entry.gid);
    if (entry.type !== 'symlink') chmodSync(toFsPath(host), entry.mode);
  }
}
