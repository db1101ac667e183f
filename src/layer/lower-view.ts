/** A stack of lower directories in overlay form, asked about single paths: what was there before a step ran. */
import { readdirSync, type Stats } from 'node:fs';
import { toFsPath } from '../system/byte-path.ts';
import { isOpaque, isWhiteout, lstatPath } from './host-entry.ts';

export interface LowerFile {
  /** Byte path on this machine. */
  readonly host: string;
  readonly stats: Stats;
}

export class LowerView {
  readonly #lowers: readonly string[];
  /** For each directory asked about: the real directories it is merged from, topmost first. */
  readonly #merged = new Map<string, readonly string[]>();

  /** `lowers`: absolute byte paths, topmost first. */
  constructor(lowers: readonly string[]) {
    this.#lowers = lowers;
  }

  /** The file that was visible at `path`; undefined when there was none. No symlink on the way is followed. */
  find(path: string): LowerFile | undefined {
    const name = path.slice(path.lastIndexOf('/') + 1);
    for (const directory of path === '' ? this.#lowers : this.#directories(parentOf(path))) {
      const host = name === '' ? directory : `${directory}/${name}`;
      const stats = lstatPath(host);
      if (stats !== undefined) return isWhiteout(stats) ? undefined : { host, stats };
    }
    return undefined;
  }

  /** Names in a directory, deleted ones left out. */
  names(path: string): string[] {
    const names = new Set<string>();
    for (const directory of this.#directories(path)) {
      for (const name of readdirSync(toFsPath(directory), { encoding: 'latin1' })) names.add(name);
    }
    return [...names].filter((name) => this.find(path === '' ? name : `${path}/${name}`) !== undefined);
  }

  /** Below a directory that no lower has there is nothing to look for, however many lowers there are. */
  #directories(path: string): readonly string[] {
    if (path === '') return this.#lowers;
    const known = this.#merged.get(path);
    if (known !== undefined) return known;
    const name = path.slice(path.lastIndexOf('/') + 1);
    const found: string[] = [];
    for (const parent of this.#directories(parentOf(path))) {
      const host = `${parent}/${name}`;
      const stats = lstatPath(host);
      if (stats === undefined) continue;
      if (!stats.isDirectory()) break;
      found.push(host);
      if (isOpaque(host)) break;
    }
    this.#merged.set(path, found);
    return found;
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
