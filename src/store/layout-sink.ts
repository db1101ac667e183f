/**
 * An OCI image layout on disk as a place to write to: blobs, then an entry of index.json; what no entry names goes.
 * Writers hold a shared lock on the directory for as long as they have blobs without a name there; garbage is only
 * removed when there is no other writer.
 */
import { closeSync, createWriteStream, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BuildError } from '../errors.ts';
import { type Descriptor, type Digest, digestOf, hexOf, MEDIA_TYPE } from '../image/descriptor.ts';
import {
  type ImageIndex,
  type ManifestDocument,
  parseIndex,
  parseManifestDocument,
} from '../image/manifest.ts';
import { lockFile, withLock } from '../system/file-calls.ts';
import {
  diskError,
  makeDirectories,
  placeFile,
  randomName,
  readTextIfExists,
  writeFileAtomic,
} from '../system/files.ts';
import type { BlobUpload, ContentSink, Replacement } from './content-store.ts';
import { REF_NAME } from './name-store.ts';

/** What is to be put there. */
interface Entry {
  readonly descriptor: Descriptor;
  readonly content: Buffer;
  readonly reference: string;
  /** Says of the manifest that has the name now whether it may be replaced. */
  readonly isExpected: (old: Digest | undefined) => boolean;
}

export class LayoutSink implements ContentSink {
  readonly #directory: string;
  #lock: number | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async hasBlob({ digest, size }: Descriptor): Promise<boolean> {
    return statSync(this.#path(digest), { throwIfNoEntry: false })?.size === size;
  }

  async pushBlob(upload: BlobUpload, signal?: AbortSignal): Promise<'uploaded' | 'exists'> {
    const { descriptor, open } = upload;
    this.#use();
    if (await this.hasBlob(descriptor)) return 'exists';
    const draft = join(this.#directory, `write-${randomName()}`);
    try {
      await placeFile(this.#path(descriptor.digest), draft, () =>
        pipeline(open(0), createWriteStream(draft, { flags: 'wx' }), { signal }),
      );
    } catch (error) {
      throw diskError(error, draft);
    }
    return 'uploaded';
  }

  /** `reference` is the ref name of the new entry of index.json, in place of one with the same name. */
  async pushManifest(descriptor: Descriptor, content: Buffer, reference: string | Digest): Promise<void> {
    await this.#put({ descriptor, content, reference, isExpected: () => true });
  }

  replaceManifest({ over, ...manifest }: Replacement, reference: string): Promise<boolean> {
    return this.#put({ ...manifest, reference, isExpected: (old) => old === over });
  }

  /** False, and still holding on to the directory, when the name means something that is not expected. */
  async #put({ descriptor, content, reference, isExpected }: Entry): Promise<boolean> {
    await this.pushBlob({ descriptor, open: (offset) => Readable.from([content.subarray(offset)]) });
    await this.#requireBlobs(parseManifestDocument(content, descriptor.mediaType));
    try {
      const entry = { ...descriptor, annotations: { [REF_NAME]: reference } };
      const index = this.#writeIndex(entry, isExpected);
      if (index === 'other') return false;
      if (index !== undefined && this.#lock !== undefined && lockFile(this.#lock, 'exclusive', false))
        this.#sweep(index);
      this.close();
      return true;
    } catch (error) {
      this.close();
      throw diskError(error, this.#directory);
    }
  }

  /** Another writer may have removed blobs that this one found there before it held the lock. */
  async #requireBlobs(document: ManifestDocument): Promise<void> {
    if (document.kind === 'index') return;
    for (const blob of [document.manifest.config, ...document.manifest.layers]) {
      if (await this.hasBlob(blob)) continue;
      const message = `the OCI layout ${this.#directory} lacks ${blob.digest}`;
      throw new BuildError('BASE_IMAGE_INCOMPLETE', message);
    }
  }

  /** Lets go of the directory. */
  close(): void {
    if (this.#lock !== undefined) closeSync(this.#lock);
    this.#lock = undefined;
  }

  #use(): void {
    if (this.#lock !== undefined) return;
    try {
      makeDirectories(join(this.#directory, 'blobs', 'sha256'));
      this.#lock = openSync(this.#directory, 'r');
    } catch (error) {
      throw diskError(error, this.#directory);
    }
    lockFile(this.#lock, 'shared', true);
  }

  /**
   * Nothing is waited for while the lock is held: another writer of this very process may want it. Undefined when the
   * index could not be read and was written anew: what it named is not known to be garbage. "other" when the name
   * means something that is not expected.
   */
  #writeIndex(
    entry: Descriptor,
    isExpected: (old: Digest | undefined) => boolean,
  ): ImageIndex | 'other' | undefined {
    return withLock(openSync(join(this.#directory, 'blobs'), 'r'), 'exclusive', () => {
      const old = this.#readIndex();
      const name = entry.annotations?.[REF_NAME];
      const manifests = old?.manifests ?? [];
      const isOurs = ({ annotations }: Descriptor) => annotations?.[REF_NAME] === name;
      if (old !== undefined && !isExpected(manifests.find(isOurs)?.digest)) return 'other';
      const others = manifests.filter((each) => !isOurs(each));
      const index: ImageIndex = {
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.ociIndex,
        manifests: [...others, entry],
      };
      const write = { temporary: this.#directory };
      writeFileAtomic(join(this.#directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}', write);
      writeFileAtomic(join(this.#directory, 'index.json'), JSON.stringify(index), write);
      return old === undefined ? undefined : index;
    });
  }

  /** Undefined for one that cannot be read; one without entries where there is none yet. */
  #readIndex(): Pick<ImageIndex, 'manifests'> | undefined {
    const text = readTextIfExists(join(this.#directory, 'index.json'));
    if (text === undefined) return { manifests: [] };
    try {
      return parseIndex(Buffer.from(text));
    } catch (error) {
      if (error instanceof BuildError) return undefined;
      throw error;
    }
  }

  /** Removes blobs that nothing names any more. With a document that cannot be read, all stays. */
  #sweep(index: ImageIndex): void {
    const live = new Set<string>();
    try {
      for (const manifest of index.manifests) this.#mark(manifest, live);
    } catch {
      return;
    }
    const directory = join(this.#directory, 'blobs', 'sha256');
    for (const name of readdirSync(directory)) {
      if (!live.has(name)) rmSync(join(directory, name), { force: true });
    }
  }

  #mark(descriptor: Descriptor, live: Set<string>): void {
    live.add(hexOf(descriptor.digest));
    const content = readFileSync(this.#path(descriptor.digest));
    if (digestOf(content) !== descriptor.digest) throw new Error('a damaged manifest names nothing');
    const document = parseManifestDocument(content, descriptor.mediaType);
    if (document.kind === 'index') {
      for (const manifest of document.index.manifests) this.#mark(manifest, live);
      return;
    }
    for (const { digest } of [document.manifest.config, ...document.manifest.layers]) live.add(hexOf(digest));
  }

  #path(digest: Digest): string {
    return join(this.#directory, 'blobs', 'sha256', hexOf(digest));
  }
}
