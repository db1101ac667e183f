/** `kiln load`: an archive of images into the store. Everything is checked before anything gets a name. */
import { availableParallelism } from 'node:os';
import type { Readable } from 'node:stream';
import { type ArchivedImage, type ArchivedLayer, archivedImages } from '../archive/archived-images.ts';
import { ImageArchive } from '../archive/unpack-archive.ts';
import { compressionOf, type Platform } from '../image/descriptor.ts';
import { LayerPool } from '../layer/layer-pool.ts';
import { commitImage } from '../store/commit-image.ts';
import type { Session, Store } from '../store/store.ts';
import { shortName } from './stored-image.ts';

export interface LoadOptions {
  /** Taken of an index whose other images are not in the archive. */
  readonly platform: Platform;
  readonly signal: AbortSignal;
  readonly clock: () => number;
}

export interface LoadedImage {
  /** Names in short form; none for an image without one. */
  readonly names: readonly string[];
  /** Digest of the config. */
  readonly id: string;
}

/**
 * Loads every image of an archive, or none. Throws IMAGE_INVALID_ARCHIVE, IMAGE_INVALID_MANIFEST and
 * IMAGE_INVALID_REFERENCE for what it says, LAYER_* for layers that are hostile, damaged or not what the config says.
 */
export async function loadImages(
  store: Store,
  source: Readable,
  options: LoadOptions,
): Promise<LoadedImage[]> {
  const session = store.openSession();
  const pool = new LayerPool({ threads: availableParallelism() });
  try {
    const archive = await ImageArchive.read(source, session.makeDirectory('archive'), options.signal);
    const images = archivedImages(archive, options.platform);
    const layers = new Map(
      images.flatMap((image) => image.layers.map((layer) => [layer.descriptor.digest, layer])),
    );
    const checked = [...layers.values()].map((layer) => check(layer, { store, session, pool, ...options }));
    const adopt = await settleAll(checked);
    for (const each of adopt) each();
    for (const image of images) await commit(store, image, options);
    return images.map(({ names, id }) => ({ names: names.map(shortName), id }));
  } finally {
    await pool.close();
    session.close();
  }
}

/** Waits for all, then throws the first failure: no thread is at work any more when the session goes. */
async function settleAll<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

interface CheckOptions {
  readonly store: Store;
  readonly session: Session;
  readonly pool: LayerPool;
  readonly signal: AbortSignal;
}

/** Reads a layer whole: its DiffID must be right and its names safe. Gives what takes it into the store. */
async function check(
  { descriptor, diffId, file }: ArchivedLayer,
  { store, session, pool, signal }: CheckOptions,
): Promise<() => void> {
  const adopt = (): void => store.blobs.adopt(file.path, descriptor.digest);
  // What the store made or fetched itself was checked then.
  const known = store.layers.hasToc(diffId) && store.blobs.has(diffId) && descriptor.digest === diffId;
  if (known) return adopt;
  const toc = session.draft('layer.toc');
  const compression = compressionOf(descriptor.mediaType) ?? 'uncompressed';
  await pool.run('scan', { blob: file.path, compression, diffId, tar: undefined, toc }, signal);
  return () => {
    adopt();
    store.layers.adoptToc(toc, diffId);
  };
}

async function commit(store: Store, image: ArchivedImage, { clock }: LoadOptions): Promise<void> {
  const { descriptor, documents, names } = image;
  const layers = image.layers.map((layer) => layer.descriptor);
  await commitImage(store, { descriptor, documents, layers, names, keep: true }, new Date(clock()));
}
