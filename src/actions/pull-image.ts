/** `kiln pull`: an image from its registry into the local store. */
import type { Descriptor, Platform } from '../image/descriptor.ts';
import { formatReference, manifestName, parseReference, withDefaultTag } from '../image/reference.ts';
import type { Emit, StepLabel } from '../progress/event.ts';
import type { Connections } from '../registry/connections.ts';
import { ImageResolver, type ResolvedImage } from '../solver/image-resolver.ts';
import { Store } from '../store/store.ts';

export interface TransferOptions {
  readonly root: string;
  readonly connections: Connections;
  readonly platform: Platform;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly clock: () => number;
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
  const failed = new AbortController();
  const ended = AbortSignal.any([signal, failed.signal]);
  const worker = async (): Promise<void> => {
    for (let layer = queue.shift(); layer !== undefined; layer = queue.shift()) {
      const stream = await layer.source.fetchBlob(layer.descriptor, ended);
      await store.blobs.receive(layer.descriptor, stream, (count) => {
        current += count;
        emit({ type: 'step-progress', step: step.id, current, total, unit: 'bytes' });
      });
    }
  };
  const fetching = Array.from({ length: 3 }, () => worker().catch((error: unknown) => failed.abort(error)));
  // The others end as well before the failure is told: nothing half-fetched stays.
  await Promise.all(fetching);
  failed.signal.throwIfAborted();
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
