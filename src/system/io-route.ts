/**
 * Which way the bytes of a large file go: through the page cache, or past it (O_DIRECT). The page cache is the faster one
 * where memory is at hand. Where it is not (a pod near its limit, a virtual machine that must ask its host for every
 * page, a disk that is behind with what was written before), each page costs more than the disk itself. Told by measuring.
 */

export type Way = 'cached' | 'direct';

/** Bytes after which a way is judged. */
const WINDOW = 8 << 20;

/** Bytes a millisecond (600 MB/s) at which the page cache is left alone. */
const FAST = 600_000;

/** Bytes until O_DIRECT is tried again after it lost; doubled each time. */
const PATIENCE = 64 << 20;

/** The choice for one direction of one file. */
export class IoRoute {
  #way: Way = 'cached';
  #bytes = 0;
  #milliseconds = 0;
  /** Bytes a millisecond through the page cache, when last measured. */
  #cachedRate = 0;
  #patience = PATIENCE;
  /** Bytes to go before O_DIRECT is tried again. */
  #wait = 0;
  #possible = true;

  /** The way for the next bytes. */
  get way(): Way {
    return this.#way;
  }

  /** O_DIRECT does not work for this file. */
  refuse(): void {
    this.#possible = false;
    this.#turn('cached');
  }

  /** Counts bytes that went a way, and for how long anything was under way. */
  went(way: Way, { bytes, milliseconds }: { readonly bytes: number; readonly milliseconds: number }): void {
    if (way !== this.#way) return;
    this.#bytes += bytes;
    this.#milliseconds += milliseconds;
    this.#wait -= bytes;
    if (this.#bytes < WINDOW) return;
    const rate = this.#bytes / Math.max(this.#milliseconds, 0.001);
    if (way === 'cached') this.#judgeCached(rate);
    else this.#judgeDirect(rate);
    this.#bytes = 0;
    this.#milliseconds = 0;
  }

  #judgeCached(rate: number): void {
    this.#cachedRate = rate;
    if (this.#possible && rate < FAST && this.#wait <= 0) this.#turn('direct');
  }

  #judgeDirect(rate: number): void {
    if (rate >= this.#cachedRate) return;
    this.#turn('cached');
    this.#wait = this.#patience;
    this.#patience *= 2;
  }

  #turn(way: Way): void {
    this.#way = way;
    this.#bytes = 0;
    this.#milliseconds = 0;
  }
}

/** Bytes that go past the page cache at a time. O_DIRECT wants memory, offset and length in whole sectors. */
export const DIRECT_BLOCK = 1 << 20;

/** Memory for one block, at the beginning of a page: what can be resized is mapped by itself. */
export function directBlock(): Buffer {
  return Buffer.from(new ArrayBuffer(DIRECT_BLOCK, { maxByteLength: DIRECT_BLOCK }));
}
