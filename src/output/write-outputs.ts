/** Puts a finished image everywhere the user asked for: one file a target kind. */
import type { Descriptor } from '../image/descriptor.ts';
import type { Emit, StepLabel } from '../progress/event.ts';
import type { ContentSink } from '../store/content-store.ts';
import type { Store } from '../store/store.ts';
import { writeArchive } from './archive-output.ts';
import { STORE_FORM } from './assemble.ts';
import type { FinishedImage, LayerBlobs } from './finished-image.ts';
import type { OutputSpec } from './output-spec.ts';
import { pushImage } from './registry-output.ts';
import { writeRootfs } from './rootfs-output.ts';
import { storeImage } from './store-output.ts';

/** How outputs reach a registry; given by the caller, as the network is opened in one place. */
export type OpenSink = (reference: string) => Promise<ContentSink>;

export interface OutputDependencies {
  readonly store: Store;
  readonly blobs: LayerBlobs;
  readonly openSink: OpenSink;
  readonly emit: Emit;
  readonly clock: () => number;
  readonly signal: AbortSignal;
  /** Standard output for dest=-. */
  readonly stdout: NodeJS.WritableStream;
}

/** Writes one output; resolves to the manifest it wrote, where it wrote one. */
export async function writeOutput(
  image: FinishedImage,
  spec: OutputSpec,
  dependencies: OutputDependencies,
): Promise<Descriptor | undefined> {
  const label: StepLabel = { id: `export/${spec.type}`, prefix: '[export]', name: describe(spec) };
  const { emit, clock } = dependencies;
  const began = clock();
  emit({ type: 'step-started', step: label });
  const manifest = await dispatch(image, spec, dependencies);
  emit({ type: 'step-finished', step: label, outcome: 'done', duration: clock() - began });
  return manifest;
}

function describe(spec: OutputSpec): string {
  switch (spec.type) {
    case 'image':
      return spec.push
        ? `pushing ${spec.names.join(', ')}`
        : `storing ${spec.names.join(', ') || 'the image'}`;
    case 'oci':
    case 'docker':
      return `writing ${spec.type === 'oci' ? 'OCI' : 'docker'} ${spec.tar ? 'archive' : 'layout'} ${spec.destination}`;
    case 'tar':
    case 'local':
      return `writing root filesystem to ${spec.destination}`;
  }
}

async function dispatch(
  image: FinishedImage,
  spec: OutputSpec,
  dependencies: OutputDependencies,
): Promise<Descriptor | undefined> {
  switch (spec.type) {
    case 'image':
      return spec.push
        ? pushImage(image, spec, dependencies)
        : storeImage(image, { ...spec, form: STORE_FORM }, dependencies);
    case 'oci':
    case 'docker':
      return writeArchive(image, spec, dependencies);
    case 'tar':
    case 'local':
      await writeRootfs(image, spec, dependencies);
      return undefined;
  }
}
