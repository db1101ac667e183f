/** Images between the local store and registries: push and pull. */
import { availableParallelism } from 'node:os';
import { BuildError } from '../errors.ts';
import type { Descriptor, Platform } from '../image/descriptor.ts';
import { compressionOf } from '../image/descriptor.ts';
import { FORM_ANNOTATION } from '../image/layer-form.ts';
import type { ImageManifest } from '../image/manifest.ts';
import { formatReference, manifestName, parseReference, withDefaultTag } from '../image/reference.ts';
import { LayerPool } from '../layer/layer-pool.ts';
import type { LayerForm } from '../output/output-spec.ts';
import { pushImage } from '../output/registry-output.ts';
import type { Emit, StepLabel } from '../progress/event.ts';
import type { Connections } from '../registry/connections.ts';
import { ImageResolver, type ResolvedImage } from '../solver/image-resolver.ts';
import { LayerAccess } from '../solver/layer-access.ts';
import { StepLayerBlobs } from '../solver/layer-blobs.ts';
import { LayerForms } from '../solver/layer-forms.ts';
import type { SettledLayer } from '../solver/step-layer.ts';
import { Store } from '../store/store.ts';
import { noSuchImage } from './stored-image.ts';

export interface TransferOptions {
  readonly root: string;
  readonly connections: Connections;
  readonly platform: Platform;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly clock: () => number;
}

/** Pushes an image of the store under its own name, or another one. Throws STORE_NO_IMAGE and REGISTRY_*. */
export async function pushStored(
  name: string,
  { form, as }: { readonly form: LayerForm; readonly as?: string | undefined },
  options: TransferOptions,
): Promise<Descriptor> {
  const { root, connections, platform, signal, emit, clock } = options;
  const store = Store.open(root);
  const full = formatReference(withDefaultTag(parseReference(name)));
  if (store.names.get(full) === undefined) throw noSuchImage(name);
  const offline = async (): Promise<never> => {
    throw new BuildError('STORE_NO_IMAGE', `the store does not hold all of ${name} for this platform`, {
      suggestions: ['Build or pull it again.'],
    });
  };
  const resolver = new ImageResolver({
    store,
    openRepository: offline,
    pull: false,
    directory: root,
    known: new Map(),
  });
  const image = await resolver.resolve(full, platform);
  const pool = new LayerPool({ threads: availableParallelism() });
  const access = new LayerAccess({
    store,
    pool,
    openSession: () => store.openSession(),
    wanted: [],
    epoch: undefined,
    signal,
  });
  try {
    const layers = image.layers.map((layer): SettledLayer => {
      const created = image.config.created ?? '';
      // A plain tar is what the store keeps for layers of our own; it is compressed for the way.
      const own = compressionOf(layer.descriptor.mediaType) === 'uncompressed';
      return {
        diffId: layer.diffId,
        tarSize: own ? layer.descriptor.size : 0,
        created,
        ...(own ? {} : { image: layer }),
      };
    });
    const finished = {
      config: image.config,
      layers: layers.map(({ diffId, image: base }) => ({ diffId, repository: base?.repository })),
      annotations: annotationsFor(image.manifest, layers),
    };
    const forms = new LayerForms({ access, pool, store, signal });
    const blobs = new StepLayerBlobs({ access, forms, layers });
    const target = { names: [as ?? full], form, mediaTypes: 'oci', annotations: {} } as const;
    const openSink = (reference: string) => connections.sink(reference);
    return await pushImage(finished, target, {
      store,
      blobs,
      openSink,
      emit,
      clock,
      signal,
      stdout: process.stdout,
    });
  } finally {
    await pool.close();
    access.close();
  }
}

/** What the manifest says of its layers' form holds no longer once they are compressed anew. */
function annotationsFor({ annotations = {} }: ImageManifest, layers: readonly SettledLayer[]) {
  const { [FORM_ANNOTATION]: form, ...others } = annotations;
  const anew = layers.some(({ image }) => image === undefined);
  return form === undefined || anew ? others : annotations;
}

/** Pulls an image into the store and names it. Throws BASE_IMAGE_NOT_FOUND and REGISTRY_*. */
export async function pullImage(name: string, options: TransferOptions): Promise<Descriptor> {
  const store = Store.open(options.root);
  // While it is open, nothing that is fetched here is taken for garbage, though no name leads to it yet.
  const session = store.openSession();
  try {
    return await pullInto(store, name, options);
  } finally {
    session.close();
  }
}

async function pullInto(store: Store, name: string, options: TransferOptions): Promise<Descriptor> {
  const { root, connections, platform, clock } = options;
  const reference = withDefaultTag(parseReference(name));
  const full = formatReference(reference);
  const resolver = new ImageResolver({
    store,
    openRepository: (text) => connections.source(text),
    pull: true,
    directory: root,
    known: new Map(),
  });
  const image = await resolver.resolve(full, platform);
  const step = { id: 'pull', prefix: '[pull]', name: `${full} (${manifestName(reference)})` };
  await fetchLayers(store, { image, step }, options);
  nameImage(store, { image, full }, new Date(clock()));
  return image.descriptor;
}

/** Takes the layers that the store lacks from where the image is, several at a time, and tells how it goes. */
export async function fetchLayers(
  store: Store,
  { image, step }: { readonly image: ResolvedImage; readonly step: StepLabel },
  { emit, clock, signal }: Pick<TransferOptions, 'emit' | 'clock' | 'signal'>,
): Promise<void> {
  const total = image.layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  let current = 0;
  const began = clock();
  emit({ type: 'step-started', step });
  const missing = image.layers.filter(({ descriptor }) => !store.blobs.claim(descriptor.digest));
  const queue = [...new Map(missing.map((layer) => [layer.descriptor.digest, layer])).values()];
  const worker = async (): Promise<void> => {
    for (let layer = queue.shift(); layer !== undefined; layer = queue.shift()) {
      const stream = await layer.source.fetchBlob(layer.descriptor, signal);
      await store.blobs.receive(layer.descriptor, stream, (count) => {
        current += count;
        emit({ type: 'step-progress', step: step.id, current, total, unit: 'bytes' });
      });
    }
  };
  await Promise.all(Array.from({ length: 3 }, worker));
  emit({ type: 'step-finished', step, outcome: 'done', duration: clock() - began });
}

/** Gives a pulled image its full name. */
export function nameImage(
  store: Store,
  { image, full }: { readonly image: ResolvedImage; readonly full: string },
  now: Date,
): void {
  const { os, architecture, variant } = image.config;
  const described = {
    ...image.descriptor,
    platform: { os, architecture, ...(variant === undefined ? {} : { variant }) },
  };
  store.names.set([full], described, now);
}
