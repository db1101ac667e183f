/** Whether an image of the store is whole, and which images there are when the index can no longer tell. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Descriptor, type Digest, MEDIA_TYPE } from '../image/descriptor.ts';
import { blobsOf, MANIFEST_LIMITS, parseManifestDocument } from '../image/manifest.ts';
import type { Store } from './store.ts';

/** What an image lacks, or undefined when it is whole. Of an index one image must be here, and be whole. */
export function brokenImagePart(
  store: Store,
  descriptor: Descriptor,
  hasBlob: (blob: Descriptor) => boolean,
): string | undefined {
  if (!hasBlob(descriptor)) return `its manifest ${descriptor.digest} is missing or damaged`;
  let parts: readonly Descriptor[];
  try {
    const document = parseManifestDocument(store.blobs.read(descriptor.digest), descriptor.mediaType);
    if (document.kind === 'index') {
      // Of an image for several platforms, only those that were wanted may be here.
      const here = document.index.manifests.filter(({ digest }) => store.blobs.has(digest));
      if (here.length === 0) return 'none of the images of its index is here';
      return here.map((entry) => brokenImagePart(store, entry, hasBlob)).find((why) => why !== undefined);
    }
    parts = blobsOf(document.manifest);
  } catch {
    return `its manifest ${descriptor.digest} cannot be read`;
  }
  const lacking = parts.find((blob) => !hasBlob(blob));
  return lacking === undefined ? undefined : `blob ${lacking.digest} of it is missing or damaged`;
}

/** Every image among the blobs, told by its manifest; those that an index leads to are not listed beside it. */
export function imagesAmong(store: Store): Descriptor[] {
  const images = new Map<string, Descriptor>();
  const listed = new Set<string>();
  for (const name of readdirSync(join(store.root, 'blobs', 'sha256'))) {
    const digest: Digest = `sha256:${name}`;
    const size = store.blobs.size(digest) ?? Number.POSITIVE_INFINITY;
    if (size > MANIFEST_LIMITS.bytes) continue;
    try {
      const content = store.blobs.read(digest);
      if (content[0] !== 0x7b) continue;
      const document = parseManifestDocument(content);
      const kind = document.kind === 'index' ? document.index : document.manifest;
      if (document.kind === 'index') for (const entry of document.index.manifests) listed.add(entry.digest);
      else if (!document.manifest.config.mediaType.includes('config')) continue;
      images.set(digest, { mediaType: kind.mediaType || MEDIA_TYPE.ociManifest, digest, size });
    } catch {
      // No manifest, or a damaged one.
    }
  }
  return [...images.values()].filter(({ digest }) => !listed.has(digest));
}
