/** Cache records: a key, the parts it was made of, and the layer the step gave. One small file a key. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.ts';
import {
  type CacheKey,
  type Descriptor,
  type DiffId,
  type Digest,
  hexOf,
  isDigest,
  type KeyPart,
} from '../image/descriptor.ts';
import type { LayerTimes } from '../layer/layer-times.ts';
import { makeDirectories, touch, writeFileAtomic } from '../system/files.ts';

/** The result of a step. */
export interface CachedLayer {
  readonly diffId: DiffId;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
  /** RFC 3339: when the step ran. */
  readonly created: string;
  /** The blob it came as, when it came from elsewhere: then the store may hold that instead of the tar. */
  readonly blob?: Descriptor | undefined;
  /** The form of that blob, such as "gzip-6", where it is known. */
  readonly form?: string | undefined;
  /** Where its times come from; without it, the layer can be given no others. */
  readonly times?: LayerTimes | undefined;
}

export interface CacheRecord {
  readonly key: CacheKey;
  readonly parts: readonly KeyPart[];
  readonly layer: CachedLayer;
  /** The step's key over the bytes it read, where it has one: what the next step's key is built on. */
  readonly contentKey?: CacheKey | undefined;
  /** The layers that the step was run on, lowest first; unknown where the result was found in another way. */
  readonly below?: readonly DiffId[] | undefined;
}

/** Digests of the lists of files that a record's parts name. */
export function fileListsOf(parts: readonly KeyPart[]): Digest[] {
  return parts.flatMap(([name, value]) => {
    const digest = /^(?:source|mounted)/.test(name)
      ? /^\["files","(sha256:[0-9a-f]{64})"\]$/.exec(value)?.[1]
      : '';
    return isDigest(digest) ? [digest] : [];
  });
}

export class RecordStore {
  readonly #directory: string;
  readonly #temporary: string;

  constructor(root: string) {
    this.#directory = join(root, 'cache');
    this.#temporary = join(root, 'tmp');
  }

  /** The record of a key; undefined when there is none or it cannot be read as one. */
  get(key: CacheKey): CacheRecord | undefined {
    const record = this.peek(key);
    // Its last use orders records when the cache is trimmed.
    return record !== undefined && touch(this.#path(key)) ? record : undefined;
  }

  /** Like `get`, for who only looks. */
  peek(key: CacheKey): CacheRecord | undefined {
    const record = this.#read(this.#path(key));
    return record?.key === key ? record : undefined;
  }

  #read(path: string): CacheRecord | undefined {
    try {
      const record = JSON.parse(readFileSync(path, 'utf8')) as CacheRecord;
      const { key, layer, parts } = record;
      return isDigest(key) && isDigest(layer?.diffId) && Array.isArray(parts) ? record : undefined;
    } catch (error) {
      const code = systemErrorCode(error);
      if (error instanceof SyntaxError || error instanceof TypeError || code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Every record that can be read; what a build does not use for long is not marked as used by this. */
  *list(): Generator<CacheRecord> {
    for (const folder of readdirSync(this.#directory)) {
      if (!/^[0-9a-f]{2}$/.test(folder)) continue;
      for (const name of readdirSync(join(this.#directory, folder))) {
        const record = this.#read(join(this.#directory, folder, name));
        if (record !== undefined && hexOf(record.key) === name) yield record;
      }
    }
  }

  /** True when no step was ever recorded. */
  isEmpty(): boolean {
    return !readdirSync(this.#directory).some((folder) => /^[0-9a-f]{2}$/.test(folder));
  }

  /** Removes every record of a layer: it is not what they say. */
  drop(diffId: DiffId): void {
    for (const { key, layer } of this.list()) {
      if (layer.diffId === diffId) rmSync(this.#path(key), { force: true });
    }
  }

  put(record: CacheRecord): void {
    const path = this.#path(record.key);
    makeDirectories(path.slice(0, path.lastIndexOf('/')));
    writeFileAtomic(path, JSON.stringify(record), { temporary: this.#temporary, flush: false });
  }

  #path(key: CacheKey): string {
    const hex = hexOf(key);
    return join(this.#directory, hex.slice(0, 2), hex);
  }
}
