/** An OCI image layout on disk (image-layout.md) as a place images come from: FROM oci:DIR[:TAG], and the store itself. */
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { BuildError, systemErrorCode } from '../errors.ts';
import { type Descriptor, type Digest, digestOf, hexOf, isDigest } from '../image/descriptor.ts';
import { parseIndex } from '../image/manifest.ts';
import type { ContentSource } from './content-store.ts';
import { REF_NAME } from './name-store.ts';

const DOCUMENT_LIMIT = 16 << 20;

export class LayoutSource implements ContentSource {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /**
   * Splits `DIR[:TAG]`: a directory of the whole name wins, else the last colon separates the tag.
   * Relative directories are below `base`. Throws BASE_IMAGE_NOT_FOUND when there is no layout.
   */
  static locate(text: string, base: string): { source: LayoutSource; tag: string } {
    const isLayout = (path: string): boolean =>
      statSync(join(path, 'oci-layout'), { throwIfNoEntry: false }) !== undefined;
    const whole = resolve(base, text);
    if (isLayout(whole)) return { source: new LayoutSource(whole), tag: '' };
    for (let colon = text.lastIndexOf(':'); colon > 0; colon = text.lastIndexOf(':', colon - 1)) {
      const directory = resolve(base, text.slice(0, colon));
      if (isLayout(directory)) return { source: new LayoutSource(directory), tag: text.slice(colon + 1) };
    }
    // The tag is no part of the directory: the last colon after the last slash begins it.
    const place = resolve(base, text.replace(/:[^/:]*$/, ''));
    throw new BuildError('BASE_IMAGE_NOT_FOUND', `oci:${text}: there is no OCI image layout at ${place}`, {
      suggestions: ['Name a directory that holds an oci-layout file, as oci:DIR or oci:DIR:TAG.'],
    });
  }

  /** The index entry of a tag, a digest, or, for "", the only entry. */
  async resolve(reference: string): Promise<Descriptor> {
    const index = parseIndex(this.#read('index.json'));
    const entries = index.manifests;
    const found = isDigest(reference)
      ? entries.find(({ digest }) => digest === reference)
      : reference === ''
        ? this.#only(entries)
        : entries.find(({ annotations }) => annotations?.[REF_NAME] === reference);
    if (found !== undefined) return found;
    if (isDigest(reference) && this.#size(reference) !== undefined) return this.#describe(reference);
    const tags = entries.flatMap(({ annotations }) => annotations?.[REF_NAME] ?? []);
    throw new BuildError('BASE_IMAGE_NOT_FOUND', `oci:${this.directory} has no image "${reference}"`, {
      suggestions: [
        tags.length === 0 ? 'Its images have no names; leave the tag out.' : `It has: ${tags.join(', ')}`,
      ],
    });
  }

  async fetchDocument(descriptor: Descriptor): Promise<Buffer> {
    const size = this.#size(descriptor.digest);
    if (size !== undefined && size > DOCUMENT_LIMIT) throw this.#damaged(descriptor.digest);
    const content = this.#read(join('blobs', 'sha256', hexOf(descriptor.digest)));
    if (digestOf(content) !== descriptor.digest) throw this.#damaged(descriptor.digest);
    return content;
  }

  async fetchBlob(descriptor: Descriptor, signal?: AbortSignal): Promise<Readable> {
    const path = this.blobPath(descriptor.digest);
    if (this.#size(descriptor.digest) === undefined) throw this.#missing(path);
    const hash = createHash('sha256');
    const damaged = (): Error => this.#damaged(descriptor.digest);
    const check = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        done(null, chunk);
      },
      flush(done) {
        done(`sha256:${hash.digest('hex')}` === descriptor.digest ? null : damaged());
      },
    });
    const file = createReadStream(path, {
      highWaterMark: 1 << 20,
      ...(signal === undefined ? {} : { signal }),
    });
    file.on('error', (error) => check.destroy(error));
    return file.pipe(check);
  }

  blobPath(digest: Digest): string {
    return join(this.directory, 'blobs', 'sha256', hexOf(digest));
  }

  #only(entries: readonly Descriptor[]): Descriptor | undefined {
    if (entries.length <= 1) return entries[0];
    // Several entries that name one manifest are one image under several tags.
    return new Set(entries.map(({ digest }) => digest)).size === 1 ? entries[0] : undefined;
  }

  #describe(digest: Digest): Descriptor {
    const content = this.#read(join('blobs', 'sha256', hexOf(digest)));
    const { mediaType } = JSON.parse(content.toString('utf8')) as { mediaType?: string };
    return {
      mediaType: mediaType ?? 'application/vnd.oci.image.manifest.v1+json',
      digest,
      size: content.length,
    };
  }

  #size(digest: Digest): number | undefined {
    return statSync(this.blobPath(digest), { throwIfNoEntry: false })?.size;
  }

  #read(path: string): Buffer {
    try {
      return readFileSync(join(this.directory, path));
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') throw this.#missing(join(this.directory, path));
      throw error;
    }
  }

  #missing(path: string): BuildError {
    return new BuildError('BASE_IMAGE_INCOMPLETE', `the OCI layout ${this.directory} lacks ${path}`, {
      suggestions: ['Copy or build the layout again.'],
    });
  }

  #damaged(digest: Digest): BuildError {
    return new BuildError(
      'BASE_IMAGE_DAMAGED',
      `blob ${digest} of ${this.directory} does not match its digest`,
      {
        suggestions: ['Copy or build the layout again.'],
      },
    );
  }
}
