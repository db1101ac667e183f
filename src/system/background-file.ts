/**
 * A file that is written by the thread pool while its writer makes the next bytes: writing costs as much as hashing.
 * Large files go past the page cache where that is the faster way (io-route.ts).
 */
import { closeSync, openSync } from 'node:fs';
import { DIRECT_BLOCK, directBlock, IoRoute } from './io-route.ts';
import { type Piece, PieceWriter } from './piece-writer.ts';

/** Pieces under way before the writer should wait: enough that neither waits for the other, and little memory. */
const UNDER_WAY = 4;

export interface BackgroundFileOptions {
  readonly route?: IoRoute;
  /** Descriptor of an empty file that is given the same bytes, as far as that works; it stays its owner's. */
  readonly copy?: number | undefined;
}

export class BackgroundFile {
  readonly #fd: number;
  readonly #isOwner: boolean;
  readonly #route: IoRoute;
  readonly #own: PieceWriter;
  readonly #copy: PieceWriter | undefined;
  #size = 0;
  /** Pieces that are not written yet. */
  #underWay = 0;
  #abandoned = false;
  #closed = false;
  /** Told of every piece that is written. */
  #waiting: (() => void)[] = [];
  /** Bytes gathered for one write past the page cache: the file's from `#size` rounded down to a block, up to `#size`. */
  #block: Buffer | undefined;
  /** Where in the block the gathered bytes begin. */
  #blockStart = 0;
  readonly #freeBlocks: Buffer[] = [];

  /** Makes the file, which must not exist, or takes the descriptor of an empty one, which stays its owner's. */
  constructor(file: string | number, { route = new IoRoute(), copy }: BackgroundFileOptions = {}) {
    this.#route = route;
    this.#isOwner = typeof file === 'string';
    this.#fd = typeof file === 'string' ? openSync(file, 'wx', 0o644) : file;
    this.#own = new PieceWriter(this.#fd, route);
    this.#copy = copy === undefined ? undefined : new PieceWriter(copy, new IoRoute());
  }

  /** Bytes appended so far. */
  get size(): number {
    return this.#size;
  }

  /** True when a copy was wanted and has all that was written so far. */
  get isCopied(): boolean {
    return this.#copy?.failed === false;
  }

  /** Appends bytes, which must not change before `done` is called. A failure is told by `room` and `finish`. */
  append(bytes: Buffer, done?: () => void): void {
    if (this.#block === undefined && this.#route.way === 'cached') {
      const position = this.#size;
      this.#size += bytes.length;
      this.#begin(bytes, { way: 'cached', position }, done);
      return;
    }
    this.#gather(bytes);
    done?.();
  }

  /** A promise to wait for before appending more; undefined while there is room. */
  room(): Promise<void> | undefined {
    return this.#underWay < UNDER_WAY && !this.#own.failed ? undefined : this.#until(UNDER_WAY - 1);
  }

  /** Waits until all is written, and closes. Throws the first failure. */
  async finish(): Promise<void> {
    this.#sendBlock();
    await this.#until(0);
    this.abandon();
  }

  /** Closes as soon as nothing is under way. */
  abandon(): void {
    this.#abandoned = true;
    if (this.#closed || this.#underWay > 0) return;
    this.#closed = true;
    this.#own.close();
    this.#copy?.close();
    if (this.#isOwner) closeSync(this.#fd);
  }

  /** Resolves when nothing is under way, whatever became of it. */
  async idle(): Promise<void> {
    while (this.#underWay > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async #until(underWay: number): Promise<void> {
    while (this.#underWay > underWay && !this.#own.failed) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#own.failed) throw this.#own.failure;
  }

  /** Copies bytes into blocks and sends those that are full. */
  #gather(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const fill = this.#size % DIRECT_BLOCK;
      if (this.#block === undefined) {
        this.#block = this.#freeBlocks.pop() ?? directBlock();
        this.#blockStart = fill;
      }
      const count = bytes.copy(this.#block, fill, at);
      at += count;
      this.#size += count;
      if (fill + count === DIRECT_BLOCK) this.#sendBlock();
    }
  }

  /** Writes the bytes that were gathered. */
  #sendBlock(): void {
    const block = this.#block;
    if (block === undefined) return;
    this.#block = undefined;
    const end = this.#size % DIRECT_BLOCK || DIRECT_BLOCK;
    const bytes = block.subarray(this.#blockStart, end);
    const way = bytes.length === DIRECT_BLOCK ? this.#route.way : 'cached';
    this.#begin(bytes, { way, position: this.#size - bytes.length }, () => this.#freeBlocks.push(block));
  }

  #begin(bytes: Buffer, piece: Piece, done?: () => void): void {
    const writers = this.#copy === undefined ? [this.#own] : [this.#own, this.#copy];
    let left = writers.length;
    this.#underWay += 1;
    for (const writer of writers) {
      writer.write(bytes, piece, () => {
        left -= 1;
        if (left === 0) this.#ended(done);
      });
    }
  }

  #ended(done: (() => void) | undefined): void {
    this.#underWay -= 1;
    done?.();
    for (const resolve of this.#waiting.splice(0)) resolve();
    if (this.#abandoned) this.abandon();
  }
}
