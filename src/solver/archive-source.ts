/** ADD of a local archive: found out by its bytes, decompressed into the session where that is needed. */
import { closeSync, createReadStream, createWriteStream, openSync, readSync, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { type ArchiveCompression, archiveCompression, isTarHeader, readArchive } from '../layer/archive.ts';
import type { FileContent } from '../layer/file-tree.ts';
import type { PackItem } from '../layer/pack-tree.ts';
import { toFsPath } from '../system/byte-path.ts';
import { spawnDecompressor } from '../system/process.ts';
import type { SolverContext } from './solver-context.ts';

interface Range {
  readonly path: string;
  readonly start: number;
  readonly size: number;
}

/** The members of a file that is a tar archive, compressed or not; undefined for any other file. */
export async function openArchive(
  context: SolverContext,
  content: FileContent,
): Promise<readonly PackItem[] | undefined> {
  const range = rangeOf(content);
  if (range === undefined) return undefined;
  const head = headOf(range);
  const compression = archiveCompression(head);
  if (compression === undefined) return isTarHeader(head) ? readArchive(range) : undefined;
  const path = context.access.session.draft('archive.tar');
  try {
    await pipeline(await decompress(context, range, compression), createWriteStream(path), {
      signal: context.signal,
    });
  } catch (error) {
    // A gzip file that is damaged, or is no archive: copied as it is, as docker build does.
    if (context.signal.aborted || !isDecompressionError(error)) throw error;
    return undefined;
  }
  const plain = { path, start: 0, size: statSync(path).size };
  return isTarHeader(headOf(plain)) ? readArchive(plain) : undefined;
}

function rangeOf(content: FileContent): Range | undefined {
  if (content.kind === 'bytes') return undefined;
  if (content.kind === 'range') return { path: content.path, start: content.offset, size: content.size };
  return { path: content.path, start: 0, size: statSync(toFsPath(content.path)).size };
}

function headOf({ path, start, size }: Range): Buffer {
  const head = Buffer.alloc(Math.min(512, size));
  const fd = openSync(toFsPath(path), 'r');
  try {
    readSync(fd, head, 0, head.length, start);
  } finally {
    closeSync(fd);
  }
  return head;
}

async function decompress(
  context: SolverContext,
  range: Range,
  compression: ArchiveCompression,
): Promise<Readable> {
  const { path, start, size } = range;
  const bytes = createReadStream(toFsPath(path), { start, end: start + size - 1 });
  if (compression === 'gzip' || compression === 'zstd') {
    const stream = compression === 'gzip' ? createGunzip() : createZstdDecompress();
    bytes.on('error', (error) => stream.destroy(error));
    return bytes.pipe(stream);
  }
  // The program reads a file of its own.
  const copy = context.access.session.draft('archive');
  await pipeline(bytes, createWriteStream(copy), { signal: context.signal });
  return spawnDecompressor(compression, ['-dc'], copy);
}

function isDecompressionError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('Z_') || code.startsWith('ZSTD_');
}
