/** The image of a container: from the local store, else pulled, as FROM of a build has it. */
import { BuildError } from '../errors.ts';
import { formatReference, parseReference, withDefaultTag } from '../image/reference.ts';
import { ImageResolver, type ResolvedImage } from '../solver/image-resolver.ts';
import type { Store } from '../store/store.ts';
import { fetchLayers, nameImage, type TransferOptions } from './pull-image.ts';
import { findImage } from './stored-image.ts';

/** When the registry is asked (`--pull`). */
export type PullPolicy = 'missing' | 'always' | 'never';

export interface ObtainOptions extends TransferOptions {
  readonly pull: PullPolicy;
  /** Directory that relative paths of OCI layouts are below. */
  readonly directory: string;
}

/**
 * Finds an image by name, by ID, or as `oci:DIR[:TAG]`; all of it is in the store afterwards. Call with a session open:
 * an image without a name is garbage to anybody else. Throws STORE_NO_IMAGE, BASE_IMAGE_* and REGISTRY_*.
 */
export async function obtainImage(
  store: Store,
  text: string,
  options: ObtainOptions,
): Promise<ResolvedImage> {
  const { pull, platform, connections, directory, clock } = options;
  const reference = pull === 'always' ? text : (idOf(store, text) ?? text);
  const resolver = new ImageResolver({
    store,
    openRepository: (name) => (pull === 'never' ? refuse(text) : connections.source(name)),
    pull: pull === 'always',
    directory,
    known: new Map(),
  });
  const image = await resolver.resolve(reference, platform);
  const lacking = image.layers.filter(({ descriptor }) => !store.blobs.claim(descriptor.digest));
  const isRemote = image.layers.some(({ repository }) => repository !== undefined);
  if (lacking.length > 0 || isRemote) {
    await fetchLayers(store, { image, step: { id: 'pull', prefix: '[pull]', name: image.display } }, options);
  }
  if (!reference.startsWith('oci:') && isRemote) {
    const full = formatReference(withDefaultTag(parseReference(reference)));
    nameImage(store, { image, full }, new Date(clock()));
  }
  return image;
}

/** An image that is named by its ID, as a reference by digest. */
function idOf(store: Store, text: string): string | undefined {
  if (!/^(?:sha256:)?[0-9a-f]{4,64}$/.test(text)) return undefined;
  try {
    const { names, descriptor } = findImage(store, text);
    const name = names[0] === undefined ? 'image' : names[0].replace(/[:@][^/]*$/, '');
    return `${name}@${descriptor.digest}`;
  } catch (error) {
    if (error instanceof BuildError && error.code === 'STORE_NO_IMAGE') return undefined;
    throw error;
  }
}

async function refuse(name: string): Promise<never> {
  throw new BuildError('STORE_NO_IMAGE', `no image named ${name} in the local store`, {
    suggestions: ['Leave --pull never out, or pull the image.'],
  });
}
