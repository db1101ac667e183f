/** A layer blob as a stream of uncompressed bytes, its DiffID checked at the end. */
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import type { Compression, DiffId } from '../image/descriptor.ts';

export interface LayerBlob {
  /** The blob's file. */
  readonly blob: string;
  readonly compression: Compression;
  readonly diffId: DiffId;
}

const CHUNK = 1 << 20;

/** Media types lie at times; the first bytes do not. */
function actualCompression({ blob, compression }: LayerBlob): Compression {
  const magic = Buffer.alloc(4);
  const fd = openSync(blob, 'r');
  try {
    readSync(fd, magic, 0, 4, 0);
  } finally {
    closeSync(fd);
  }
  if (magic[0] === 0x1f && magic[1] === 0x8b) return 'gzip';
  if (magic.readUInt32LE(0) === 0xfd2fb528) return 'zstd';
  return compression === 'uncompressed' ? compression : 'uncompressed';
}

/** Calls `onChunk` with the tar's bytes. Throws LAYER_DIFFID_MISMATCH or LAYER_CORRUPT after the last one. */
export async function readLayerBlob(source: LayerBlob, onChunk: (chunk: Buffer) => void): Promise<void> {
  const hash = createHash('sha256');
  const file = createReadStream(source.blob, { highWaterMark: CHUNK });
  const compression = actualCompression(source);
  try {
    const stream =
      compression === 'gzip'
        ? file.pipe(createGunzip({ chunkSize: CHUNK }))
        : compression === 'zstd'
          ? file.pipe(createZstdDecompress({ chunkSize: CHUNK }))
          : file;
    file.on('error', (error) => stream.destroy(error));
    for await (const chunk of stream) {
      hash.update(chunk as Buffer);
      onChunk(chunk as Buffer);
    }
  } catch (error) {
    if (error instanceof BuildError || !isDecompression(error)) throw error;
    throw new BuildError(
      'LAYER_CORRUPT',
      `layer ${source.diffId} cannot be decompressed: ${messageOf(error)}`,
      {
        suggestions: ['The layer is damaged at its source: pull or build it again.'],
        cause: error,
      },
    );
  } finally {
    file.destroy();
  }
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== source.diffId) {
    throw new BuildError('LAYER_DIFFID_MISMATCH', `layer ${source.diffId} unpacks to ${found}`, {
      suggestions: ['The image names other bytes than it holds: do not trust it; use another source.'],
    });
  }
}

function isDecompression(error: unknown): boolean {
  const code = systemErrorCode(error) ?? '';
  return code.startsWith('Z_') || code.startsWith('ZSTD_') || code === 'ERR_ZLIB_INITIALIZATION_FAILED';
}
