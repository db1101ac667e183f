/** A directory for what a build fetches before or while it runs: made when first needed, gone when the build is over. */
import { type Session, Store } from '../store/store.ts';

export class BuildScratch {
  readonly #root: string;
  readonly #endings: (() => void)[] = [];
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

  /** Calls `end` when the build is over, before anything is removed. */
  onClose(end: () => void): void {
    this.#endings.push(end);
  }

  /** Ends what runs here, and removes everything. */
  close(): void {
    for (const end of this.#endings.splice(0)) end();
    this.#session?.close();
    this.#session = undefined;
  }

  #open(): Session {
    this.#session ??= Store.open(this.#root).openSession();
    return this.#session;
  }
}
