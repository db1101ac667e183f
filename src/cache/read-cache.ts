/**
 * Fetches what a place holds: a cache of kiln's, or images with an inline cache. Only documents are fetched, never
 * layers. Everything is checked; the caller decides what a failure means.
 */
import { BuildError } from '../errors.ts';
import type { Descriptor, Platform } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { type ImageManifest, parseManifestDocument } from '../image/manifest.ts';
import { platformSatisfies } from '../image/platform.ts';
import type { ContentSource } from '../store/content-store.ts';
import type { Store } from '../store/store.ts';
import { type DecodedCache, DOCUMENT_LIMIT, decodeCache } from './cache-document.ts';
import { CACHE_CONFIG_TYPE, MOUNTS_CONFIG_TYPE } from './cache-manifest.ts';
import { type CacheStorage, soon } from './cache-storage.ts';
import { decodeInlineCache } from './inline-cache.ts';

/** What a place holds. */
export type CacheRead =
  | {
      readonly kind: 'cache';
      /** Of the manifest or index. */
      readonly descriptor: Descriptor;
      readonly inline: boolean;
      readonly content: DecodedCache;
    }
  | { readonly kind: 'absent' }
  /** Something, but nothing to take records from: why, and whether kiln made it as a cache. */
  | { readonly kind: 'other'; readonly why: string; readonly ours?: boolean };

export interface ReadOptions {
  /** Documents are kept there, and not fetched again. */
  readonly store: Store;
  /** Inline caches of images for other platforms are left out. */
  readonly platforms: readonly Platform[];
}

/** Manifest that a tag or digest names; undefined when there is nothing. Throws REGISTRY_* and what else a place says. */
export async function resolvePlace(storage: CacheStorage): Promise<Descriptor | undefined> {
  try {
    const source = await storage.source();
    return await soon(source.resolve(storage.reference));
  } catch (error) {
    const absent = error instanceof BuildError && /^BASE_IMAGE_(?:NOT_FOUND|INCOMPLETE)$/.test(error.code);
    if (absent) return undefined;
    throw error;
  }
}

/** Reads the cache that a descriptor leads to. */
export async function readCache(
  storage: CacheStorage,
  descriptor: Descriptor,
  options: ReadOptions,
): Promise<CacheRead> {
  const documents = new Documents(await storage.source(), options.store);
  const document = parseManifestDocument(await documents.fetch(descriptor), descriptor.mediaType);
  if (document.kind === 'index') {
    const entries = document.index.manifests.filter(({ platform }) => suits(platform, options.platforms));
    const reads: CacheRead[] = [];
    for (const entry of entries) {
      const parsed = parseManifestDocument(await documents.fetch(entry), entry.mediaType);
      if (parsed.kind === 'manifest') reads.push(await readManifest(parsed.manifest, descriptor, documents));
    }
    return joined(reads, descriptor);
  }
  return readManifest(document.manifest, descriptor, documents);
}

async function readManifest(
  manifest: ImageManifest,
  descriptor: Descriptor,
  documents: Documents,
): Promise<CacheRead> {
  const { config, layers } = manifest;
  if (config.mediaType === MOUNTS_CONFIG_TYPE) {
    return { kind: 'other', why: 'it holds cache mounts, which --cache-mount-from takes' };
  }
  if (config.size > DOCUMENT_LIMIT) {
    const ours = config.mediaType === CACHE_CONFIG_TYPE;
    return { kind: 'other', why: `its records have ${config.size} bytes, more than ${DOCUMENT_LIMIT}`, ours };
  }
  if (config.mediaType === CACHE_CONFIG_TYPE) {
    const content = decodeCache(await documents.fetch(config), layers);
    return content === undefined
      ? { kind: 'other', why: 'its records cannot be read by this version of kiln', ours: true }
      : { kind: 'cache', descriptor, inline: false, content };
  }
  if (config.mediaType.startsWith('application/vnd.buildkit.')) {
    return { kind: 'other', why: 'it holds a cache of BuildKit, which kiln cannot use' };
  }
  const image = JSON.parse((await documents.fetch(config)).toString('utf8')) as ImageConfig;
  const content = decodeInlineCache(image, manifest);
  if (content !== undefined) return { kind: 'cache', descriptor, inline: true, content };
  const why =
    'moby.buildkit.cache.v0' in image
      ? "it is an image with BuildKit's inline cache, which kiln cannot use"
      : 'it is an image without an inline cache of kiln';
  return { kind: 'other', why };
}

function suits(platform: Platform | undefined, wanted: readonly Platform[]): boolean {
  return platform === undefined || wanted.some((one) => platformSatisfies(platform, one));
}

/** Several images' inline caches as one. */
function joined(reads: readonly CacheRead[], descriptor: Descriptor): CacheRead {
  const caches = reads.flatMap((read) => (read.kind === 'cache' ? [read.content] : []));
  if (caches.length === 0) {
    return (
      reads.find(({ kind }) => kind === 'other') ?? {
        kind: 'other',
        why: 'it has no image for this platform',
      }
    );
  }
  const content: DecodedCache = {
    records: caches.flatMap(({ records }) => records),
    layers: new Map(caches.flatMap(({ layers }) => [...layers])),
    lists: new Map(caches.flatMap(({ lists }) => [...lists])),
    aliases: caches.flatMap(({ aliases }) => aliases),
    refused: caches.flatMap(({ refused }) => refused),
  };
  return { kind: 'cache', descriptor, inline: true, content };
}

/** Documents of one place, through the store: another process of this build need not fetch them again. */
export class Documents {
  readonly #source: ContentSource;
  readonly #store: Store;

  constructor(source: ContentSource, store: Store) {
    this.#source = source;
    this.#store = store;
  }

  async fetch(descriptor: Descriptor): Promise<Buffer> {
    const { blobs } = this.#store;
    if (blobs.claim(descriptor.digest)) return blobs.read(descriptor.digest);
    const content = await soon(this.#source.fetchDocument(descriptor), DOCUMENT_PATIENCE_MS);
    blobs.write(content);
    return content;
  }
}

/** Documents may have 16 MiB. */
const DOCUMENT_PATIENCE_MS = 60_000;
