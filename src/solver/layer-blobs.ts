/** Layers of a solved image as blobs in the form an output wants. */
import type { Descriptor } from '../image/descriptor.ts';
import type { FileTree } from '../layer/file-tree.ts';
import type { LayerAccess } from './layer-access.ts';
import type { Form, LayerForms } from './layer-forms.ts';
import type { SettledLayer } from './step-layer.ts';

export interface StepLayerBlobsOptions {
  readonly access: LayerAccess;
  readonly forms: LayerForms;
  /** Lowest first. */
  readonly layers: readonly SettledLayer[];
}

export class StepLayerBlobs {
  readonly #options: StepLayerBlobsOptions;
  readonly #byDiffId: ReadonlyMap<string, SettledLayer>;

  constructor(options: StepLayerBlobsOptions) {
    this.#options = options;
    this.#byDiffId = new Map(options.layers.map((layer) => [layer.diffId, layer]));
  }

  /** The blob of a layer in a form. */
  describe({ diffId }: { readonly diffId: string }, form: Form): Promise<Descriptor> {
    return this.#options.forms.describe(this.#layer(diffId), form);
  }

  /** Makes sure the bytes of a described blob are in the store. */
  fetch({ diffId }: { readonly diffId: string }, descriptor: Descriptor): Promise<void> {
    return this.#options.forms.fetch(this.#layer(diffId), descriptor);
  }

  /** The root filesystem, contents readable. */
  tree(): Promise<FileTree> {
    const steps = this.#options.layers.map((layer) => ({ settled: Promise.resolve(layer) }));
    return this.#options.access.tree(steps, { contents: true });
  }

  #layer(diffId: string): SettledLayer {
    const layer = this.#byDiffId.get(diffId);
    if (layer === undefined) throw new Error(`layer ${diffId} is not part of the image`);
    return layer;
  }
}
