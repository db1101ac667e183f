/** Long work of the main thread, which gives turns away: signals and the terminal are heard in between. */
import { setImmediate } from 'node:timers/promises';

/** So many small things are done in a turn; a thousand files are looked at in some 10 ms. */
const SMALL_THINGS = 1_000;

export class Turns {
  readonly #signal: AbortSignal;
  #done = 0;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** To be asked before each small thing: whether it is time to give a turn away. */
  due(): boolean {
    this.#done += 1;
    return this.#done % SMALL_THINGS === 0;
  }

  /** Lets others work. Throws the signal's reason once it is aborted. */
  async give(): Promise<void> {
    await setImmediate();
    this.#signal.throwIfAborted();
  }
}
