/**
 * Layer compression in units of a fixed size on zlib's thread pool. What comes out is a pure function of the bytes and
 * the level: neither the number of cores nor the pieces the bytes arrive in have a say.
 */
import { createHash, type Hash } from 'node:crypto';
import { constants, crc32, deflateRaw, type ZlibOptions, zstdCompress } from 'node:zlib';
import { type Compression, type Digest, MEDIA_TYPE } from '../image/descriptor.ts';
import { DEFAULT_LEVEL } from '../image/layer-form.ts';
import { BackgroundFile } from '../system/background-file.ts';
import { cheapestWay } from './compressibility.ts';
import { LiteralCoder } from './literal-coder.ts';

/** deflate's window: each unit is compressed with the end of the one before as its dictionary. */
const WINDOW = 32 << 10;

const GZIP_UNIT = 1 << 20;

/** Each unit is a frame of its own (RFC 8878, 3.1), so it is larger: a frame cannot look back into the one before. */
const ZSTD_UNIT = 4 << 20;

/** Bytes under way per compressor: enough for the threads of the pool, and no more memory than that. */
const IN_FLIGHT_BYTES = 8 << 20;

export interface CompressedBlob {
  readonly compression: Compression;
  readonly level: number | undefined;
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  /** The file that holds it. */
  readonly path: string;
  /** Descriptor of the copy that holds it too. */
  readonly copy?: number | undefined;
}

/** Takes the uncompressed bytes and writes the compressed blob to a file. */
export interface BlobCompressor {
  /** Copies the bytes. A promise is returned when the caller should wait before going on. */
  push(bytes: Buffer): Promise<void> | undefined;
  /** Waits for all that is under way. */
  finish(): Promise<CompressedBlob>;
  /** Closes the file; for a layer that failed. */
  abandon(): void;
}

/** What a compressor makes, and where. */
export interface CompressorOptions {
  readonly compression: Exclude<Compression, 'uncompressed'>;
  readonly level: number | undefined;
  /** File to write; it must not exist. */
  readonly path: string;
  /** Descriptor of an empty file that is given the same bytes, if that works. */
  readonly copy?: number | undefined;
}

/** A compressor for one blob. */
export function makeCompressor(blob: CompressorOptions): BlobCompressor {
  const { compression, level } = blob;
  return compression === 'gzip'
    ? new UnitCompressor(gzipFormat(level), { ...blob, mediaType: MEDIA_TYPE.ociLayerGzip })
    : new UnitCompressor(zstdFormat(level), { ...blob, mediaType: MEDIA_TYPE.ociLayerZstd });
}

interface Format {
  /** Bytes compressed at a time. */
  readonly unit: number;
  readonly head: Buffer;
  /** Called in the order of the units; they are compressed side by side. */
  compress(unit: Buffer): Promise<Compressed>;
  tail(): Buffer;
  /** Ends the threads of its own. */
  end(): Promise<void>;
}

interface Compressed {
  readonly bytes: Buffer;
  /** Told once they are written. */
  readonly done?: () => void;
}

/** RFC 1952 header: deflate, no name, no time, unknown system. */
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);

/** An empty last block with fixed Huffman codes (RFC 1951): ends a stream of sync-flushed blocks. */
const DEFLATE_END = Buffer.from([3, 0]);

/** One gzip member, made of units that end in a sync flush. */
function gzipFormat(level: number | undefined): Format {
  let dictionary: Buffer | undefined;
  let crc = 0;
  let length = 0;
  const coder = new LiteralCoder(GZIP_UNIT);
  return {
    unit: GZIP_UNIT,
    head: GZIP_HEADER,
    compress: (unit) => {
      crc = crc32(unit, crc);
      length += unit.length;
      const options = {
        level: level ?? DEFAULT_LEVEL.gzip,
        finishFlush: constants.Z_SYNC_FLUSH,
        // Room for the whole result: one trip to the thread pool, not one for every 16 KiB.
        chunkSize: unit.length + (unit.length >> 8) + 1024,
        ...(dictionary === undefined ? {} : { dictionary }),
      };
      dictionary = Buffer.from(unit.subarray(Math.max(0, unit.length - WINDOW)));
      // Level 0 is to store.
      const way = level === 0 ? 'stored' : cheapestWay(unit);
      if (way === 'full') return deflate(unit, options);
      return way === 'huffman' ? coder.code(unit) : Promise.resolve({ bytes: storedBlocks(unit) });
    },
    tail: () => {
      const trailer = Buffer.alloc(8);
      trailer.writeUInt32LE(crc, 0);
      trailer.writeUInt32LE(length % 2 ** 32, 4);
      return Buffer.concat([DEFLATE_END, trailer]);
    },
    end: () => coder.end(),
  };
}

