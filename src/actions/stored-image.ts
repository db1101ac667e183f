/** Images of the local store as commands show them. */
import type { Descriptor } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { type ImageManifest, parseManifest, parseManifestDocument } from '../image/manifest.ts';
import { familiarReference, formatReference, parseReference, withDefaultTag } from '../image/reference.ts';
import type { NamedImage } from '../store/name-store.ts';
import type { Store } from '../store/store.ts';
import { noSuchImage } from './transfer-image.ts';

export interface StoredImage {
  /** Full names, in the order they were given. */
  readonly names: readonly string[];
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
  /** Bytes of config and layers as stored. */
  readonly size: number;
}

/** Every image with a name, the newest first; names of one image together. */
export function listImages(store: Store): StoredImage[] {
  const byDigest = new Map<string, NamedImage[]>();
  for (const named of store.names.list()) {
    const group = byDigest.get(named.descriptor.digest);
    if (group === undefined) byDigest.set(named.descriptor.digest, [named]);
    else group.push(named);
  }
  const images = [...byDigest.values()].map((group) => loadImage(store, group));
  return images.sort((a, b) => (b.config.created ?? '').localeCompare(a.config.created ?? ''));
}

function loadImage(store: Store, group: readonly NamedImage[]): StoredImage {
  const descriptor = (group[0] as NamedImage).descriptor;
  const manifest = manifestOf(store, descriptor);
  const config = JSON.parse(store.blobs.read(manifest.config.digest).toString('utf8')) as ImageConfig;
  const size = manifest.layers.reduce((sum, layer) => sum + layer.size, manifest.config.size);
  return { names: group.map(({ name }) => name), descriptor, manifest, config, size };
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

/** An image by name, or by the beginning of its ID. Throws STORE_NO_IMAGE. */
export function findImage(store: Store, text: string): StoredImage {
  const images = listImages(store);
  const id = /^(?:sha256:)?([0-9a-f]{4,64})$/.exec(text)?.[1];
  const byId =
    id === undefined
      ? undefined
      : images.find(({ manifest }) => manifest.config.digest.slice(7).startsWith(id));
  if (byId !== undefined) return byId;
  const name = formatReference(withDefaultTag(parseReference(text)));
  const byName = images.find(({ names }) => names.includes(name));
  if (byName === undefined) throw noSuchImage(text);
  return byName;
}

/** The name a person would type: "app:latest". */
export function shortName(name: string): string {
  return familiarReference(parseReference(name));
}
