/** A registry as an output: blobs in parallel, each only if it is not there, then the manifest under every name. */
import { Readable } from 'node:stream';
import type { Descriptor } from '../image/descriptor.ts';
import { parseReference, withDefaultTag } from '../image/reference.ts';
import { pushLayer } from '../registry/push-layer.ts';
import type { ContentSink } from '../store/content-store.ts';
import { type AssembledImage, type AssembleOptions, assemble } from './assemble.ts';
import type { FinishedImage, LayerBlobs, OutputLayer } from './finished-image.ts';
import type { OutputDependencies } from './output-dependencies.ts';

/** Blobs under way at once to one registry. */
const PARALLEL = 4;

/** Pushes an image to all its names; resolves to its manifest. Throws REGISTRY_*. */
export async function pushImage(
  image: FinishedImage,
  options: AssembleOptions & { readonly names: readonly string[] },
  dependencies: OutputDependencies,
): Promise<Descriptor> {
  const assembled = await assemble(image, dependencies.blobs, options);
  for (const name of options.names) await pushTo(name, { image, assembled }, dependencies);
  return assembled.manifest.descriptor;
}

async function pushTo(
  name: string,
  { image, assembled }: { image: FinishedImage; assembled: AssembledImage },
  dependencies: OutputDependencies,
): Promise<void> {
  const { openSink } = dependencies;
  const sink = await openSink(name);
  await pushParts(sink, { image, assembled, registry: parseReference(name).registry }, dependencies);
  const { manifest } = assembled;
  const reference = withDefaultTag(parseReference(name));
  await sink.pushManifest(manifest.descriptor, manifest.content, reference.tag ?? 'latest');
}

interface ImageParts {
  readonly image: Pick<FinishedImage, 'layers'>;
  readonly assembled: Pick<AssembledImage, 'config' | 'layers'>;
  readonly registry: string | undefined;
}

interface PartsDependencies extends Pick<OutputDependencies, 'store' | 'signal'> {
  readonly blobs: Pick<LayerBlobs, 'fetch'>;
}

/** Layers and config: all a manifest needs to be accepted. */
export async function pushParts(
  sink: ContentSink,
  { image, assembled, registry }: ImageParts,
  dependencies: PartsDependencies,
): Promise<void> {
  const { signal } = dependencies;
  const unique = new Map<string, { descriptor: Descriptor; layer: OutputLayer }>();
  assembled.layers.forEach((descriptor, index) => {
    const layer = image.layers[index];
    if (layer !== undefined) unique.set(descriptor.digest, { descriptor, layer });
  });
  await inParallel([...unique.values()], PARALLEL, async ({ descriptor, layer }) => {
    const fetch = () => dependencies.blobs.fetch(layer, descriptor);
    await pushLayer(sink, { descriptor, registry, home: layer.repository, fetch }, dependencies);
  });
  const { config } = assembled;
  await sink.pushBlob(
    { descriptor: config.descriptor, open: (offset) => Readable.from([config.content.subarray(offset)]) },
    signal,
  );
}

async function inParallel<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}
