/** Records of the local store as layers: whole ones only, and where their bytes are. */
import { LayoutSource } from '../store/layout-source.ts';
import type { CacheRecord } from '../store/record-store.ts';
import type { Store } from '../store/store.ts';
import type { SettledLayer } from './step-layer.ts';

/**
 * A record counts only while its layer is still here, and whole: a power cut may have left it short. A table of contents
 * that is missing is made again by who needs it.
 */
export function isWhole(store: Store, { layer }: CacheRecord): boolean {
  const { diffId, tarSize, blob } = layer;
  const { blobs, layers } = store;
  if (blobs.size(diffId) === tarSize && blobs.claim(diffId)) {
    layers.hasToc(diffId);
    return true;
  }
  return blob !== undefined && blobs.size(blob.digest) === blob.size && blobs.claim(blob.digest);
}

/** The layer of a whole record. */
export function localLayer(store: Store, { layer }: Pick<CacheRecord, 'layer'>): SettledLayer {
  const { diffId, blob, form } = layer;
  // The blob it came as serves outputs that want this form as it is.
  if (blob === undefined || !store.blobs.claim(blob.digest)) return { ...layer, recorded: true };
  const source = new LayoutSource(store.root);
  return { ...layer, image: { diffId, descriptor: blob, source, cached: { form } } };
}

/** What a record keeps of a layer. */
export function recordedLayer({
  diffId,
  tarSize,
  created,
  blob,
  form,
  times,
}: SettledLayer): CacheRecord['layer'] {
  return { diffId, tarSize, created, times, ...(blob === undefined ? {} : { blob, form }) };
}
