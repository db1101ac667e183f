/** What outputs are given: an image whose config is final and whose layers can be had in any form. */
import type { Descriptor, DiffId } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import type { FileTree } from '../layer/file-tree.ts';
import type { LayerForm } from './output-spec.ts';

/** A layer to write. */
export interface OutputLayer {
  readonly diffId: DiffId;
  /** Repository, with its registry, that is known to hold the blob: of the base image, or of a cache. */
  readonly repository?: string | undefined;
}

/** Makes layers' blobs on demand. */
export interface LayerBlobs {
  /** The blob of a layer in a form; it may not be on this machine when it came with the base image. */
  describe(layer: OutputLayer, form: LayerForm): Promise<Descriptor>;
  /** Makes sure the bytes of a blob that `describe` named are in the store. */
  fetch(layer: OutputLayer, descriptor: Descriptor): Promise<void>;
  /** The whole root filesystem, contents readable. */
  tree(layers: readonly OutputLayer[]): Promise<FileTree>;
}

/** A finished image with the means to get at its layers. */
export interface BuiltImage {
  readonly image: FinishedImage;
  readonly blobs: LayerBlobs;
}

export interface FinishedImage {
  readonly config: ImageConfig;
  readonly layers: readonly OutputLayer[];
  readonly annotations: Readonly<Record<string, string>>;
}
