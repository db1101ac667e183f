/** A stack of lower directories in overlay form, asked about single paths: what was there before a step ran. */
import type { Stats } from 'node:fs';
import { isOpaque, isWhiteout, lstatPath } from './host-entry.ts';

export interface LowerFile {
  /** Byte path on this machine. */
  readonly host: string;
  readonly stats: Stats;
}

export class LowerView {
  readonly #lowers: readonly string[];
  /** Whether a directory of a lower hides what is below it in the stack. */
  readonly #hides = new Map<string, boolean>();

  /** `lowers`: absolute byte paths, topmost first. */
  constructor(lowers: readonly string[]) {
    this.#lowers = lowers;
  }

  /** The file that was visible at `path`; undefined when there was none. */
  find(path: string): LowerFile | undefined {
    for (const lower of this.#lowers) {
      const host = path === '' ? lower : `${lower}/${path}`;
      const stats = lstatPath(host);
      if (stats !== undefined) return isWhiteout(stats) ? undefined : { host, stats };
      if (this.#hidden(lower, path)) return undefined;
    }
    return undefined;
  }

  /** True when a parent of `path` in this lower is deleted, no directory, or opaque. */
  #hidden(lower: string, path: string): boolean {
    const slash = path.lastIndexOf('/');
    if (slash < 0) return false;
    const parent = path.slice(0, slash);
    const key = `${lower}/${parent}`;
    let hides = this.#hides.get(key);
    if (hides === undefined) {
      const stats = lstatPath(key);
      if (stats === undefined) hides = this.#hidden(lower, parent);
      else hides = !stats.isDirectory() || isOpaque(key) || this.#hidden(lower, parent);
      this.#hides.set(key, hides);
    }
    return hides;
  }
}
