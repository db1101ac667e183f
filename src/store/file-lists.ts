/**
 * What a digest over files in a cache key stands for: the list of paths with their attributes and digests, so that a
 * miss can name the paths that differ. Written when a step has run, read only to explain; named by its own digest.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, zstdCompress, zstdDecompressSync } from 'node:zlib';
import { systemErrorCode } from '../errors.ts';
import { type Digest, digestOf, hexOf } from '../image/descriptor.ts';
import { makeDirectories, touch, writeFileAtomic } from '../system/files.ts';

/** A list of files: its text in pieces, and the digest of them together. */
export interface FileList {
  readonly digest: Digest;
  readonly pieces: readonly string[];
}

/** A hundred thousand files make 13 MB; what claims to be larger is no list. */
const LIMIT = 512 << 20;

export class FileLists {
  readonly #directory: string;
  readonly #temporary: string;

  constructor(root: string) {
    this.#directory = join(root, 'cache', 'trees');
    this.#temporary = join(root, 'tmp');
  }

  /** Keeps a list, unless it is there. */
  async put({ digest, pieces }: FileList): Promise<void> {
    const path = this.#path(digest);
    if (touch(path)) return;
    // Level 1 halves a list in a few milliseconds, beside the main thread.
    const params = { [constants.ZSTD_c_compressionLevel]: 1 };
    const compressed = await new Promise<Buffer>((resolve, reject) => {
      zstdCompress(Buffer.from(pieces.join('')), { params }, (error, result) =>
        error === null ? resolve(result) : reject(error),
      );
    });
    makeDirectories(this.#directory);
    writeFileAtomic(path, compressed, { temporary: this.#temporary, flush: false });
  }

  /** The text of a list, checked against its digest; undefined when there is none that is whole. */
  get(digest: Digest): string | undefined {
    const file = this.getPacked(digest);
    return file === undefined ? undefined : unpackFileList(digest, file);
  }

  /** The list as it is kept, compressed by zstd: for who takes it elsewhere. */
  getPacked(digest: Digest): Buffer | undefined {
    try {
      return readFileSync(this.#path(digest));
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  #path(digest: Digest): string {
    return join(this.#directory, hexOf(digest));
  }
}

/** Text of a list from its compressed form; undefined when it is not what the digest names. */
export function unpackFileList(digest: Digest, file: Uint8Array): string | undefined {
  try {
    const text = zstdDecompressSync(file, { maxOutputLength: LIMIT });
    return digestOf(text) === digest ? text.toString('utf8') : undefined;
  } catch {
    return undefined; // Damaged, or larger than any list.
  }
}
