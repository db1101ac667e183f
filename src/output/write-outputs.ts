/** Puts a finished image everywhere the user asked for: one file a target kind. */
import type { Descriptor } from '../image/descriptor.ts';
import type { StepLabel } from '../progress/event.ts';
import { STORE_FORM } from './assemble.ts';
import type { BuiltImage, FinishedImage } from './finished-image.ts';
import type { OutputDependencies } from './output-dependencies.ts';
import type { OutputSpec } from './output-spec.ts';
import { storeImage } from './store-output.ts';

/** Writes one output; resolves to the manifest it wrote, or the index over several, where it wrote one. */
export async function writeOutput(
  images: readonly BuiltImage[],
  spec: OutputSpec,
  dependencies: Omit<OutputDependencies, 'blobs'>,
): Promise<Descriptor | undefined> {
  const label: StepLabel = { id: `export/${spec.type}`, prefix: '[export]', name: describe(spec) };
  const { emit, clock } = dependencies;
  const began = clock();
  emit({ type: 'step-started', step: label });
  const [only, ...others] = images;
  let manifest: Descriptor | undefined;
  if (only !== undefined && others.length === 0) {
    manifest = await dispatch(only.image, spec, { ...dependencies, blobs: only.blobs });
  } else {
    const { writeIndex } = await import('./index-output.ts');
    manifest = await writeIndex(images, spec, dependencies);
  }
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

/** Each kind is loaded when it is wanted: a build into the store pays for none of the others. */
async function dispatch(
  image: FinishedImage,
  spec: OutputSpec,
  dependencies: OutputDependencies,
): Promise<Descriptor | undefined> {
  switch (spec.type) {
    case 'image': {
      if (!spec.push) return storeImage(image, { ...spec, form: STORE_FORM }, dependencies);
      const { pushImage } = await import('./registry-output.ts');
      return pushImage(image, spec, dependencies);
    }
    case 'oci':
    case 'docker': {
      const { writeArchive } = await import('./archive-output.ts');
      return writeArchive(image, spec, dependencies);
    }
    case 'tar':
    case 'local': {
      const { writeRootfs } = await import('./rootfs-output.ts');
      await writeRootfs(image, spec, dependencies);
      return undefined;
    }
  }
}
