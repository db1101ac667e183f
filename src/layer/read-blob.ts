/** A layer blob as a stream of uncompressed bytes, its DiffID checked at the end. */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import type { Compression, DiffId } from '../image/descriptor.ts';
import { decompressZstd } from './zstd-stream.ts';

export interface LayerBlob {
  /** The blob's file. */
  readonly blob: string;
  readonly compression: Compression;
  readonly diffId: DiffId;
}

export interface BytesVisitor {
  /** The tar's bytes, in order. The chunk is only good during the call. */
  chunk(chunk: Buffer): void;
  /** All bytes were seen; the DiffID is not checked yet. */
  end(): void;
}

const CHUNK = 1 << 20;

/**
 * Reads the whole blob and resolves to the size of the tar in bytes. Throws LAYER_TRUNCATED or LAYER_CORRUPT for a blob
 * that cannot be decompressed, LAYER_DIFFID_MISMATCH after the last byte of one that is not the tar it should be.
 */
export async function readLayerBlob(source: LayerBlob, visitor: BytesVisitor): Promise<number> {
  const hash = createHash('sha256');
  let size = 0;
  const take = (chunk: Buffer): void => {
    hash.update(chunk);
    size += chunk.length;
    visitor.chunk(chunk);
  };
  const compression = actualCompression(source);
  if (compression === 'uncompressed') readPlain(source.blob, take);
  else await readCompressed(source, { compression, take });
  visitor.end();
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== source.diffId) {
    throw new BuildError('LAYER_DIFFID_MISMATCH', `layer ${source.diffId} unpacks to ${found}`, {
      suggestions: ['The image names other bytes than it holds: do not trust it; use another source.'],
    });
  }
  return size;
}

/** Media types lie at times; the first bytes do not. */
function actualCompression({ blob }: LayerBlob): Compression {
  const magic = Buffer.alloc(4);
  const fd = openSync(blob, 'r');
  try {
    readSync(fd, magic, 0, 4, 0);
  } finally {
    closeSync(fd);
  }
  if (magic[0] === 0x1f && magic[1] === 0x8b) return 'gzip';
  const word = magic.readUInt32LE(0);
  // A frame, or a skippable frame (RFC 8878, 3.1.2) before the first one.
  return word === 0xfd2fb528 || word >>> 4 === 0x184d2a5 ? 'zstd' : 'uncompressed';
}

function readPlain(path: string, take: (chunk: Buffer) => void): void {
  const fd = openSync(path, 'r');
  const buffer = Buffer.allocUnsafe(CHUNK);
  try {
    for (;;) {
      const count = readSync(fd, buffer, 0, CHUNK, null);
      if (count === 0) return;
      take(buffer.subarray(0, count));
    }
  } finally {
    closeSync(fd);
  }
}

/** zlib's threads are at work on the next chunk while this one is taken. */
async function readCompressed(
  { blob, diffId }: LayerBlob,
  { compression, take }: { compression: 'gzip' | 'zstd'; take: (chunk: Buffer) => void },
): Promise<void> {
  const file = createReadStream(blob, { highWaterMark: CHUNK });
  const stream = compression === 'gzip' ? decompressGzip(file) : decompressZstd(file, CHUNK);
  try {
    for await (const chunk of stream) take(chunk as Buffer);
  } catch (error) {
    throw isDecompression(error) ? damaged(diffId, error) : error;
  } finally {
    file.destroy();
    stream.destroy();
  }
}

function decompressGzip(file: Readable): Readable {
  const stream = createGunzip({ chunkSize: CHUNK });
  file.on('error', (error) => stream.destroy(error));
  return file.pipe(stream);
}

function isDecompression(error: unknown): boolean {
  const code = systemErrorCode(error) ?? '';
  return code.startsWith('Z_') || code.startsWith('ZSTD_');
}

function damaged(diffId: DiffId, error: unknown): BuildError {
  const truncated = systemErrorCode(error) === 'Z_BUF_ERROR';
  return new BuildError(
    truncated ? 'LAYER_TRUNCATED' : 'LAYER_CORRUPT',
    `layer ${diffId} cannot be decompressed: ${messageOf(error)}`,
    { suggestions: ['The layer is damaged at its source: pull or build it again.'], cause: error },
  );
}
