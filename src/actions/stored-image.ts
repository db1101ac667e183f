/** Images of the local store as commands show them. */
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { type ImageManifest, parseManifest, parseManifestDocument } from '../image/manifest.ts';
import { familiarReference, formatReference, parseReference, withDefaultTag } from '../image/reference.ts';
import type { IndexedImage } from '../store/name-store.ts';
import type { Store } from '../store/store.ts';

export interface StoredImage {
  /** Full names, in the order they were given; none for an image that was loaded without one. */
  readonly names: readonly string[];
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
  /** Bytes of config and layers as stored. */
  readonly size: number;
}

export interface ImageList {
  /** The newest first; names of one image together. */
  readonly images: readonly StoredImage[];
  /** What the index names and the store does not hold whole, with the reason. */
  readonly damaged: readonly { readonly image: IndexedImage; readonly error: unknown }[];
}

/** Every image of the index. One that is damaged is in nobody's way. */
export function listImages(store: Store): ImageList {
  const images: StoredImage[] = [];
  const damaged: { image: IndexedImage; error: unknown }[] = [];
  for (const image of store.names.images()) {
    try {
      images.push(loadImage(store, image));
    } catch (error) {
      damaged.push({ image, error });
    }
  }
  images.sort((a, b) => ((a.config.created ?? '') < (b.config.created ?? '') ? 1 : -1));
  return { images, damaged };
}

function loadImage(store: Store, { names, descriptor }: IndexedImage): StoredImage {
  const manifest = manifestOf(store, descriptor);
  const config = JSON.parse(store.blobs.read(manifest.config.digest).toString('utf8')) as ImageConfig;
  const size = manifest.layers.reduce((sum, layer) => sum + layer.size, manifest.config.size);
  return { names, descriptor, manifest, config, size };
}

/** The manifest itself; of an index, that of the first platform whose image is here. */
function manifestOf(store: Store, { digest, mediaType }: Descriptor): ImageManifest {
  const document = parseManifestDocument(store.blobs.read(digest), mediaType);
  if (document.kind !== 'index') return document.manifest;
  const { manifests } = document.index;
  const here = manifests.find((entry) => store.blobs.has(entry.digest)) ?? manifests[0];
  if (here === undefined) return parseManifest(store.blobs.read(digest), mediaType);
  return parseManifest(store.blobs.read(here.digest), here.mediaType);
}

/**
 * An image by name, by name and digest, or by the beginning of its ID or digest; a name is looked for first, as docker
 * does. Throws STORE_NO_IMAGE, STORE_AMBIGUOUS_ID, and what a damaged image throws.
 */
export function findImage(store: Store, text: string): StoredImage {
  const indexed = store.names.images();
  const byName = findByName(indexed, text);
  if (byName !== undefined) return loadImage(store, byName);
  const prefix = /^(?:sha256:)?([0-9a-f]{1,64})$/.exec(text)?.[1];
  if (prefix === undefined) throw noSuchImage(text);
  const found = listImages(store).images.filter(({ manifest, descriptor }) =>
    [manifest.config.digest, descriptor.digest].some((digest) => digest.startsWith(`sha256:${prefix}`)),
  );
  const [first] = found;
  if (first === undefined) throw noSuchImage(text);
  if (found.length === 1) return first;
  // One config under several manifests is one image to whoever asks by its ID.
  const ids = [...new Set(found.map(({ manifest }) => manifest.config.digest))];
  if (ids.length === 1) return { ...first, names: found.flatMap(({ names }) => names) };
  throw new BuildError('STORE_AMBIGUOUS_ID', `several images have an ID that begins with ${prefix}`, {
    suggestions: [`Write more of it: ${ids.map((id) => id.slice(7, 19 + prefix.length)).join(', ')}`],
  });
}

function findByName(indexed: readonly IndexedImage[], text: string): IndexedImage | undefined {
  let name: string;
  let digest: string | undefined;
  let repository: string;
  try {
    const reference = withDefaultTag(parseReference(text));
    name = formatReference(reference);
    digest = reference.digest;
    repository = `${reference.registry}/${reference.repository}`;
  } catch (error) {
    if (/^(?:sha256:)?[0-9a-f]{1,64}$/.test(text)) return undefined;
    throw error;
  }
  const exact = indexed.find(({ names }) => names.includes(name));
  if (exact !== undefined || digest === undefined) return exact;
  return indexed.find(
    ({ names, descriptor }) =>
      descriptor.digest === digest && names.some((each) => each.replace(/[:@][^/]*$/, '') === repository),
  );
}

/** The error for a name that the store does not know. */
export function noSuchImage(name: string): BuildError {
  return new BuildError('STORE_NO_IMAGE', `no image named ${name} in the local store`, {
    suggestions: ['See kiln images; build it with -t, or pull it.'],
  });
}

/** The name a person would type: "app:latest". */
export function shortName(name: string): string {
  return familiarReference(parseReference(name));
}
