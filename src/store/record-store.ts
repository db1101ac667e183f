/** Cache records: a key, the parts it was made of, and the layer the step gave. One small file a key. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.ts';
import { type CacheKey, type DiffId, hexOf, isDigest, type KeyPart } from '../image/descriptor.ts';
import { makeDirectories, touch, writeFileAtomic } from '../system/files.ts';

/** The result of a step. */
export interface CachedLayer {
  readonly diffId: DiffId;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
  /** RFC 3339: when the step ran. */
  readonly created: string;
}

export interface CacheRecord {
  readonly key: CacheKey;
  readonly parts: readonly KeyPart[];
  readonly layer: CachedLayer;
  /** The step's key over the bytes it read, where it has one: what the next step's key is built on. */
  readonly contentKey?: CacheKey | undefined;
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
    try {
      const record = JSON.parse(readFileSync(this.#path(key), 'utf8')) as CacheRecord;
      const valid = record.key === key && isDigest(record.layer?.diffId);
      // Its last use orders records when the cache is trimmed.
      return valid && touch(this.#path(key)) ? record : undefined;
    } catch (error) {
      if (error instanceof SyntaxError || systemErrorCode(error) === 'ENOENT') return undefined;
      throw error;
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
