/** A root filesystem put out whole: as one tar stream, or as plain files that belong to whoever runs kiln. */
import {
  chmodSync,
  closeSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BugError } from '../errors.ts';
import { toByteString, toFsPath } from '../system/byte-path.ts';
import { makeNode } from '../system/file-calls.ts';
import { monotonicMs } from '../system/monotonic.ts';
import type { Entry } from './entry.ts';
import type { FileContent, FileTree } from './file-tree.ts';
import { lstatPath } from './host-entry.ts';
import { SparseFile } from './sparse-file.ts';
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
    if (first !== undefined) {
      const { xattrs: _, ...attributes } = entry;
      yield { ...attributes, type: 'hardlink', linkTarget: first, size: 0 };
    } else {
      if (identity !== undefined) links.set(identity, path);
      yield entry;
    }
    if (entry.type !== 'directory') continue;
    for (const name of [...tree.list(path)].reverse()) stack.push(`${path}/${name}`);
  }
}

const CHUNK = 1 << 20;

/** The tree as a tar; owners, modes, devices and attributes as in the image. */
export function flattenToTar(tree: FileTree): Readable {
  return Readable.from(inBlocks(tarPieces(tree)), { objectMode: false, highWaterMark: 4 * CHUNK });
}

/** Each piece is only good until the next is asked for. */
function* tarPieces(tree: FileTree): Generator<Buffer> {
  const buffer = Buffer.allocUnsafe(CHUNK);
  for (const entry of walk(tree)) {
    yield encodeHeader(entry);
    if (entry.type !== 'file' || entry.size === 0) continue;
    yield* bytesOf(tree.content(entry.path), entry, buffer);
    yield Buffer.alloc(padding(entry.size));
  }
  yield Buffer.alloc(1024);
}

/** Copies pieces into blocks worth a system call. */
function* inBlocks(pieces: Iterable<Buffer>): Generator<Buffer> {
  let block = Buffer.allocUnsafe(CHUNK);
  let fill = 0;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const count = piece.copy(block, fill, at);
      at += count;
      fill += count;
      if (fill < CHUNK) continue;
      yield block;
      block = Buffer.allocUnsafe(CHUNK);
      fill = 0;
    }
  }
  if (fill > 0) yield block.subarray(0, fill);
}

/** A file's bytes through `buffer`. */
function* bytesOf(content: FileContent, { path, size }: Entry, buffer: Buffer): Generator<Buffer> {
  if (content.kind === 'bytes') {
    yield content.bytes;
    return;
  }
  const fd = openSync(toFsPath(content.path), 'r');
  try {
    const start = content.kind === 'range' ? content.offset : 0;
    for (let done = 0; done < size; ) {
      const count = readSync(fd, buffer, 0, Math.min(buffer.length, size - done), start + done);
      if (count === 0) throw new BugError(`the bytes of ${path} end ${size - done} too early`);
      yield buffer.subarray(0, count);
      done += count;
    }
  } finally {
    closeSync(fd);
  }
}

/** How long files are written before anything else, such as Ctrl-C, gets its turn. Milliseconds. */
const TURN = 20;

/** Writes the tree's files below `directory`, which exists. Owners become the caller's; devices are left out. */
export async function flattenToDirectory(
  tree: FileTree,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const target: Target = { tree, root: toByteString(directory), buffer: Buffer.allocUnsafe(CHUNK) };
  const { root } = target;
  const directories: Entry[] = [];
  let turn = monotonicMs();
  for (const entry of walk(tree)) {
    for (const _ of writeEntry(entry, target)) {
      if (monotonicMs() - turn < TURN) continue;
      await nextTurn();
      signal.throwIfAborted();
      turn = monotonicMs();
    }
    if (entry.type === 'directory') directories.push(entry);
  }
  // Modes and times last: a directory without write permission could not be filled.
  for (const { path, mode, mtime } of directories.reverse()) {
    chmodSync(toFsPath(`${root}/${path}`), mode);
    utimesSync(toFsPath(`${root}/${path}`), mtime, mtime);
  }
}

interface Target {
  readonly tree: FileTree;
  /** Byte path of the directory. */
  readonly root: string;
  readonly buffer: Buffer;
}

/** Writes one entry, in steps. */
function* writeEntry(entry: Entry, target: Target): Generator<void> {
  const bytes = `${target.root}/${entry.path}`;
  const host = toFsPath(bytes);
  const existing = lstatPath(bytes);
  if (entry.type === 'directory') {
    if (existing?.isDirectory() === true) chmodSync(host, 0o700 | entry.mode);
    else {
      if (existing !== undefined) rmSync(host, { recursive: true });
      mkdirSync(host, 0o700);
    }
    return;
  }
  if (existing !== undefined) rmSync(host, { recursive: true });
  if (entry.type === 'symlink') {
    symlinkSync(toFsPath(entry.linkTarget ?? ''), host);
    lutimesSync(host, entry.mtime, entry.mtime);
  } else if (entry.type === 'hardlink') {
    const first = `${target.root}/${entry.linkTarget}`;
    // Names of a device have nothing to link to.
    if (lstatPath(first) !== undefined) linkSync(toFsPath(first), host);
  } else if (entry.type === 'fifo') makeNode(bytes, 0o010000 | entry.mode, 0, 0);
  else if (entry.type === 'file') yield* writeFile(entry, target);
  yield;
}

function* writeFile(entry: Entry, { tree, root, buffer }: Target): Generator<void> {
  const host = toFsPath(`${root}/${entry.path}`);
  const fd = openSync(host, 'wx', 0o600);
  try {
    const file = new SparseFile(fd);
    if (entry.size > 0) {
      for (const piece of bytesOf(tree.content(entry.path), entry, buffer)) {
        file.write(piece);
        yield;
      }
    }
    file.end();
  } finally {
    closeSync(fd);
  }
  chmodSync(host, entry.mode);
  utimesSync(host, entry.mtime, entry.mtime);
}
