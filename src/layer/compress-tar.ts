/** A compressed form of a tar that is there already. */
import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import type { Compression } from '../image/descriptor.ts';
import { diskError } from '../system/files.ts';
import { type BlobCompressor, type CompressedBlob, makeCompressor } from './compress.ts';

export interface CompressRequest {
  readonly tar: string;
  readonly compression: Exclude<Compression, 'uncompressed'>;
  readonly level: number | undefined;
  /** File to write; it must not exist. */
  readonly path: string;
}

const CHUNK = 1 << 20;

/** Gives the same bytes as packing with that form would have. On failure nothing stays. Throws STORE_DISK_FULL. */
export async function compressTar({
  tar,
  compression,
  level,
  path,
}: CompressRequest): Promise<CompressedBlob> {
  const fd = openSync(tar, 'r');
  let compressor: BlobCompressor | undefined;
  try {
    compressor = makeCompressor({ compression, level }, path);
    const chunk = Buffer.allocUnsafe(CHUNK);
    for (;;) {
      const count = readSync(fd, chunk, 0, CHUNK, null);
      if (count === 0) return await compressor.finish();
      await compressor.push(chunk.subarray(0, count));
    }
  } catch (error) {
    compressor?.abandon();
    if (compressor !== undefined) rmSync(path, { force: true });
    throw diskError(error, path);
  } finally {
    closeSync(fd);
  }
}
