/** Layers of a solved image as blobs in the form an output wants; compressed forms are made once and kept. */
import type { Descriptor } from '../image/descriptor.ts';
import { DEFAULT_LEVEL } from '../layer/compress.ts';
import type { FileTree } from '../layer/file-tree.ts';
import type { LayerPool } from '../layer/layer-pool.ts';
import { LayerStore } from '../store/layer-store.ts';
import type { Store } from '../store/store.ts';
import type { LayerAccess, WantedForm } from './layer-access.ts';
import type { SettledLayer } from './step-layer.ts';

interface Form extends WantedForm {
  readonly force: boolean;
}

export interface StepLayerBlobsOptions {
  readonly access: LayerAccess;
  readonly pool: LayerPool;
  readonly store: Store;
  /** Lowest first. */
  readonly layers: readonly SettledLayer[];
  readonly signal: AbortSignal;
}

export class StepLayerBlobs {
  readonly #options: StepLayerBlobsOptions;
  readonly #byDiffId: ReadonlyMap<string, SettledLayer>;

  constructor(options: StepLayerBlobsOptions) {
    this.#options = options;
    this.#byDiffId = new Map(options.layers.map((layer) => [layer.diffId, layer]));
  }

  /** The blob of a layer in a form. A layer of the base image keeps the blob it came with, unless forced. */
  async describe({ diffId }: { readonly diffId: string }, form: Form): Promise<Descriptor> {
    const layer = this.#layer(diffId);
    const { image } = layer;
    if (image !== undefined && !form.force) return image.descriptor;
    if (form.compression === 'uncompressed') {
      await this.#options.access.ensureTar(layer);
      const size = this.#options.store.blobs.size(layer.diffId) ?? layer.tarSize;
      return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer.diffId, size };
    }
    return this.#compressed(layer, { compression: form.compression, level: form.level });
  }

  /** Makes sure the bytes of a described blob are in the store. */
  async fetch({ diffId }: { readonly diffId: string }, descriptor: Descriptor): Promise<void> {
    if (this.#options.store.blobs.has(descriptor.digest)) return;
    await this.#options.access.ensureBlob(this.#layer(diffId));
  }

  /** The root filesystem, contents readable. */
  tree(): Promise<FileTree> {
    const steps = this.#options.layers.map((layer) => ({ settled: Promise.resolve(layer) }));
    return this.#options.access.tree(steps, { contents: true });
  }

  async #compressed(
    layer: SettledLayer,
    { compression, level }: { compression: 'gzip' | 'zstd'; level: number | undefined },
  ): Promise<Descriptor> {
    const { store, access, pool, signal } = this.#options;
    const settings = LayerStore.settings(compression, level ?? DEFAULT_LEVEL[compression]);
    const known = store.layers.variant(layer.diffId, settings);
    const whole = known !== undefined && store.blobs.size(known.digest) === known.size;
    if (whole && store.blobs.claim(known.digest)) return known;
    await access.ensureTar(layer);
    const path = access.session.draft(`layer.${compression}`);
    const blob = await pool.run(
      'compress',
      { tar: store.blobs.path(layer.diffId), compression, level, path },
      signal,
    );
    store.blobs.adopt(path, blob.digest);
    const descriptor = { mediaType: blob.mediaType, digest: blob.digest, size: blob.size };
    store.layers.recordVariant(layer.diffId, settings, descriptor);
    return descriptor;
  }

  #layer(diffId: string): SettledLayer {
    const layer = this.#byDiffId.get(diffId);
    if (layer === undefined) throw new Error(`layer ${diffId} is not part of the image`);
    return layer;
  }
}
