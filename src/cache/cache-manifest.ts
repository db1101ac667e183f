/** The manifest of a cache: an OCI image manifest, so that every registry keeps it and its garbage collector knows it. */
import { type Descriptor, digestOf } from '../image/descriptor.ts';
import { type EncodedDocument, encodeDocument, makeManifest } from '../image/manifest.ts';
import { type CacheContent, encodeCache } from './cache-document.ts';

/** The records of a cache. */
export const CACHE_CONFIG_TYPE = 'application/vnd.kiln.cache.config.v1+json';
/** What --cache-mount-to saves. */
export const MOUNTS_CONFIG_TYPE = 'application/vnd.kiln.cache-mounts.config.v1+json';
/** A list of files that explains a part of a key. */
export const FILE_LIST_TYPE = 'application/vnd.kiln.cache.files.v1+zstd';

export interface EncodedCache {
  readonly config: EncodedDocument;
  readonly manifest: EncodedDocument;
}

/** The documents of a cache. Every blob is listed as a layer, so that registries keep it. */
export function makeCache(content: CacheContent): EncodedCache {
  const blobs = [...content.layers.values()].map(({ descriptor }) => descriptor);
  return encodeWithConfig(encodeCache(content), {
    mediaType: CACHE_CONFIG_TYPE,
    blobs: [...blobs, ...content.lists.values()],
  });
}

/** A manifest over some blobs, with a document of kiln's own in the place of the image's config. */
export function encodeWithConfig(
  content: Buffer,
  { mediaType, blobs }: { readonly mediaType: string; readonly blobs: readonly Descriptor[] },
): EncodedCache {
  const descriptor = { mediaType, digest: digestOf(content), size: content.length };
  const layers = [...new Map(blobs.map((blob) => [blob.digest, plain(blob)])).values()];
  return {
    config: { descriptor, content },
    manifest: encodeDocument(makeManifest({ config: descriptor, layers })),
  };
}

function plain({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}
