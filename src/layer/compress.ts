/**
 * Layer compression in blocks on zlib's thread pool. What comes out is a pure function of the bytes and the level:
 * blocks have a fixed size, whatever the number of cores.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { constants, crc32, deflateRaw, zstdCompress } from 'node:zlib';
import { type Compression, type Digest, MEDIA_TYPE } from '../image/descriptor.ts';

/** Bytes of one block that the writer hands on. */
export const BLOCK_BYTES = 1 << 20;

/** deflate's window: each block is compressed with the end of the one before as its dictionary. */
const WINDOW = 32 << 10;

/** Blocks that form one zstd frame. */
const ZSTD_FRAME_BLOCKS = 4;

/** Blocks under way per compressor; more would only hold memory. */
const IN_FLIGHT = 8;

export const DEFAULT_LEVEL = { gzip: 6, zstd: 3 } as const;

export interface CompressedBlob {
  readonly compression: Compression;
  readonly level: number | undefined;
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** The file that holds it. */
  readonly path: string;
}

/** Takes the uncompressed bytes in blocks and writes the compressed blob to a file. */
export interface BlockCompressor {
  /** The block must not change afterwards. A promise is returned when the caller should wait before the next one. */
  push(block: Buffer): Promise<void> | undefined;
  finish(): Promise<CompressedBlob>;
  /** Closes the file; for a layer that failed. */
  abandon(): void;
}

/** A compressor that writes to `path`. */
export function makeCompressor(
  form: { readonly compression: Exclude<Compression, 'uncompressed'>; readonly level: number | undefined },
  path: string,
): BlockCompressor {
  return form.compression === 'gzip' ? new GzipWriter(form.level, path) : new ZstdWriter(form.level, path);
}

/** Writes results in the order of their blocks, with digest and size. */
class OrderedFile {
  readonly #fd: number;
  readonly #hash: Hash = createHash('sha256');
  #size = 0;
  #queue: Promise<Buffer>[] = [];
  #closed = false;

  constructor(path: string) {
    this.#fd = openSync(path, 'wx', 0o644);
  }

  write(bytes: Buffer): void {
    this.#hash.update(bytes);
    for (let written = 0; written < bytes.length; ) written += writeSync(this.#fd, bytes, written);
    this.#size += bytes.length;
  }

  enqueue(result: Promise<Buffer>): Promise<void> | undefined {
    // A failure is met when the queue is drained; until then it must not count as unhandled.
    result.catch(() => undefined);
    this.#queue.push(result);
    return this.#queue.length >= IN_FLIGHT ? this.#drain(IN_FLIGHT / 2) : undefined;
  }

  async finish(): Promise<{ digest: Digest; size: number }> {
    await this.#drain(0);
    this.close();
    return { digest: `sha256:${this.#hash.digest('hex')}`, size: this.#size };
  }

  close(): void {
    if (!this.#closed) closeSync(this.#fd);
    this.#closed = true;
  }

  async drain(): Promise<void> {
    await this.#drain(0);
  }

  async #drain(leave: number): Promise<void> {
    while (this.#queue.length > leave) {
      const first = this.#queue.shift();
      if (first !== undefined) this.write(await first);
    }
  }
}

/** RFC 1952 header: deflate, no name, no time, unknown system. */
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);

/** An empty last block with fixed Huffman codes (RFC 1951): ends a stream of sync-flushed blocks. */
const DEFLATE_END = Buffer.from([3, 0]);

class GzipWriter implements BlockCompressor {
  readonly #file: OrderedFile;
  readonly #path: string;
  readonly #level: number | undefined;
  #dictionary: Buffer | undefined;
  #crc = 0;
  #length = 0;

  constructor(level: number | undefined, path: string) {
    this.#level = level;
    this.#path = path;
    this.#file = new OrderedFile(path);
    this.#file.write(GZIP_HEADER);
  }

  push(block: Buffer): Promise<void> | undefined {
    this.#crc = crc32(block, this.#crc);
    this.#length += block.length;
    const options = {
      level: this.#level ?? DEFAULT_LEVEL.gzip,
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(this.#dictionary === undefined ? {} : { dictionary: this.#dictionary }),
    };
    this.#dictionary = block.subarray(Math.max(0, block.length - WINDOW));
    return this.#file.enqueue(
      new Promise((resolve, reject) => {
        deflateRaw(block, options, (error, result) => (error === null ? resolve(result) : reject(error)));
      }),
    );
  }

  async finish(): Promise<CompressedBlob> {
    await this.#file.drain();
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(this.#crc, 0);
    trailer.writeUInt32LE(this.#length % 2 ** 32, 4);
    this.#file.write(Buffer.concat([DEFLATE_END, trailer]));
    const { digest, size } = await this.#file.finish();
    const mediaType = MEDIA_TYPE.ociLayerGzip;
    return { compression: 'gzip', level: this.#level, mediaType, digest, size, path: this.#path };
  }

  abandon(): void {
    this.#file.close();
  }
}

class ZstdWriter implements BlockCompressor {
  readonly #file: OrderedFile;
  readonly #path: string;
  readonly #level: number | undefined;
  #frame: Buffer[] = [];

  constructor(level: number | undefined, path: string) {
    this.#level = level;
    this.#path = path;
    this.#file = new OrderedFile(path);
  }

  push(block: Buffer): Promise<void> | undefined {
    this.#frame.push(block);
    return this.#frame.length === ZSTD_FRAME_BLOCKS ? this.#compress() : undefined;
  }

  async finish(): Promise<CompressedBlob> {
    if (this.#frame.length > 0) this.#compress();
    const { digest, size } = await this.#file.finish();
    const mediaType = MEDIA_TYPE.ociLayerZstd;
    return { compression: 'zstd', level: this.#level, mediaType, digest, size, path: this.#path };
  }

  abandon(): void {
    this.#file.close();
  }

  #compress(): Promise<void> | undefined {
    const content = Buffer.concat(this.#frame);
    this.#frame = [];
    const params = { [constants.ZSTD_c_compressionLevel]: this.#level ?? DEFAULT_LEVEL.zstd };
    return this.#file.enqueue(
      new Promise((resolve, reject) => {
        zstdCompress(content, { params }, (error, result) =>
          error === null ? resolve(result) : reject(error),
        );
      }),
    );
  }
}
