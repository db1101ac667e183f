/**
 * Zstandard of any number of frames as a stream. Node's decompressor stops without a word after the first frame when
 * more bytes follow in the same chunk, so it is given chunks that end where frames do (RFC 8878, 3.1).
 */
import { Readable } from 'node:stream';
import { createZstdDecompress } from 'node:zlib';

const MAGIC = 0xfd2fb528;
/** Magic numbers of skippable frames without their last four bits. */
const SKIPPABLE = 0x184d2a5;

/** What the bytes are that come next. */
type Part = 'magic' | 'descriptor' | 'header' | 'block' | 'content' | 'checksum' | 'skipSize' | 'skipped';

/** Finds the ends of frames in a stream of bytes. Throws for bytes that are no frame. */
class FrameWalker {
  #part: Part = 'magic';
  /** Bytes of the part that are still to come. */
  #left = 4;
  /** The part's bytes so far, as a little-endian number; only short parts are read. */
  #value = 0;
  #shift = 0;
  #checksum = false;
  #lastBlock = false;

  /** True between frames. */
  get atBoundary(): boolean {
    return this.#part === 'magic' && this.#left === 4;
  }

  /** Walks on from `at`; returns where the frame ends, or the chunk's length when it goes on after it. */
  walk(chunk: Buffer, at: number): number {
    while (at < chunk.length) {
      const count = Math.min(this.#left, chunk.length - at);
      if (this.#part !== 'content' && this.#part !== 'skipped' && this.#part !== 'header') {
        for (let i = at; i < at + count; i++) {
          this.#value += (chunk[i] ?? 0) * 2 ** this.#shift;
          this.#shift += 8;
        }
      }
      at += count;
      this.#left -= count;
      while (this.#left === 0) if (this.#next()) return at;
    }
    return at;
  }

  #begin(part: Part, length: number): void {
    this.#part = part;
    this.#left = length;
    this.#value = 0;
    this.#shift = 0;
  }

  #endFrame(): true {
    this.#begin('magic', 4);
    return true;
  }

  /** The part is complete; true at the end of a frame. */
  #next(): boolean {
    const value = this.#value;
    switch (this.#part) {
      case 'magic':
        if (value === MAGIC) this.#begin('descriptor', 1);
        else if (Math.floor(value / 16) === SKIPPABLE) this.#begin('skipSize', 4);
        else
          throw Object.assign(new Error('bytes that are no zstd frame'), {
            code: 'ZSTD_error_prefix_unknown',
          });
        return false;
      case 'descriptor':
        this.#checksum = (value & 4) !== 0;
        this.#begin('header', headerLength(value));
        return false;
      case 'block':
        this.#lastBlock = (value & 1) !== 0;
        // A run-length block says how long it becomes and holds one byte.
        this.#begin('content', ((value >> 1) & 3) === 1 ? 1 : value >> 3);
        return false;
      case 'content':
        if (!this.#lastBlock) this.#begin('block', 3);
        else if (this.#checksum) this.#begin('checksum', 4);
        else return this.#endFrame();
        return false;
      case 'header':
        this.#begin('block', 3);
        return false;
      case 'skipSize':
        this.#begin('skipped', value);
        return false;
      default:
        return this.#endFrame();
    }
  }
}

/** Bytes of a frame's header after its descriptor: window, dictionary ID, content size. */
function headerLength(descriptor: number): number {
  const single = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const size = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  return (single ? 0 : 1) + dictionary + size;
}

async function* splitFrames(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const walker = new FrameWalker();
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const end = walker.walk(chunk, at);
      yield chunk.subarray(at, end);
      at = end;
    }
  }
  if (!walker.atBoundary) {
    throw Object.assign(new Error('unexpected end of file'), { code: 'Z_BUF_ERROR' });
  }
}

/** All frames of `source`, decompressed, in chunks of up to `chunkSize` bytes. Errors have a zlib or zstd code. */
export function decompressZstd(source: AsyncIterable<Buffer>, chunkSize: number): Readable {
  const frames = Readable.from(splitFrames(source));
  const stream = createZstdDecompress({ chunkSize });
  frames.on('error', (error) => stream.destroy(error));
  stream.on('close', () => frames.destroy());
  return frames.pipe(stream);
}
