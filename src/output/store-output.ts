/** The local store as an output: every blob of the image in it, then the names. */
import type { Descriptor } from '../image/descriptor.ts';
import { commitImage } from '../store/commit-image.ts';
import { type AssembleOptions, assemble } from './assemble.ts';
import type { FinishedImage } from './finished-image.ts';
import type { OutputDependencies } from './output-dependencies.ts';

/** Stores an image whole and names it; resolves to its manifest. */
export async function storeImage(
  image: FinishedImage,
  options: AssembleOptions & { readonly names: readonly string[] },
  { store, blobs, clock }: OutputDependencies,
): Promise<Descriptor> {
  const { manifest, config, layers } = await assemble(image, blobs, options);
  await Promise.all(
    layers.map(async (descriptor, index) => {
      const layer = image.layers[index];
      if (layer !== undefined) await blobs.fetch(layer, descriptor);
    }),
  );
  const { os, architecture, variant } = image.config;
  const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  const commit = {
    descriptor: { ...manifest.descriptor, platform },
    documents: [config, manifest],
    layers,
    names: options.names,
  };
  await commitImage(store, commit, new Date(clock()));
  return manifest.descriptor;
}
