/** A compressed form of a tar that is there already. */
import { closeSync, openSync, readSync } from 'node:fs';
import type { Compression } from '../image/descriptor.ts';
import { BLOCK_BYTES, type CompressedBlob, makeCompressor } from './compress.ts';

export interface CompressRequest {
  readonly tar: string;
  readonly compression: Exclude<Compression, 'uncompressed'>;
  readonly level: number | undefined;
  /** File to write; it must not exist. */
  readonly path: string;
}

/** Gives the same bytes as packing with that form would have. */
export async function compressTar({
  tar,
  compression,
  level,
  path,
}: CompressRequest): Promise<CompressedBlob> {
  const compressor = makeCompressor({ compression, level }, path);
  const fd = openSync(tar, 'r');
  try {
    for (;;) {
      const block = Buffer.allocUnsafe(BLOCK_BYTES);
      let fill = 0;
      while (fill < BLOCK_BYTES) {
        const count = readSync(fd, block, fill, BLOCK_BYTES - fill, null);
        if (count === 0) break;
        fill += count;
      }
      if (fill > 0) await compressor.push(fill === BLOCK_BYTES ? block : block.subarray(0, fill));
      if (fill < BLOCK_BYTES) return await compressor.finish();
    }
  } catch (error) {
    compressor.abandon();
    throw error;
  } finally {
    closeSync(fd);
  }
}
