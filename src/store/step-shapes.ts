/**
 * Which records a step has that differ in what they were run on only: by the step's shape, its key's parts without the
 * parent. One small file a shape, with the keys of its latest records.
 */
import { join } from 'node:path';
import { type CacheKey, type Digest, hexOf, isDigest } from '../image/descriptor.ts';
import { makeDirectories, readTextIfExists, writeFileAtomic } from '../system/files.ts';

/** Enough for some branches of one Dockerfile side by side. */
const KEPT = 8;

export class StepShapes {
  readonly #directory: string;
  readonly #temporary: string;

  constructor(root: string) {
    this.#directory = join(root, 'cache', 'shapes');
    this.#temporary = join(root, 'tmp');
  }

  /** Keys of records of a shape, the latest first. */
  get(shape: Digest): CacheKey[] {
    return (readTextIfExists(this.#path(shape)) ?? '').split('\n').filter(isDigest);
  }

  /** Adds a record's key. Of two processes that do so at once one may be forgotten: it costs a hit, no more. */
  add(shape: Digest, key: CacheKey): void {
    const known = this.get(shape);
    if (known[0] === key) return;
    const keys = [key, ...known.filter((other) => other !== key)].slice(0, KEPT);
    makeDirectories(this.#directory);
    writeFileAtomic(this.#path(shape), keys.join('\n'), { temporary: this.#temporary, flush: false });
  }

  #path(shape: Digest): string {
    return join(this.#directory, hexOf(shape));
  }
}
