/**
 * A file that is written by the thread pool while its writer makes the next bytes: writing costs as much as hashing.
 * Large files go past the page cache where that is the faster way (io-route.ts).
 */
import { closeSync, constants, openSync, write } from 'node:fs';
import { systemErrorCode } from '../errors.ts';
import { DIRECT_BLOCK, directBlock, IoRoute, type Way } from './io-route.ts';

/** Buffers under way before the writer should wait: enough that neither waits for the other, and little memory. */
const UNDER_WAY = 4;

/** One write. */
interface Piece {
  readonly way: Way;
  readonly position: number;
  readonly done: (() => void) | undefined;
}

export class BackgroundFile {
  readonly #path: string;
  readonly #route: IoRoute;
  readonly #fd: number;
  /** The same file, opened with O_DIRECT at its first use. */
  #direct: number | undefined;
  #size = 0;
  #underWay = 0;
  /** When the first write of those under way began. */
  #busySince = 0;
  #failed = false;
  #failure: unknown;
  #abandoned = false;
  #closed = false;
  /** Told of every write that ends. */
  #waiting: (() => void)[] = [];
  /** Bytes gathered for one write past the page cache: the file's from `#size` rounded down to a block, up to `#size`. */
  #block: Buffer | undefined;
  /** Where in the block the gathered bytes begin. */
  #blockStart = 0;
  readonly #freeBlocks: Buffer[] = [];

  /** Makes the file, which must not exist. */
  constructor(path: string, route: IoRoute = new IoRoute()) {
    this.#path = path;
    this.#route = route;
    this.#fd = openSync(path, 'wx', 0o644);
  }

  /** Bytes appended so far. */
  get size(): number {
    return this.#size;
  }

  /** Appends bytes, which must not change before `done` is called. A failure is told by `room` and `finish`. */
  append(bytes: Buffer, done?: () => void): void {
    if (this.#block === undefined && this.#route.way === 'cached') {
      const position = this.#size;
      this.#size += bytes.length;
      this.#begin(bytes, { way: 'cached', position, done });
      return;
    }
    this.#gather(bytes);
    done?.();
  }

  /** A promise to wait for before appending more; undefined while there is room. */
  room(): Promise<void> | undefined {
    return this.#underWay < UNDER_WAY && !this.#failed ? undefined : this.#until(UNDER_WAY - 1);
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
    closeSync(this.#fd);
    if (this.#direct !== undefined) closeSync(this.#direct);
  }

  async #until(underWay: number): Promise<void> {
    while (this.#underWay > underWay && !this.#failed) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#failed) throw this.#failure;
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
    this.#begin(bytes, {
      way,
      position: this.#size - bytes.length,
      done: () => this.#freeBlocks.push(block),
    });
  }

  #begin(bytes: Buffer, piece: Piece): void {
    if (this.#underWay === 0) this.#busySince = performance.now();
    this.#underWay += 1;
    this.#write(bytes, piece);
  }

  #write(bytes: Buffer, piece: Piece): void {
    if (bytes.length === 0 || this.#failed) return this.#ended(piece.done);
    const fd = piece.way === 'direct' ? this.#openDirect() : this.#fd;
    // What no sector holds, or what a filesystem without O_DIRECT is given, goes the other way.
    const asCached = { ...piece, way: 'cached' } as const;
    if (fd === undefined) return this.#write(bytes, asCached);
    write(fd, bytes, 0, bytes.length, piece.position, (error, count) => {
      if (error !== null && piece.way === 'direct' && systemErrorCode(error) === 'EINVAL') {
        this.#route.refuse();
        return this.#write(bytes, asCached);
      }
      if (error !== null) {
        this.#failed = true;
        this.#failure = error;
      }
      this.#measure(piece.way, count);
      this.#write(bytes.subarray(count), { ...asCached, position: piece.position + count });
    });
  }

  #measure(way: Way, bytes: number): void {
    const now = performance.now();
    this.#route.went(way, { bytes, milliseconds: now - this.#busySince });
    this.#busySince = now;
  }

  #openDirect(): number | undefined {
    if (this.#direct !== undefined) return this.#direct;
    try {
      this.#direct = openSync(this.#path, constants.O_WRONLY | constants.O_DIRECT);
    } catch {
      this.#route.refuse();
    }
    return this.#direct;
  }

  #ended(done: (() => void) | undefined): void {
    this.#underWay -= 1;
    done?.();
    for (const resolve of this.#waiting.splice(0)) resolve();
    if (this.#abandoned) this.abandon();
  }
}
