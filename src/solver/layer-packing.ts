/** Layers that a build makes: in which forms they are packed, and how they come into the store. */
import { type Compression, chainId, type Digest } from '../image/descriptor.ts';
import { formName } from '../image/layer-form.ts';
import type { LayerFiles } from '../layer/compare-layers.ts';
import type { LayerPool } from '../layer/layer-pool.ts';
import { earliest, type LayerTimes, timesOn } from '../layer/layer-times.ts';
import type { LayerOutput, PackedLayer } from '../layer/layer-writer.ts';
import type { SnapshotSource } from '../layer/pack-snapshot.ts';
import type { PackItem } from '../layer/pack-tree.ts';
import type { Store } from '../store/store.ts';
import type { LayerUse } from './layer-use.ts';
import { localLayer } from './local-records.ts';
import { chainsOf, type SettledLayer, type StepLayer, settle } from './step-layer.ts';

/** A compressed form that outputs will want, made as the layer is packed. */
export interface WantedForm {
  readonly compression: Compression;
  readonly level: number | undefined;
}

/** In which forms layers are packed. */
export interface PackingForms {
  /** Forms of the image's own layers. */
  readonly image: readonly WantedForm[];
  /** Forms of layers of other stages. */
  readonly rest: readonly WantedForm[];
  /** Outputs read the image's layers as plain tars, whatever forms there are. */
  readonly plain: boolean;
}

/** Takes copies of compressed layers of the image as they are written. */
export interface BlobCopies {
  /** Descriptor of an empty file for the copy of a blob in a form; undefined where none is wanted. */
  begin(form: WantedForm): number | undefined;
  /** The copy is whole. */
  made(fd: number, blob: { readonly digest: Digest; readonly size: number }): void;
}

export interface PackingOptions {
  readonly store: Store;
  readonly pool: LayerPool;
  /** Default: plain tars and nothing else. */
  readonly forms?: PackingForms;
  readonly copies?: BlobCopies;
  /** SOURCE_DATE_EPOCH: no time in a layer is later. */
  readonly epoch?: number | undefined;
  /** Seconds since 1970: times from then on are the build's own. */
  readonly began?: number | undefined;
  readonly signal: AbortSignal;
  /** A step that has run is packed and recorded even when another one fails. Default `signal`. */
  readonly packSignal?: AbortSignal;
  /** Makes an empty directory on the store's filesystem. */
  readonly directory: (purpose: string) => string;
}

const PLAIN: PackingForms = { image: [], rest: [], plain: true };

interface PackRequest {
  /** RFC 3339: when the step ran. */
  readonly created: string;
  readonly use: LayerUse;
  /** Layers that files with their times may come from: those below, and those of what is copied. */
  readonly from?: readonly StepLayer[];
  /** Of further ones, which mounts showed. */
  readonly seen?: readonly (LayerTimes | undefined)[];
}

export class LayerPacking {
  readonly #options: PackingOptions;

  constructor(options: PackingOptions) {
    this.#options = options;
  }

  /** Packs files of a COPY or ADD. */
  packTree({
    items,
    ...request
  }: PackRequest & { readonly items: readonly PackItem[] }): Promise<SettledLayer> {
    const { pool, signal, packSignal = signal } = this.#options;
    const output = this.#output(request.use);
    // Not awaited here, where many items would be held for as long.
    const packed = pool.run('packTree', { items, output }, packSignal);
    return packed.then((layer) => this.#keep(layer, request));
  }

  /** Packs the changes of a RUN and names its directory as the snapshot of the new stack. */
  async packSnapshot({
    directory,
    lowers,
    below,
    created,
    use,
    seen = [],
  }: PackRequest & {
    readonly directory: string;
    readonly lowers: readonly string[];
    readonly below: readonly StepLayer[];
  }): Promise<SettledLayer> {
    const { store } = this.#options;
    try {
      const request = { created, use, from: below, seen };
      const layer = await this.packUpper({ upper: directory, lowers, ...request });
      const chain = chainsOf(await settle(below)).at(-1);
      store.layers.nameSnapshot(directory, chainId(chain, layer.diffId));
      return layer;
    } catch (error) {
      store.layers.dropSnapshot(directory);
      throw error;
    }
  }

  /** Packs an upper directory that is not the store's to keep, such as a container's. */
  async packUpper({
    created,
    use,
    from = [],
    seen = [],
    ...source
  }: PackRequest & SnapshotSource): Promise<SettledLayer> {
    const { pool, signal, packSignal = signal } = this.#options;
    const request = { ...source, output: this.#output(use) };
    return this.#keep(await pool.run('packSnapshot', request, packSignal), { created, from, seen });
  }

  /** A layer that kiln has packed, with the times of this build's epoch. Throws STORE_CORRUPT_TOC. */
  async retime(
    layer: LayerFiles,
    { times, created, use }: Omit<PackRequest, 'from'> & { readonly times: LayerTimes },
  ): Promise<SettledLayer> {
    const { pool, signal } = this.#options;
    const request = { layer, times, output: this.#output(use) };
    const { times: now, ...packed } = await pool.run('retime', request, signal);
    const until = earliest([times.until, now.until]);
    return this.#keep({ ...packed, times: { ...now, until } }, { created });
  }

  #output({ ofImage, isRead }: LayerUse): LayerOutput {
    const { forms: wanted = PLAIN, copies, epoch, began, directory } = this.#options;
    const forms = ofImage
      ? wanted.image.map((form) => ({ ...form, copy: copies?.begin(form) }))
      : wanted.rest;
    const plain = isRead || !ofImage || wanted.plain || forms.length === 0;
    return { directory: directory('pack'), forms, plain, epoch, began };
  }

  async #keep(
    packed: PackedLayer,
    { created, from = [], seen = [] }: Omit<PackRequest, 'use'>,
  ): Promise<SettledLayer> {
    const { store, copies } = this.#options;
    const { diffId, tarSize, blobs } = packed;
    const descriptors = blobs.map(({ mediaType, digest, size }) => ({ mediaType, digest, size }));
    for (const [index, blob] of blobs.entries()) {
      store.blobs.adopt(blob.path, blob.digest);
      if (blob.copy !== undefined) copies?.made(blob.copy, blob);
      const descriptor = descriptors[index];
      if (blob.compression === 'uncompressed' || descriptor === undefined) continue;
      store.layers.recordVariant(diffId, formName(blob), descriptor);
    }
    store.layers.adoptToc(packed.tocPath, diffId);
    const below = (await settle(from)).map(({ times }) => times);
    const times = timesOn(packed.times, [...below, ...seen]);
    const layer = { diffId, tarSize, created, times };
    const [first] = blobs;
    if (first === undefined || first.compression === 'uncompressed') return layer;
    return localLayer(store, { layer: { ...layer, blob: descriptors[0], form: formName(first) } });
  }
}
