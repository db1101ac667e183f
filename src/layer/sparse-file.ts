/** A new file written from start to end, long runs of zeros left as holes. */
import { ftruncateSync, writeSync } from 'node:fs';

/** Zeros are looked for in pieces of this size; smaller holes are not worth a system call. */
const PIECE = 64 << 10;

const ZEROS = Buffer.alloc(PIECE);

export class SparseFile {
  readonly #fd: number;
  #position = 0;
  #hole = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Appends bytes. */
  write(chunk: Buffer): void {
    // Where the piece began that is not written yet.
    let from = 0;
    for (let at = 0; at + PIECE <= chunk.length; at += PIECE) {
      if (chunk[at] !== 0 || chunk.compare(ZEROS, 0, PIECE, at, at + PIECE) !== 0) continue;
      this.#writeAll(chunk, from, at);
      this.#position += PIECE;
      this.#hole = true;
      from = at + PIECE;
    }
    this.#writeAll(chunk, from, chunk.length);
  }

  /** Gives the file its size when it ends in a hole. */
  end(): void {
    if (this.#hole) ftruncateSync(this.#fd, this.#position);
  }

  #writeAll(chunk: Buffer, from: number, to: number): void {
    if (from === to) return;
    this.#hole = false;
    for (let at = from; at < to; ) {
      const count = writeSync(this.#fd, chunk, at, to - at, this.#position);
      at += count;
      this.#position += count;
    }
  }
}
