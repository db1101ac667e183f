/** Compressed streams of any kind that tar archives come in, as their uncompressed bytes. */
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { spawnDecompressor } from '../system/process.ts';
import { type ArchiveCompression, archiveCompression } from './archive.ts';
import { decompressZstd } from './zstd-stream.ts';

const CHUNK = 1 << 20;

/** Enough to tell a compression, or a tar header. */
const HEAD = 512;

/** The uncompressed bytes of a stream. gzip and zstd of several members or frames are read whole. */
export function decompress(source: Readable, compression: ArchiveCompression): Readable {
  if (compression === 'zstd') return decompressZstd(source, CHUNK);
  if (compression !== 'gzip') return spawnDecompressor(compression, ['-dc'], source);
  const stream = createGunzip({ chunkSize: CHUNK });
  source.on('error', (error) => stream.destroy(error));
  stream.on('close', () => source.destroy());
  return source.pipe(stream);
}

/** A stream whose first bytes have been looked at: the stream is still whole. */
export interface Sniffed {
  readonly head: Buffer;
  readonly stream: Readable;
}

/** Looks at the first 512 bytes of a stream, or fewer where it is shorter. */
async function sniff(source: Readable): Promise<Sniffed> {
  const chunks: Buffer[] = [];
  let length = 0;
  const iterator: AsyncIterator<Buffer> = source[Symbol.asyncIterator]();
  while (length < HEAD) {
    const { value, done } = await iterator.next();
    if (done === true) break;
    const chunk = Buffer.from(value);
    chunks.push(chunk);
    length += chunk.length;
  }
  async function* whole(): AsyncGenerator<Buffer> {
    try {
      yield* chunks;
      for (;;) {
        const { value, done } = await iterator.next();
        if (done === true) return;
        yield value;
      }
    } finally {
      source.destroy();
    }
  }
  return { head: Buffer.concat(chunks).subarray(0, HEAD), stream: Readable.from(whole()) };
}

/** A stream that may be compressed, told by its first bytes, as its uncompressed bytes. */
export async function uncompressed(source: Readable): Promise<Sniffed> {
  const { head, stream } = await sniff(source);
  const compression = archiveCompression(head);
  return compression === undefined ? { head, stream } : sniff(decompress(stream, compression));
}

/** True for an error that says the compressed bytes are damaged or end early. */
export function isDecompressionError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return code.startsWith('Z_') || code.startsWith('ZSTD_') || code === 'HOST_COMMAND_FAILED';
}
