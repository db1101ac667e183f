/** `kiln save`: images of the store as one archive, with the bytes they are stored as wherever the format allows it. */
import { availableParallelism } from 'node:os';
import { BuildError } from '../errors.ts';
import { type Descriptor, type DiffId, MEDIA_TYPE, type Platform } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import {
  type EncodedDocument,
  encodeDocument,
  type ImageIndex,
  makeManifest,
  parseManifest,
  parseManifestDocument,
} from '../image/manifest.ts';
import { choosePlatform } from '../image/platform.ts';
import { parseReference } from '../image/reference.ts';
import { LayerPool } from '../layer/layer-pool.ts';
import { type ArchivedContent, type AssembledContent, writeImages } from '../output/archive-output.ts';
import { LayerAccess } from '../solver/layer-access.ts';
import { LayoutSource } from '../store/layout-source.ts';
import type { Store } from '../store/store.ts';
import { findImage } from './stored-image.ts';

export interface SaveOptions {
  readonly format: 'docker' | 'oci';
  /** A file, or "-" for standard output. */
  readonly destination: string;
  /** Taken of an image for several, where the format holds one only. */
  readonly platform: Platform;
  readonly signal: AbortSignal;
  readonly stdout: NodeJS.WritableStream;
}

/** Saves images. Throws STORE_NO_IMAGE, STORE_MISSING_BLOB, STORE_DISK_FULL; a file that fails half-way is removed. */
export async function saveImages(
  store: Store,
  images: readonly string[],
  options: SaveOptions,
): Promise<void> {
  const { format, destination, signal, stdout } = options;
  const pool = new LayerPool({ threads: availableParallelism() });
  const access = new LayerAccess({ store, pool, signal });
  // While it is open, no prune beside takes what is read here.
  access.hold();
  try {
    const contents: ArchivedContent[] = [];
    for (const { descriptor, names } of chosen(store, images)) {
      const content =
        format === 'oci'
          ? wholeImage(store, descriptor, options)
          : await plainImage(store, descriptor, { ...options, access });
      contents.push({ ...content, names });
    }
    await writeImages(contents, { type: format, destination }, { store, signal, stdout });
  } finally {
    await pool.close();
    await access.close();
  }
}

interface Chosen {
  readonly descriptor: Descriptor;
  readonly names: readonly string[];
}

/**
 * Images by the names they are asked for, each once. As with docker, a repository without a tag stands for all of its
 * tags, and an image asked for by its ID has no name in the archive.
 */
function chosen(store: Store, images: readonly string[]): Chosen[] {
  const byDigest = new Map<string, { descriptor: Descriptor; names: Set<string> }>();
  const add = (descriptor: Descriptor, names: readonly string[]): void => {
    const image = byDigest.get(descriptor.digest) ?? { descriptor, names: new Set<string>() };
    for (const name of names) image.names.add(name);
    byDigest.set(descriptor.digest, image);
  };
  for (const text of images) {
    const tags = tagsOf(store, text);
    for (const { name, descriptor } of tags) add(descriptor, [name]);
    if (tags.length > 0) continue;
    const { descriptor, names } = findImage(store, text);
    const name = fullName(text);
    add(descriptor, name !== undefined && names.includes(name) ? [name] : []);
  }
  return [...byDigest.values()].map(({ descriptor, names }) => ({ descriptor, names: [...names] }));
}

function tagsOf(store: Store, text: string): { name: string; descriptor: Descriptor }[] {
  const reference = referenceOf(text);
  if (reference === undefined || reference.tag !== undefined || reference.digest !== undefined) return [];
  const prefix = `${reference.registry}/${reference.repository}:`;
  return store.names.list().filter(({ name }) => name.startsWith(prefix) && !name.includes('@'));
}

function fullName(text: string): string | undefined {
  const reference = referenceOf(text);
  return reference?.tag === undefined
    ? undefined
    : `${reference.registry}/${reference.repository}:${reference.tag}`;
}

function referenceOf(text: string): ReturnType<typeof parseReference> | undefined {
  try {
    return parseReference(text);
  } catch {
    return undefined;
  }
}

/** An image or index with the bytes it is stored as. Of an index that is not whole here, one image. */
function wholeImage(store: Store, descriptor: Descriptor, { platform }: SaveOptions): AssembledContent {
  const top = documentOf(store, descriptor);
  const parsed = parseManifestDocument(top.content, descriptor.mediaType);
  if (parsed.kind === 'manifest') return imageOf(store, descriptor);
  const { manifests } = parsed.index;
  if (!manifests.every(({ digest }) => store.blobs.has(digest))) {
    return imageOf(store, present(store, parsed.index, platform));
  }
  const parts = manifests.map((entry) => imageOf(store, entry));
  return {
    manifest: top,
    documents: parts.flatMap(({ documents, manifest }) => [...documents, manifest]),
    layers: parts.flatMap(({ layers }) => layers),
  };
}

/** The image of an index for a platform; only those count that are here. */
function present(store: Store, { manifests }: ImageIndex, platform: Platform): Descriptor {
  return choosePlatform(
    manifests.filter(({ digest }) => store.blobs.has(digest)),
    platform,
  );
}

function imageOf(
  store: Store,
  descriptor: Descriptor,
): AssembledContent & { readonly config: EncodedDocument } {
  const manifest = documentOf(store, descriptor);
  const parsed = parseManifest(manifest.content, descriptor.mediaType);
  const config = documentOf(store, parsed.config);
  for (const { digest } of parsed.layers) {
    if (store.blobs.claim(digest)) continue;
    throw new BuildError('STORE_MISSING_BLOB', `the store lacks layer ${digest}`, {
      suggestions: ['Build or pull the image again.'],
    });
  }
  return { manifest, config, documents: [config], layers: parsed.layers };
}

function documentOf(store: Store, { annotations: _names, ...descriptor }: Descriptor): EncodedDocument {
  store.blobs.claim(descriptor.digest);
  return { descriptor, content: store.blobs.read(descriptor.digest) };
}

/** One image for docker load: the same config, and so the same ID, over plain layers. */
async function plainImage(
  store: Store,
  descriptor: Descriptor,
  { platform, access }: SaveOptions & { readonly access: LayerAccess },
): Promise<AssembledContent> {
  const parsed = parseManifestDocument(store.blobs.read(descriptor.digest), descriptor.mediaType);
  const entry = parsed.kind === 'manifest' ? descriptor : present(store, parsed.index, platform);
  const image = imageOf(store, entry);
  const { rootfs } = JSON.parse(image.config.content.toString('utf8')) as ImageConfig;
  const source = new LayoutSource(store.root);
  const layers = await Promise.all(
    image.layers.map(async (layer, index): Promise<Descriptor> => {
      const diffId: DiffId = rootfs.diff_ids[index] ?? layer.digest;
      const from = layer.digest === diffId ? undefined : { diffId, descriptor: layer, source };
      await access.ensureTar({ diffId, tarSize: 0, created: '', image: from });
      return { mediaType: MEDIA_TYPE.ociLayer, digest: diffId, size: store.blobs.size(diffId) ?? 0 };
    }),
  );
  const manifest = encodeDocument(makeManifest({ config: image.config.descriptor, layers }));
  return { ...image, manifest, layers };
}
