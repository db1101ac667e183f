/** blobs/sha256 of the layout: content by digest, never changed once there. */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  linkSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BuildError, systemErrorCode } from '../errors.ts';
import { type Descriptor, type Digest, digestOf, hexOf } from '../image/descriptor.ts';
import { diskError, randomName, touch, writeFileAtomic } from '../system/files.ts';

/** Each read is a trip to a thread, so it is a large one. */
const READ_BYTES = 1 << 20;

export class BlobStore {
  readonly #directory: string;
  readonly #temporary: string;

  constructor(root: string) {
    this.#directory = join(root, 'blobs', 'sha256');
    this.#temporary = join(root, 'tmp');
  }

  path(digest: Digest): string {
    return join(this.#directory, hexOf(digest));
  }

  /** Bytes of a blob that is there, else undefined. */
  size(digest: Digest): number | undefined {
    return statSync(this.path(digest), { throwIfNoEntry: false })?.size;
  }

  has(digest: Digest): boolean {
    return this.size(digest) !== undefined;
  }

  /** Like `has`, and marks the blob as used now: what a living process uses is no garbage. */
  claim(digest: Digest): boolean {
    return touch(this.path(digest));
  }

  /** Content of a small blob, checked against its digest. Throws STORE_MISSING_BLOB or STORE_CORRUPT_BLOB. */
  read(digest: Digest): Buffer {
    let content: Buffer;
    try {
      content = readFileSync(this.path(digest));
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
      throw new BuildError('STORE_MISSING_BLOB', `the store has no blob ${digest}`, {
        suggestions: ['Build or pull the image again.'],
      });
    }
    if (digestOf(content) !== digest) {
      throw new BuildError('STORE_CORRUPT_BLOB', `blob ${digest} in the store does not match its digest`, {
        suggestions: ['kiln doctor --store removes what is damaged; then build or pull the image again.'],
      });
    }
    return content;
  }

  /** Stores a small document; returns its digest. Nothing is written when it is there already. */
  write(content: string | Buffer): Digest {
    const digest = digestOf(content);
    // One of another size is damaged: it is written again.
    const whole = this.size(digest) === Buffer.byteLength(content);
    if (!whole || !this.claim(digest))
      writeFileAtomic(this.path(digest), content, { temporary: this.#temporary });
    return digest;
  }

  /** Takes a finished file (on the same filesystem) into the store under a digest its maker has computed. */
  adopt(file: string, digest: Digest): void {
    // One of another size is damaged: the new one takes its place.
    const whole = this.size(digest) === statSync(file).size;
    if (whole && this.claim(digest)) rmSync(file, { force: true });
    else renameSync(file, this.path(digest));
  }

  /** Takes a file in by hard link or copy-free link, leaving the original; for blobs of another layout on this disk. */
  tryLink(file: string, digest: Digest): boolean {
    try {
      linkSync(file, this.path(digest));
      return true;
    } catch (error) {
      return systemErrorCode(error) === 'EEXIST';
    }
  }

  /** Waits until blobs are on the disk itself, so that a name never stands for bytes that a power cut can take. */
  async flush(digests: readonly Digest[]): Promise<void> {
    await Promise.all(
      digests.map(async (digest) => {
        const file = await open(this.path(digest), 'r');
        try {
          await file.datasync();
        } finally {
          await file.close();
        }
      }),
    );
  }

  /** Opens a blob from `offset` on. */
  open(digest: Digest, offset = 0): Readable {
    return createReadStream(this.path(digest), { start: offset, highWaterMark: READ_BYTES });
  }

  /** Stores a stream as the blob `descriptor` names; digest and size are checked before it is visible. */
  async receive(descriptor: Descriptor, source: Readable, onBytes?: (count: number) => void): Promise<void> {
    const draft = join(this.#temporary, `blob-${randomName()}`);
    const hash = createHash('sha256');
    let size = 0;
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        size += chunk.length;
        onBytes?.(chunk.length);
        done(null, chunk);
      },
    });
    try {
      await pipeline(source, meter, createWriteStream(draft, { flags: 'wx', flush: true }));
      const digest = `sha256:${hash.digest('hex')}`;
      if (digest !== descriptor.digest || size !== descriptor.size) {
        throw new BuildError(
          'STORE_DIGEST_MISMATCH',
          `blob ${descriptor.digest} (${descriptor.size} bytes) arrived as ${digest} (${size} bytes)`,
          { suggestions: ['Try again; if it stays so, the source is damaged.'] },
        );
      }
      renameSync(draft, this.path(descriptor.digest));
    } catch (error) {
      rmSync(draft, { force: true });
      throw diskError(error, draft);
    }
  }
}