function deflate(unit: Buffer, options: ZlibOptions): Promise<Compressed> {
  return new Promise((resolve, reject) => {
    deflateRaw(unit, options, (error, bytes) => (error === null ? resolve({ bytes }) : reject(error)));
  });
}

/** Longest stored block of deflate (RFC 1951, 3.2.4). */
const STORED_BYTES = 0xffff;

/** The bytes as they are, in stored blocks. Needs a stream at a byte boundary, and leaves it at one. */
function storedBlocks(unit: Buffer): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at < unit.length; at += STORED_BYTES) {
    const part = unit.subarray(at, at + STORED_BYTES);
    const head = Buffer.alloc(5);
    head.writeUInt16LE(part.length, 1);
    head.writeUInt16LE(part.length ^ 0xffff, 3);
    blocks.push(head, part);
  }
  return Buffer.concat(blocks);
}

/** Zstandard frames one after another, each with its size and checksum left to its header's defaults. */
function zstdFormat(level: number | undefined): Format {
  const params = { [constants.ZSTD_c_compressionLevel]: level ?? DEFAULT_LEVEL.zstd };
  return {
    unit: ZSTD_UNIT,
    head: Buffer.alloc(0),
    compress: (unit) =>
      new Promise((resolve, reject) => {
        const options = { params, chunkSize: (unit.length >> 1) + 1024 };
        zstdCompress(unit, options, (error, bytes) => (error === null ? resolve({ bytes }) : reject(error)));
      }),
    tail: () => Buffer.alloc(0),
    end: () => Promise.resolve(),
  };
}

class UnitCompressor implements BlobCompressor {
  readonly #format: Format;
  readonly #blob: Omit<CompressedBlob, 'digest' | 'size'>;
  readonly #file: BackgroundFile;
  readonly #hash: Hash = createHash('sha256');
  readonly #limit: number;
  #abandoned = false;
  #unit: Buffer | undefined;
  #fill = 0;
  #units = 0;
  /** Buffers whose unit is written, for the next ones. */
  readonly #free: Buffer[] = [];
  /** One promise a unit under way, oldest first: fulfilled when it and all before it are written. */
  readonly #written: Promise<void>[] = [];

  constructor(format: Format, blob: Omit<CompressedBlob, 'digest' | 'size'>) {
    this.#format = format;
    this.#blob = blob;
    this.#limit = IN_FLIGHT_BYTES / format.unit;
    this.#file = new BackgroundFile(blob.path, { copy: blob.copy });
    this.#write(format.head);
  }

  push(bytes: Buffer): Promise<void> | undefined {
    for (let at = 0; at < bytes.length; ) {
      this.#unit ??= this.#free.pop() ?? Buffer.from(new SharedArrayBuffer(this.#format.unit));
      const count = bytes.copy(this.#unit, this.#fill, at);
      at += count;
      this.#fill += count;
      if (this.#fill === this.#format.unit) this.#compress(this.#unit);
    }
    // The middle one: threads have work left while the caller fills the next units.
    return this.#written.length < this.#limit ? undefined : this.#written[this.#written.length >> 1];
  }

  async finish(): Promise<CompressedBlob> {
    // A blob of no bytes still needs one unit: zstd has no head of its own.
    if (this.#unit !== undefined || this.#units === 0) this.#compress(this.#unit ?? Buffer.alloc(0));
    await this.#written.at(-1);
    this.#write(this.#format.tail());
    await Promise.all([this.#file.finish(), this.#format.end()]);
    const copy = this.#file.isCopied ? this.#blob.copy : undefined;
    return { ...this.#blob, copy, digest: `sha256:${this.#hash.digest('hex')}`, size: this.#file.size };
  }

  abandon(): void {
    this.#abandoned = true;
    this.#format.end();
    this.#file.abandon();
  }

  #compress(buffer: Buffer): void {
    const result = this.#format.compress(buffer.subarray(0, this.#fill));
    this.#unit = undefined;
    this.#fill = 0;
    this.#units += 1;
    const before = this.#written.at(-1);
    const written = this.#writeAfter(before, { result, buffer });
    // A failure is met by whoever waits; until then it must not count as unhandled.
    written.catch(() => undefined);
    this.#written.push(written);
  }

  async #writeAfter(
    before: Promise<void> | undefined,
    { result, buffer }: { result: Promise<Compressed>; buffer: Buffer },
  ): Promise<void> {
    result.catch(() => undefined);
    await before;
    const { bytes, done } = await result;
    if (this.#abandoned) return;
    this.#write(bytes, done);
    await this.#file.room();
    this.#free.push(buffer);
    this.#written.shift();
  }

  #write(bytes: Buffer, done?: () => void): void {
    this.#hash.update(bytes);
    this.#file.append(bytes, done);
  }
}
