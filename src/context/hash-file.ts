/** SHA-256 of files of a context, which are checked to be the ones that were looked at. */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Digest } from '../image/descriptor.ts';
import { hashChunks } from '../layer/hash-content.ts';
import { toFsPath } from '../system/byte-path.ts';
import type { FileIdentity } from './digest-memory.ts';

const CHUNK = 1 << 20;
let buffer: Buffer | undefined;

/** O_NONBLOCK: a file that became a FIFO is not waited for. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Undefined for a file that is not, or no longer, the one that was looked at. Throws the system's error. */
export function hashFile(host: string, identity: FileIdentity): Digest | undefined {
  buffer ??= Buffer.allocUnsafe(CHUNK);
  const sum = createHash('sha256');
  const fd = openSync(toFsPath(host), OPEN_FLAGS);
  try {
    for (;;) {
      const count = readSync(fd, buffer, 0, CHUNK, null);
      if (count === 0) break;
      sum.update(buffer.subarray(0, count));
    }
    return isStill(fd, identity) ? `sha256:${sum.digest('hex')}` : undefined;
  } finally {
    closeSync(fd);
  }
}

/** As `hashFile`, with other work in between. Throws the signal's reason, too. */
export async function hashLargeFile(
  host: string,
  { identity, signal }: { readonly identity: FileIdentity; readonly signal: AbortSignal },
): Promise<Digest | undefined> {
  const fd = openSync(toFsPath(host), OPEN_FLAGS);
  try {
    const digest = await hashChunks(fd, { offset: 0, size: Number.POSITIVE_INFINITY, signal });
    return isStill(fd, identity) ? digest : undefined;
  } finally {
    closeSync(fd);
  }
}

/** A new link to a file moves its ctime; only what moves with its bytes is a change here. */
function isStill(fd: number, { size, mtimeMs, ino }: FileIdentity): boolean {
  const now = fstatSync(fd);
  return now.size === size && now.mtimeMs === mtimeMs && now.ino === ino;
}
