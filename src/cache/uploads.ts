/** Uploads beside a build: a few at a time; after a failure no more are begun. */
import type { Descriptor } from '../image/descriptor.ts';

/** Enough to fill a line, few enough to leave the build its share. */
const PARALLEL = 4;

export class Uploads {
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #sent = 0;
  #failure: { readonly error: unknown } | undefined;

  /** Bytes that were sent so far. */
  get sent(): number {
    return this.#sent;
  }

  count(outcome: 'uploaded' | 'mounted' | 'exists', { size }: Descriptor): void {
    if (outcome === 'uploaded') this.#sent += size;
  }

  /** Runs when there is room. Rejects with the first failure of all. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= PARALLEL) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      if (this.#failure !== undefined) throw this.#failure.error;
      return await work();
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}
