/** index.json of image layouts that kiln writes for others. */
import { type Descriptor, MEDIA_TYPE } from '../image/descriptor.ts';
import { parseReference } from '../image/reference.ts';

/** index.json with one entry a name; the tag alone is the ref name, as other builders write it. */
export function layoutIndex(manifest: Descriptor, names: readonly string[]): string {
  const entry = (name: string): Descriptor => ({
    ...manifest,
    annotations: {
      'io.containerd.image.name': name,
      'org.opencontainers.image.ref.name': parseReference(name).tag ?? 'latest',
    },
  });
  const manifests = names.length === 0 ? [manifest] : names.map(entry);
  return JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociIndex, manifests });
}
