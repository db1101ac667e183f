/** Blobs of layers in the form that somebody wants; compressed forms are made once and kept. */
import type { Descriptor } from '../image/descriptor.ts';
import { formName } from '../image/layer-form.ts';
import type { LayerPool } from '../layer/layer-pool.ts';
import type { Store } from '../store/store.ts';
import type { LayerAccess } from './layer-access.ts';
import type { BlobCopies, WantedForm } from './layer-packing.ts';
import type { SettledLayer } from './step-layer.ts';

export interface Form extends WantedForm {
  /** Also for layers that came with a base image. */
  readonly force: boolean;
}

export interface LayerFormsOptions {
  readonly access: LayerAccess;
  readonly pool: LayerPool;
  readonly store: Store;
  readonly copies?: BlobCopies;
  readonly signal: AbortSignal;
}

export class LayerForms {
  readonly #options: LayerFormsOptions;

  constructor(options: LayerFormsOptions) {
    this.#options = options;
  }

  /**
   * The blob of a layer in a form; its bytes may not be here. A layer of the base image keeps the blob it came with,
   * unless forced; one from a cache keeps it only if it has this very form, so that cold and cached builds are equal.
   */
  async describe(layer: SettledLayer, form: Form): Promise<Descriptor> {
    const { image } = layer;
    if (image !== undefined) {
      const fits = image.cached === undefined ? !form.force : image.cached.form === formName(form);
      if (fits) return image.descriptor;
    }
    const { compression, level } = form;
    if (compression !== 'uncompressed') return this.#compressed(layer, { compression, level });
    await this.#options.access.ensureTar(layer);
    const size = this.#options.store.blobs.size(layer.diffId) ?? layer.tarSize;
    return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer.diffId, size };
  }

  /** Makes sure the bytes of a described blob are in the store. */
  async fetch(layer: SettledLayer, descriptor: Descriptor): Promise<void> {
    const { access, store } = this.#options;
    // A cache's word for what a blob unpacks to is not taken: making the tar checks it.
    if (layer.image?.cached !== undefined && !this.#isOwn(layer, descriptor)) await access.ensureTar(layer);
    if (!store.blobs.has(descriptor.digest)) await access.ensureBlob(layer);
  }

  /** True for a form that this store made of the layer. */
  #isOwn({ diffId, image }: SettledLayer, { digest }: Descriptor): boolean {
    const form = image?.cached?.form;
    return form !== undefined && this.#options.store.layers.variant(diffId, form)?.digest === digest;
  }

  async #compressed(
    layer: SettledLayer,
    { compression, level }: { compression: 'gzip' | 'zstd'; level: number | undefined },
  ): Promise<Descriptor> {
    const { store, access, pool, copies, signal } = this.#options;
    const settings = formName({ compression, level });
    const known = store.layers.variant(layer.diffId, settings);
    const whole = known !== undefined && store.blobs.size(known.digest) === known.size;
    if (whole && store.blobs.claim(known.digest)) return known;
    await access.ensureTar(layer);
    const path = access.session.draft(`layer.${compression}`);
    const blob = await pool.run(
      'compress',
      {
        tar: store.blobs.path(layer.diffId),
        compression,
        level,
        path,
        copy: copies?.begin({ compression, level }),
      },
      signal,
    );
    store.blobs.adopt(path, blob.digest);
    if (blob.copy !== undefined) copies?.made(blob.copy, blob);
    const descriptor = { mediaType: blob.mediaType, digest: blob.digest, size: blob.size };
    store.layers.recordVariant(layer.diffId, settings, descriptor);
    return descriptor;
  }
}
