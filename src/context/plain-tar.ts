/** A file that may be a tar archive, told by its bytes as docker tells it, as a plain tar that can be read in place. */
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  openSync,
  readSync,
  statSync,
} from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { BuildError, messageOf } from '../errors.ts';
import { archiveCompression, isTarHeader } from '../layer/archive.ts';
import { decompress, isDecompressionError } from '../layer/decompress.ts';
import { toByteString, toFsPath } from '../system/byte-path.ts';

/** A part of a file: what `readArchive` reads. The path is a byte string. */
export interface FileRange {
  readonly path: string;
  readonly start: number;
  readonly size: number;
}

export interface PlainTarOptions {
  /** Path for a new file, named for its purpose. */
  readonly draft: (purpose: string) => string;
  readonly signal: AbortSignal;
}

/** True when the first bytes say that this is an archive, compressed or not. */
export function looksLikeArchive(head: Buffer): boolean {
  return archiveCompression(head) !== undefined || isTarHeader(head);
}

/** The uncompressed tar of an archive; undefined for a file that is none. Draft files are left where they are. */
export async function plainTar(range: FileRange, options: PlainTarOptions): Promise<FileRange | undefined> {
  const head = headOf(range);
  const compression = archiveCompression(head);
  if (compression === undefined) return isTarHeader(head) ? range : undefined;
  const path = options.draft('archive.tar');
  try {
    const bytes = createReadStream(toFsPath(range.path), {
      start: range.start,
      end: range.start + range.size - 1,
    });
    await pipeline(decompress(bytes, compression), createWriteStream(path), { signal: options.signal });
  } catch (error) {
    // A gzip file that is damaged, or is no archive: taken as it is, as docker build does.
    if (options.signal.aborted || !isDecompressionError(error)) throw error;
    // But an archive that begins well and ends badly must not pass for a file.
    if (existsSync(path) && isTarHeader(headOf({ path, start: 0, size: statSync(path).size }))) {
      throw new BuildError('LAYER_TRUNCATED', `the ${compression} archive is damaged: ${messageOf(error)}`, {
        suggestions: ['Make the archive again, or fetch it again.'],
        cause: error,
      });
    }
    return undefined;
  }
  const plain = { path: toByteString(path), start: 0, size: statSync(path).size };
  return isTarHeader(headOf(plain)) ? plain : undefined;
}

/** The first 512 bytes, or fewer. */
export function headOf({ path, start, size }: FileRange): Buffer {
  const head = Buffer.alloc(Math.min(512, size));
  const fd = openSync(toFsPath(path), 'r');
  try {
    readSync(fd, head, 0, head.length, start);
  } finally {
    closeSync(fd);
  }
  return head;
}
