/** sha256 of files wherever their bytes are. */
import { createHash, hash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Digest } from '../image/descriptor.ts';
import { toFsPath } from '../system/byte-path.ts';
import type { FileContent } from './file-tree.ts';

const CHUNK = 1 << 20;

let buffer: Buffer | undefined;

/** The tar that was read last. Thousands of files come from one tar in one go; it is closed when the go is over. */
let tar: { readonly path: string; readonly fd: number } | undefined;

/** Digest of a file's bytes. Throws the system's error for a file that cannot be read. */
export function hashContent(content: FileContent): Digest {
  if (content.kind === 'bytes') return `sha256:${hash('sha256', content.bytes, 'hex')}`;
  if (content.kind === 'range') return hashRange(openTar(content.path), content);
  const fd = openSync(toFsPath(content.path), 'r');
  try {
    return hashRange(fd, { offset: 0, size: Number.POSITIVE_INFINITY });
  } finally {
    closeSync(fd);
  }
}

/** As `hashContent`, with other work in between. Throws the signal's reason, too. */
export async function hashLargeContent(content: FileContent, signal: AbortSignal): Promise<Digest> {
  if (content.kind === 'bytes') return hashContent(content);
  const fd = openSync(toFsPath(content.path), 'r');
  try {
    const { offset = 0, size = Number.POSITIVE_INFINITY } = content.kind === 'range' ? content : {};
    return await hashChunks(fd, { offset, size, signal });
  } finally {
    closeSync(fd);
  }
}

/** Chunks until something else has its turn: about 20 ms, as each turn leaves garbage. */
const CHUNKS_A_TURN = 32;

/** Lets other work go on in between. Not by the thread pool: behind compression a read waits long there. */
export async function hashChunks(
  fd: number,
  { offset, size, signal }: { readonly offset: number; readonly size: number; readonly signal: AbortSignal },
): Promise<Digest> {
  const sum = createHash('sha256');
  const chunk = Buffer.allocUnsafeSlow(CHUNK);
  let chunks = 0;
  for (let done = 0; done < size; ) {
    const count = readSync(fd, chunk, 0, Math.min(CHUNK, size - done), offset + done);
    if (count === 0) break;
    sum.update(chunk.subarray(0, count));
    done += count;
    if (++chunks % CHUNKS_A_TURN > 0) continue;
    await nextTurn();
    signal.throwIfAborted();
  }
  return `sha256:${sum.digest('hex')}`;
}

function hashRange(fd: number, { offset, size }: { offset: number; size: number }): Digest {
  buffer ??= Buffer.allocUnsafe(CHUNK);
  if (size <= CHUNK) {
    const count = readSync(fd, buffer, 0, size, offset);
    if (count === size) return `sha256:${hash('sha256', buffer.subarray(0, count), 'hex')}`;
  }
  const sum = createHash('sha256');
  for (let done = 0; done < size; ) {
    const count = readSync(fd, buffer, 0, Math.min(CHUNK, size - done), offset + done);
    if (count === 0) break;
    sum.update(buffer.subarray(0, count));
    done += count;
  }
  return `sha256:${sum.digest('hex')}`;
}

function openTar(path: string): number {
  if (tar?.path === path) return tar.fd;
  closeTar();
  const fd = openSync(toFsPath(path), 'r');
  tar = { path, fd };
  setImmediate(closeTar);
  return fd;
}

function closeTar(): void {
  if (tar !== undefined) closeSync(tar.fd);
  tar = undefined;
}
