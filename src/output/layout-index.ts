/** index.json of image layouts that kiln writes for others. */
import { type Descriptor, MEDIA_TYPE } from '../image/descriptor.ts';
import { parseReference } from '../image/reference.ts';

/** An image and the full names it is to have. */
export interface NamedManifest {
  readonly manifest: Descriptor;
  readonly names: readonly string[];
}

/** index.json with one entry a name; the tag alone is the ref name, as other builders write it. */
export function layoutIndex(images: readonly NamedManifest[]): string {
  const manifests = images.flatMap(({ manifest, names }) =>
    names.length === 0 ? [manifest] : names.map((name) => entryOf(manifest, name)),
  );
  return JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests });
}

function entryOf(manifest: Descriptor, name: string): Descriptor {
  return {
    ...manifest,
    annotations: {
      'io.containerd.image.name': name,
      'org.opencontainers.image.ref.name': parseReference(name).tag ?? 'latest',
    },
  };
}
