/** Images for several platforms as one output: an image index over their manifests, or a directory for each. */
import { join } from 'node:path';
import { BugError } from '../errors.ts';
import { type Descriptor, digestOf, MEDIA_TYPE } from '../image/descriptor.ts';
import type { EncodedDocument } from '../image/manifest.ts';
import { formatPlatform } from '../image/platform.ts';
import { parseReference, withDefaultTag } from '../image/reference.ts';
import { commitImage } from '../store/commit-image.ts';
import { type AssembledImage, type AssembleOptions, assemble, STORE_FORM } from './assemble.ts';
import type { BuiltImage } from './finished-image.ts';
import type { OutputDependencies } from './output-dependencies.ts';
import type { OutputSpec } from './output-spec.ts';

type IndexDependencies = Omit<OutputDependencies, 'blobs'>;

interface Part extends BuiltImage {
  readonly assembled: AssembledImage;
  /** The manifest as the index names it. */
  readonly entry: Descriptor;
}

/** Writes one output for all platforms; resolves to the index, where there is one. */
export async function writeIndex(
  images: readonly BuiltImage[],
  spec: OutputSpec,
  dependencies: IndexDependencies,
): Promise<Descriptor | undefined> {
  switch (spec.type) {
    case 'image': {
      const parts = await assembleAll(images, spec.push ? spec : { ...spec, form: STORE_FORM });
      return spec.push ? pushIndex(parts, spec, dependencies) : storeIndex(parts, spec, dependencies);
    }
    case 'oci': {
      const parts = await assembleAll(images, spec);
      await fetchLayers(parts);
      const { writeAssembled } = await import('./archive-output.ts');
      const index = indexOf(parts, spec);
      const layers = new Map(
        parts.flatMap(({ assembled }) => assembled.layers.map((layer) => [layer.digest, layer])),
      );
      const content = { manifest: index, documents: documentsOf(parts), layers: [...layers.values()] };
      await writeAssembled(content, spec, dependencies);
      return index.descriptor;
    }
    case 'local': {
      const { writeRootfs } = await import('./rootfs-output.ts');
      for (const { image, blobs } of images) {
        const name = formatPlatform(image.config).replaceAll('/', '_');
        const destination = join(spec.destination, name);
        await writeRootfs(image, { type: 'local', destination }, { ...dependencies, blobs });
      }
      return undefined;
    }
    case 'docker':
    case 'tar':
      throw new BugError(`type=${spec.type} was let through for several platforms`);
  }
}

function assembleAll(images: readonly BuiltImage[], options: AssembleOptions): Promise<Part[]> {
  return Promise.all(
    images.map(async (built) => {
      const assembled = await assemble(built.image, built.blobs, options);
      const { os, architecture, variant } = built.image.config;
      const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
      return { ...built, assembled, entry: { ...assembled.manifest.descriptor, platform } };
    }),
  );
}

function indexOf(
  parts: readonly Part[],
  { mediaTypes }: Pick<AssembleOptions, 'mediaTypes'>,
): EncodedDocument {
  const mediaType = mediaTypes === 'oci' ? MEDIA_TYPE.ociIndex : MEDIA_TYPE.dockerIndex;
  const index = { schemaVersion: 2, mediaType, manifests: parts.map(({ entry }) => entry) };
  const content = Buffer.from(JSON.stringify(index));
  return { descriptor: { mediaType, digest: digestOf(content), size: content.length }, content };
}

function documentsOf(parts: readonly Part[]): EncodedDocument[] {
  const documents = parts.flatMap(({ assembled: { config, manifest } }) => [config, manifest]);
  return [...new Map(documents.map((document) => [document.descriptor.digest, document])).values()];
}

/** Makes sure the bytes of every layer are in the store. */
async function fetchLayers(parts: readonly Part[]): Promise<void> {
  for (const { image, blobs, assembled } of parts) {
    await Promise.all(
      assembled.layers.map(async (descriptor, index) => {
        const layer = image.layers[index];
        if (layer !== undefined) await blobs.fetch(layer, descriptor);
      }),
    );
  }
}

async function storeIndex(
  parts: readonly Part[],
  options: AssembleOptions & { readonly names: readonly string[] },
  { store, clock }: IndexDependencies,
): Promise<Descriptor> {
  await fetchLayers(parts);
  const index = indexOf(parts, options);
  const commit = {
    descriptor: index.descriptor,
    documents: [...documentsOf(parts), index],
    layers: parts.flatMap(({ assembled }) => assembled.layers),
    names: options.names,
  };
  await commitImage(store, commit, new Date(clock()));
  return index.descriptor;
}

async function pushIndex(
  parts: readonly Part[],
  options: AssembleOptions & { readonly names: readonly string[] },
  dependencies: IndexDependencies,
): Promise<Descriptor> {
  const { pushParts } = await import('./registry-output.ts');
  const index = indexOf(parts, options);
  for (const name of options.names) {
    const reference = withDefaultTag(parseReference(name));
    const sink = await dependencies.openSink(name);
    for (const { image, blobs, assembled } of parts) {
      await pushParts(sink, { image, assembled, registry: reference.registry }, { ...dependencies, blobs });
      const { descriptor, content } = assembled.manifest;
      await sink.pushManifest(descriptor, content, descriptor.digest);
    }
    // Last, so that a reader never sees an index whose images are missing.
    await sink.pushManifest(index.descriptor, index.content, reference.tag ?? 'latest');
  }
  return index.descriptor;
}
