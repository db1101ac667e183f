/** Text whose characters are bytes (latin1), as names are, put together from many short pieces outside the heap. */

const FIRST_BYTES = 64 << 10;

/** Pieces that are joined before they are written: a call for each would cost more than its bytes. */
const BATCH = 512;

export class ByteText {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #written = 0;
  #pieces: string[] = [];
  #length = 0;

  /** Bytes appended so far. */
  get length(): number {
    return this.#length;
  }

  append(piece: string): void {
    this.#pieces.push(piece);
    this.#length += piece.length;
    if (this.#pieces.length === BATCH) this.#flush();
  }

  /** All bytes; valid until more are appended. */
  bytes(): Buffer<ArrayBuffer> {
    this.#flush();
    return this.#bytes.subarray(0, this.#length);
  }

  #flush(): void {
    if (this.#pieces.length === 0) return;
    const text = this.#pieces.join('');
    this.#pieces = [];
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#length, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#written);
      this.#bytes = larger;
    }
    this.#bytes.write(text, this.#written, 'latin1');
    this.#written = this.#length;
  }
}
