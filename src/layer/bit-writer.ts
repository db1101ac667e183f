/** Bits in deflate's order: the first one is the lowest of its byte (RFC 1951, 3.1.1). */
import { LENGTH_BITS } from './prefix-code.ts';

const LENGTH_MASK = (1 << LENGTH_BITS) - 1;

export class BitWriter {
  readonly #view: DataView;
  #at = 0;
  /** Bits of the byte that is not full, and their number: 0 to 7. */
  #held = 0;
  #count = 0;

  /** Writes from the buffer's start on. Whole words are written, so it needs three bytes more than the bits do. */
  constructor(into: Uint8Array) {
    this.#view = new DataView(into.buffer, into.byteOffset, into.length);
  }

  /** At most 24 bits. */
  put(bits: number, count: number): void {
    this.#held |= bits << this.#count;
    this.#count += count;
    this.#view.setInt32(this.#at, this.#held, true);
    this.#at += this.#count >>> 3;
    this.#held >>>= this.#count & 24;
    this.#count &= 7;
  }

  /** Puts the codes of bytes, of at most 12 bits each, from a table that `codeTable` made. */
  codes(bytes: Uint8Array, table: Int32Array): void {
    const source = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const whole = bytes.length & ~3;
    // `put`, twice for four bytes, in locals: this loop is where the time goes. A shift takes the low five bits of
    // its count, which are the length of an entry's code.
    const view = this.#view;
    let at = this.#at;
    let held = this.#held;
    let count = this.#count;
    for (let from = 0; from < whole; from += 4) {
      const four = source.getInt32(from, true);
      const a = table[four & 0xff] ?? 0;
      const b = table[(four >>> 8) & 0xff] ?? 0;
      const c = table[(four >>> 16) & 0xff] ?? 0;
      const d = table[four >>> 24] ?? 0;
      held |= ((a >>> LENGTH_BITS) | ((b >>> LENGTH_BITS) << a)) << count;
      count += (a + b) & LENGTH_MASK;
      view.setInt32(at, held, true);
      at += count >>> 3;
      held >>>= count & 24;
      count &= 7;
      held |= ((c >>> LENGTH_BITS) | ((d >>> LENGTH_BITS) << c)) << count;
      count += (c + d) & LENGTH_MASK;
      view.setInt32(at, held, true);
      at += count >>> 3;
      held >>>= count & 24;
      count &= 7;
    }
    this.#at = at;
    this.#held = held;
    this.#count = count;
    for (const byte of bytes.subarray(whole)) this.code(table[byte] ?? 0);
  }

  /** Puts the code of one entry of a table. */
  code(entry: number): void {
    this.put(entry >>> LENGTH_BITS, entry & LENGTH_MASK);
  }

  /** An empty stored block (RFC 1951, 3.2.4), which ends at a byte boundary. Returns the bytes written from the start on. */
  syncFlush(): number {
    this.put(0, 3);
    if (this.#count > 0) this.put(0, 8 - this.#count);
    this.put(0, 16);
    this.put(0xffff, 16);
    return this.#at;
  }
}
