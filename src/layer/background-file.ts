/** A file that is written by the thread pool while its writer makes the next bytes: writing costs as much as hashing. */
import { closeSync, openSync, write } from 'node:fs';

/** Buffers under way before the writer should wait: enough that neither waits for the other, and little memory. */
const UNDER_WAY = 4;

export class BackgroundFile {
  readonly #fd: number;
  #size = 0;
  #underWay = 0;
  #failed = false;
  #failure: unknown;
  #abandoned = false;
  #closed = false;
  /** Told of every write that ends. */
  #waiting: (() => void)[] = [];

  /** Makes the file, which must not exist. */
  constructor(path: string) {
    this.#fd = openSync(path, 'wx', 0o644);
  }

  /** Bytes appended so far. */
  get size(): number {
    return this.#size;
  }

  /** Appends bytes, which must not change before `done` is called. A failure is told by `room` and `finish`. */
  append(bytes: Buffer, done?: () => void): void {
    const position = this.#size;
    this.#size += bytes.length;
    this.#underWay += 1;
    this.#write(bytes, { position, done });
  }

  /** A promise to wait for before appending more; undefined while there is room. */
  room(): Promise<void> | undefined {
    return this.#underWay < UNDER_WAY && !this.#failed ? undefined : this.#until(UNDER_WAY - 1);
  }

  /** Waits until all is written, and closes. Throws the first failure. */
  async finish(): Promise<void> {
    await this.#until(0);
    this.abandon();
  }

  /** Closes as soon as nothing is under way. */
  abandon(): void {
    this.#abandoned = true;
    if (this.#closed || this.#underWay > 0) return;
    this.#closed = true;
    closeSync(this.#fd);
  }

  async #until(underWay: number): Promise<void> {
    while (this.#underWay > underWay && !this.#failed) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    if (this.#failed) throw this.#failure;
  }

  #write(bytes: Buffer, { position, done }: { position: number; done: (() => void) | undefined }): void {
    if (bytes.length === 0 || this.#failed) return this.#ended(done);
    write(this.#fd, bytes, 0, bytes.length, position, (error, count) => {
      if (error !== null) {
        this.#failed = true;
        this.#failure = error;
      }
      this.#write(bytes.subarray(count), { position: position + count, done });
    });
  }

  #ended(done: (() => void) | undefined): void {
    this.#underWay -= 1;
    done?.();
    for (const resolve of this.#waiting.splice(0)) resolve();
    if (this.#abandoned) this.abandon();
  }
}
