/** What addresses gave when they were last asked: enough to ask again whether it is still so. One small file an address. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type Digest, isDigest } from '../image/descriptor.ts';
import { makeDirectories, readTextIfExists, writeFileAtomic } from '../system/files.ts';

export interface DownloadRecord {
  /** The bytes are a blob of the store while nothing has pruned it. */
  readonly digest: Digest;
  readonly size: number;
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
}

export class DownloadStore {
  readonly #directory: string;
  readonly #temporary: string;

  constructor(root: string) {
    this.#directory = join(root, 'cache', 'downloads');
    this.#temporary = join(root, 'tmp');
  }

  /** The record of an address; undefined when there is none or it cannot be read as one. */
  get(url: string): DownloadRecord | undefined {
    const text = readTextIfExists(this.#path(url));
    if (text === undefined) return undefined;
    try {
      const record = JSON.parse(text) as DownloadRecord;
      return isDigest(record.digest) ? record : undefined;
    } catch {
      return undefined;
    }
  }

  put(url: string, record: DownloadRecord): void {
    makeDirectories(this.#directory);
    writeFileAtomic(this.#path(url), JSON.stringify(record), { temporary: this.#temporary, flush: false });
  }

  /** An address may hold a login, so that it is never written down. */
  #path(url: string): string {
    return join(this.#directory, createHash('sha256').update(url).digest('hex'));
  }
}
