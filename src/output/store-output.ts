/** The local store as an output: every blob of the image in it, then the names. */
import type { Descriptor } from '../image/descriptor.ts';
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
  const named = options.names.every((name) => store.names.get(name)?.digest === manifest.descriptor.digest);
  // A name that stands already has been flushed for.
  if (!named) await store.blobs.flush(layers.map(({ digest }) => digest));
  store.blobs.write(config.content);
  store.blobs.write(manifest.content);
  const { os, architecture, variant } = image.config;
  const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  const descriptor = { ...manifest.descriptor, platform };
  if (options.names.length > 0) store.names.set(options.names, descriptor, new Date(clock()));
  return manifest.descriptor;
}
