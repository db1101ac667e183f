/** Writes pieces of a file by the thread pool, each where it belongs: through the page cache, or past it (O_DIRECT). */
import { closeSync, constants, openSync, write } from 'node:fs';
import { systemErrorCode } from '../errors.ts';
import type { IoRoute, Way } from './io-route.ts';
import { monotonicMs } from './monotonic.ts';

/** Where a piece goes. A way past the page cache needs whole sectors, and memory at the beginning of one. */
export interface Piece {
  readonly way: Way;
  readonly position: number;
}

export class PieceWriter {
  readonly #fd: number;
  readonly #route: IoRoute;
  /** The same file, opened with O_DIRECT at its first use. */
  #direct: number | undefined;
  #isRefused = false;
  #underWay = 0;
  /** When the first write of those under way began, or the last one ended. */
  #busySince = 0;
  #failed = false;
  #failure: unknown;

  /** Writes to a descriptor, which stays its owner's. The route is told how fast it went. */
  constructor(fd: number, route: IoRoute) {
    this.#fd = fd;
    this.#route = route;
  }

  /** Whether a write has failed, after which nothing is written; `failure` is its error. */
  get failed(): boolean {
    return this.#failed;
  }

  get failure(): unknown {
    return this.#failure;
  }

  /** Writes bytes, which must not change before `done` is called; it is, whether they were written or not. */
  write(bytes: Buffer, piece: Piece, done: () => void): void {
    if (this.#underWay === 0) this.#busySince = monotonicMs();
    this.#underWay += 1;
    this.#write(bytes, piece, done);
  }

  /** Closes what it has opened; nothing may be under way. */
  close(): void {
    if (this.#direct !== undefined) closeSync(this.#direct);
    this.#direct = undefined;
  }

  #write(bytes: Buffer, { way, position }: Piece, done: () => void): void {
    if (bytes.length === 0 || this.#failed) {
      this.#underWay -= 1;
      done();
      return;
    }
    const direct = way === 'direct' ? this.#openDirect() : undefined;
    write(direct ?? this.#fd, bytes, 0, bytes.length, position, (error, count) => {
      // What a filesystem without O_DIRECT is given goes the other way, and so does what no sector holds.
      if (error !== null && direct !== undefined && systemErrorCode(error) === 'EINVAL') this.#refuse();
      else if (error !== null) {
        this.#failed = true;
        this.#failure = error;
      }
      this.#measure(direct === undefined ? 'cached' : 'direct', count);
      this.#write(bytes.subarray(count), { way: 'cached', position: position + count }, done);
    });
  }

  #measure(way: Way, bytes: number): void {
    const now = monotonicMs();
    this.#route.went(way, { bytes, milliseconds: now - this.#busySince });
    this.#busySince = now;
  }

  #openDirect(): number | undefined {
    if (this.#isRefused) return undefined;
    try {
      // By way of its descriptor: the file may have no name, or another one by now.
      this.#direct ??= openSync(`/proc/self/fd/${this.#fd}`, constants.O_WRONLY | constants.O_DIRECT);
    } catch {
      this.#refuse();
    }
    return this.#direct;
  }

  /** Other writes of this kind may be under way, so what they write to stays open. */
  #refuse(): void {
    this.#isRefused = true;
    this.#route.refuse();
  }
}
