/** Layers of an image that the store holds whole, ready to be unpacked or read. */
import type { Descriptor } from '../image/descriptor.ts';
import { compressionOf } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { type ImageManifest, parseManifest } from '../image/manifest.ts';
import { LayoutSource } from '../store/layout-source.ts';
import type { Store } from '../store/store.ts';
import type { SettledLayer, StepLayer } from './step-layer.ts';

export interface StoredLayers {
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
  /** Lowest first. */
  readonly layers: readonly SettledLayer[];
}

/** Reads manifest and config. `descriptor` is of one platform's manifest. Throws STORE_MISSING_BLOB. */
export function storedLayers(store: Store, { digest, mediaType }: Descriptor): StoredLayers {
  const manifest = parseManifest(store.blobs.read(digest), mediaType);
  const config = JSON.parse(store.blobs.read(manifest.config.digest).toString('utf8')) as ImageConfig;
  return { manifest, config, layers: layersOf(store, { manifest, config }) };
}

/** Layers of a manifest that was read already. */
export function layersOf(
  store: Store,
  { manifest, config }: Pick<StoredLayers, 'manifest' | 'config'>,
): SettledLayer[] {
  const source = new LayoutSource(store.root);
  const created = config.created ?? '';
  return manifest.layers.map((descriptor, index): SettledLayer => {
    const diffId = config.rootfs.diff_ids[index] ?? descriptor.digest;
    // A plain tar is what the store keeps for layers of its own.
    const plain = compressionOf(descriptor.mediaType) === 'uncompressed';
    return plain
      ? { diffId, tarSize: descriptor.size, created }
      : { diffId, tarSize: 0, created, image: { diffId, descriptor, source } };
  });
}

/** Settled layers as a stack of steps. */
export function asSteps(layers: readonly SettledLayer[]): StepLayer[] {
  return layers.map((layer) => ({ settled: Promise.resolve(layer) }));
}
