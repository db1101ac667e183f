/** A compressed form of a tar that is there already. */
import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import { diskError } from '../system/files.ts';
import {
  type BlobCompressor,
  type CompressedBlob,
  type CompressorOptions,
  makeCompressor,
} from './compress.ts';

export interface CompressRequest extends CompressorOptions {
  readonly tar: string;
}

const CHUNK = 1 << 20;

/** Gives the same bytes as packing with that form would have. On failure nothing stays. Throws STORE_DISK_FULL. */
export async function compressTar({ tar, ...options }: CompressRequest): Promise<CompressedBlob> {
  const fd = openSync(tar, 'r');
  let compressor: BlobCompressor | undefined;
  try {
    compressor = makeCompressor(options);
    const chunk = Buffer.allocUnsafe(CHUNK);
    for (;;) {
      const count = readSync(fd, chunk, 0, CHUNK, null);
      if (count === 0) return await compressor.finish();
      await compressor.push(chunk.subarray(0, count));
    }
  } catch (error) {
    compressor?.abandon();
    if (compressor !== undefined) rmSync(options.path, { force: true });
    throw diskError(error, options.path);
  } finally {
    closeSync(fd);
  }
}
