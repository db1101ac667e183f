/** index.json of the layout: image names and the manifests they stand for. Changed under a lock, by rename. */
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, systemErrorCode } from '../errors.ts';
import { type Descriptor, type Digest, isDigest, MEDIA_TYPE } from '../image/descriptor.ts';
import { withLock } from '../system/file-calls.ts';
import { writeFileAtomic } from '../system/files.ts';

/** image-spec, annotations.md: the name of an entry in an image layout's index. */
export const REF_NAME = 'org.opencontainers.image.ref.name';

/** When the name was given, so that lists can be sorted; RFC 3339. */
const TAGGED_AT = 'dev.kiln.tagged-at';

export interface NamedImage {
  /** Full name: docker.io/library/app:latest. */
  readonly name: string;
  readonly descriptor: Descriptor;
  readonly taggedAt?: string | undefined;
}

/** An image of the index with all of its names. */
export interface IndexedImage {
  readonly descriptor: Descriptor;
  /** Full names in the order they were given; none for an image that has none. */
  readonly names: readonly string[];
}

interface Index {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly manifests: readonly Descriptor[];
}

export class NameStore {
  readonly #root: string;
  readonly #path: string;

  constructor(root: string) {
    this.#root = root;
    this.#path = join(root, 'index.json');
  }

  /** Every named image, in the order they were named. */
  list(): NamedImage[] {
    return this.#read().manifests.flatMap((descriptor) => {
      const name = descriptor.annotations?.[REF_NAME];
      if (name === undefined) return [];
      return [{ name, descriptor: plain(descriptor), taggedAt: descriptor.annotations?.[TAGGED_AT] }];
    });
  }

  /** Every image of the index once, in the order of their first names. */
  images(): IndexedImage[] {
    const byDigest = new Map<string, { descriptor: Descriptor; names: string[] }>();
    for (const entry of this.#read().manifests) {
      const image = byDigest.get(entry.digest) ?? { descriptor: plain(entry), names: [] };
      const name = entry.annotations?.[REF_NAME];
      if (name !== undefined) image.names.push(name);
      byDigest.set(entry.digest, image);
    }
    return [...byDigest.values()];
  }

  /** The manifest a full name stands for. */
  get(name: string): Descriptor | undefined {
    return this.list().find((image) => image.name === name)?.descriptor;
  }

  /** Gives names to a manifest; a name that stood for another one moves. Writes nothing when all stand already. */
  set(names: readonly string[], descriptor: Descriptor, now: Date): void {
    const stand = (index: Index): boolean =>
      names.every((name) =>
        index.manifests.some(
          (entry) => entry.annotations?.[REF_NAME] === name && entry.digest === descriptor.digest,
        ),
      );
    if (stand(this.#read())) return;
    this.#change((manifests) => [
      ...manifests.filter((entry) => {
        const name = entry.annotations?.[REF_NAME];
        // An image that had no name has one now.
        return name === undefined ? entry.digest !== descriptor.digest : !names.includes(name);
      }),
      ...names.map((name) => ({
        ...descriptor,
        annotations: { ...descriptor.annotations, [REF_NAME]: name, [TAGGED_AT]: now.toISOString() },
      })),
    ]);
  }

  /** Takes names away; returns those that were there. */
  remove(names: readonly string[]): string[] {
    const removed: string[] = [];
    this.#change((manifests) =>
      manifests.filter((entry) => {
        const name = entry.annotations?.[REF_NAME];
        if (name === undefined || !names.includes(name)) return true;
        removed.push(name);
        return false;
      }),
    );
    return removed;
  }

  /** Keeps an image that has no name: `kiln images` shows it as <none>. */
  keep(descriptor: Descriptor, now: Date): void {
    this.#change((manifests) =>
      manifests.some(({ digest }) => digest === descriptor.digest)
        ? manifests
        : [
            ...manifests,
            { ...descriptor, annotations: { ...descriptor.annotations, [TAGGED_AT]: now.toISOString() } },
          ],
    );
  }

  /** Takes an image without a name out of the index; one that has got a name meanwhile stays. */
  drop(digest: Digest): void {
    this.#change((manifests) =>
      manifests.filter((entry) => entry.digest !== digest || entry.annotations?.[REF_NAME] !== undefined),
    );
  }

  /** Writes an index of images without names, in place of one that cannot be read. */
  rebuild(images: readonly Descriptor[], now: Date): void {
    this.locked('exclusive', () => {
      const annotations = { [TAGGED_AT]: now.toISOString() };
      this.#write({
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.ociIndex,
        manifests: images.map((image) => ({ ...image, annotations })),
      });
    });
  }

  /** Takes images out of the index that are not whole; `whyBroken` says why of those, and is asked under the lock. */
  removeBroken(
    whyBroken: (descriptor: Descriptor) => string | undefined,
    { dryRun }: { readonly dryRun: boolean },
  ): (IndexedImage & { readonly why: string })[] {
    const broken: (IndexedImage & { readonly why: string })[] = [];
    this.locked('exclusive', () => {
      for (const image of this.images()) {
        const why = whyBroken(image.descriptor);
        if (why !== undefined) broken.push({ ...image, why });
      }
      if (dryRun || broken.length === 0) return;
      const gone = new Set<string>(broken.map(({ descriptor }) => descriptor.digest));
      const index = this.#read();
      this.#write({ ...index, manifests: index.manifests.filter(({ digest }) => !gone.has(digest)) });
    });
    return broken;
  }

  /** Every entry of the index, with a name or without. */
  entries(): readonly Descriptor[] {
    return this.#read().manifests;
  }

  /** Runs `work` while no name changes and, when exclusive, no session opens. */
  locked<Result>(kind: 'shared' | 'exclusive', work: () => Result): Result {
    return withLock(openSync(join(this.#root, 'index.lock'), 'a'), kind, work);
  }

  #change(edit: (manifests: readonly Descriptor[]) => readonly Descriptor[]): void {
    this.locked('exclusive', () => {
      const index = this.#read();
      this.#write({ ...index, manifests: edit(index.manifests) });
    });
  }

  #write(index: Index): void {
    writeFileAtomic(this.#path, JSON.stringify(index), { temporary: join(this.#root, 'tmp') });
  }

  #read(): Index {
    let index: unknown;
    try {
      index = JSON.parse(readFileSync(this.#path, 'utf8'));
    } catch (error) {
      if (!(error instanceof SyntaxError) && systemErrorCode(error) !== 'ENOENT') throw error;
    }
    if (
      typeof index === 'object' &&
      index !== null &&
      'manifests' in index &&
      Array.isArray(index.manifests)
    ) {
      const manifests = index.manifests.filter(
        (entry: unknown): entry is Descriptor =>
          typeof entry === 'object' && entry !== null && 'digest' in entry && isDigest(entry.digest),
      );
      return { schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests };
    }
    throw new BuildError('STORE_CORRUPT_INDEX', `${this.#path} is not an image index`, {
      suggestions: [
        'kiln doctor --store makes a new one of the images that are there; their names are lost.',
      ],
    });
  }
}

/** The descriptor without the annotations that belong to the index entry. */
function plain({ annotations, ...rest }: Descriptor): Descriptor {
  const { [REF_NAME]: _name, [TAGGED_AT]: _at, ...others } = annotations ?? {};
  return Object.keys(others).length === 0 ? rest : { ...rest, annotations: others };
}
