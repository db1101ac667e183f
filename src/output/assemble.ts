/** Config and layers of a finished image as documents: the config blob and the manifest over it. */
import { type Compression, type Descriptor, MEDIA_TYPE } from '../image/descriptor.ts';
import { FORM_ANNOTATION, formName, INLINE_CACHE } from '../image/layer-form.ts';
import { type EncodedDocument, encodeConfig, encodeDocument, makeManifest } from '../image/manifest.ts';
import type { FinishedImage, LayerBlobs } from './finished-image.ts';
import type { LayerForm } from './output-spec.ts';

export interface AssembledImage {
  readonly manifest: EncodedDocument;
  readonly config: EncodedDocument;
  /** What the manifest (or index) leads to besides layers: configs, and the manifests of an index. */
  readonly documents: readonly EncodedDocument[];
  /** Lowest first, as in the manifest. */
  readonly layers: readonly Descriptor[];
}

export interface AssembleOptions {
  readonly form: LayerForm;
  readonly mediaTypes: 'oci' | 'docker';
  readonly annotations: Readonly<Record<string, string>>;
}

/** Form of layers in the local store: plain tars, so that a build does not wait for compression. */
export const STORE_FORM: LayerForm = {
  compression: 'uncompressed' satisfies Compression,
  level: undefined,
  force: false,
};

/** Describes every layer in the form wanted and makes the manifest. No bytes of layers of the base are fetched. */
export async function assemble(
  image: FinishedImage,
  blobs: LayerBlobs,
  { form, mediaTypes, annotations }: AssembleOptions,
): Promise<AssembledImage> {
  const layers = await Promise.all(image.layers.map((layer) => blobs.describe(layer, form)));
  const mediaType = mediaTypes === 'oci' ? MEDIA_TYPE.ociConfig : MEDIA_TYPE.dockerConfig;
  const config = encodeConfig(image.config, mediaType);
  const all: Record<string, string> = { ...image.annotations, ...annotations };
  // Who takes layers from the inline cache must know their form.
  if (image.config[INLINE_CACHE] !== undefined) all[FORM_ANNOTATION] ??= formName(form);
  const manifest = encodeDocument(
    makeManifest(
      { config: config.descriptor, layers, ...(Object.keys(all).length === 0 ? {} : { annotations: all }) },
      mediaTypes,
    ),
  );
  return { manifest, config, documents: [config], layers };
}
