/** A directory for what a build fetches before or while it runs: made when first needed, gone when the build is over. */
import { type Session, Store } from '../store/store.ts';

export class BuildScratch {
  readonly #root: string;
  #session: Session | undefined;

  /** `root` is the store's directory. */
  constructor(root: string) {
    this.#root = root;
  }

  /** Makes an empty directory, named so that people can tell what it was for. */
  makeDirectory(purpose: string): string {
    return this.#open().makeDirectory(purpose);
  }

  /** Path for a new file. */
  draft(purpose: string): string {
    return this.#open().draft(purpose);
  }

  /** Removes everything. */
  close(): void {
    this.#session?.close();
    this.#session = undefined;
  }

  #open(): Session {
    this.#session ??= Store.open(this.#root).openSession();
    return this.#session;
  }
}
