/** A root filesystem put out whole: as one tar stream, or as plain files that belong to whoever runs kiln. */
import {
  chmodSync,
  closeSync,
  createReadStream,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { Readable } from 'node:stream';
import { toFsPath } from '../system/byte-path.ts';
import { makeNode } from '../system/libc.ts';
import type { Entry } from './entry.ts';
import type { FileTree } from './file-tree.ts';
import { lstatPath } from './host-entry.ts';
import { encodeHeader, padding } from './tar-header.ts';

/** Every path of a tree, parents first, with hard links after their first name. */
function* walk(tree: FileTree): Generator<Entry> {
  const links = new Map<string, string>();
  const stack: string[] = [...tree.list('')].reverse();
  while (stack.length > 0) {
    const path = stack.pop() ?? '';
    const entry = tree.lstat(path);
    if (entry === undefined) continue;
    const identity = tree.linkIdentity?.(path);
    const first = identity === undefined ? undefined : links.get(identity);
    if (first !== undefined) yield { ...entry, type: 'hardlink', linkTarget: first, size: 0 };
    else {
      if (identity !== undefined) links.set(identity, path);
      yield entry;
    }
    for (const name of [...tree.list(path)].reverse()) stack.push(`${path}/${name}`);
  }
}

const CHUNK = 1 << 20;

/** The tree as a tar; owners, modes, devices and attributes as in the image. */
export function flattenToTar(tree: FileTree): Readable {
  return Readable.from(tarChunks(tree), { highWaterMark: 16 });
}

async function* tarChunks(tree: FileTree): AsyncGenerator<Buffer> {
  for (const entry of walk(tree)) {
    yield encodeHeader(entry);
    if (entry.type !== 'file' || entry.size === 0) continue;
    const content = tree.content(entry.path);
    if (content.kind === 'bytes') yield content.bytes;
    else {
      const start = content.kind === 'range' ? content.offset : 0;
      const range = { start, end: start + entry.size - 1, highWaterMark: CHUNK };
      for await (const chunk of createReadStream(toFsPath(content.path), range)) yield chunk as Buffer;
    }
    yield Buffer.alloc(padding(entry.size));
  }
  yield Buffer.alloc(1024);
}

/** Writes the tree's files below `directory`, which exists. Owners become the caller's; devices are left out. */
export async function flattenToDirectory(
  tree: FileTree,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const directories: Entry[] = [];
  for (const entry of walk(tree)) {
    signal.throwIfAborted();
    writeEntry(tree, entry, directory);
    if (entry.type === 'directory') directories.push(entry);
  }
  // Modes and times last: a directory without write permission could not be filled.
  for (const { path, mode, mtime } of directories.reverse()) {
    chmodSync(toFsPath(`${directory}/${path}`), mode);
    utimesSync(toFsPath(`${directory}/${path}`), mtime, mtime);
  }
}

function writeEntry(tree: FileTree, entry: Entry, directory: string): void {
  const host = `${directory}/${entry.path}`;
  const existing = lstatPath(host);
  if (entry.type === 'directory') {
    if (existing?.isDirectory() === true) chmodSync(toFsPath(host), 0o700 | entry.mode);
    else {
      if (existing !== undefined) rmSync(toFsPath(host), { recursive: true });
      mkdirSync(toFsPath(host), 0o700);
    }
    return;
  }
  if (existing !== undefined) rmSync(toFsPath(host), { recursive: true });
  if (entry.type === 'symlink') {
    symlinkSync(toFsPath(entry.linkTarget ?? ''), toFsPath(host));
    lutimesSync(toFsPath(host), entry.mtime, entry.mtime);
  } else if (entry.type === 'hardlink')
    linkSync(toFsPath(`${directory}/${entry.linkTarget}`), toFsPath(host));
  else if (entry.type === 'fifo') makeNode(host, 0o010000 | entry.mode, 0, 0);
  else if (entry.type === 'file') writeContent(tree, entry, host);
}

function writeContent(tree: FileTree, entry: Entry, host: string): void {
  const out = openSync(toFsPath(host), 'wx', 0o600);
  try {
    const content = tree.content(entry.path);
    if (content.kind === 'bytes') writeSync(out, content.bytes);
    else
      copyRange(out, content.path, {
        offset: content.kind === 'range' ? content.offset : 0,
        size: entry.size,
      });
  } finally {
    closeSync(out);
  }
  chmodSync(toFsPath(host), entry.mode);
  utimesSync(toFsPath(host), entry.mtime, entry.mtime);
}

function copyRange(out: number, path: string, { offset, size }: { offset: number; size: number }): void {
  const fd = openSync(toFsPath(path), 'r');
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, size));
  try {
    for (let done = 0; done < size; ) {
      const count = readSync(fd, buffer, 0, Math.min(buffer.length, size - done), offset + done);
      if (count === 0) break;
      for (let at = 0; at < count; ) at += writeSync(out, buffer, at, count - at);
      done += count;
    }
  } finally {
    closeSync(fd);
  }
}
