/** Names given to images of the local store, and taken away: `kiln tag` and `kiln rmi`. */
import { BuildError } from '../errors.ts';
import type { Descriptor, Digest } from '../image/descriptor.ts';
import { formatReference, type ImageReference, parseReference, withDefaultTag } from '../image/reference.ts';
import type { Container } from '../store/container-store.ts';
import type { Store } from '../store/store.ts';
import { findImage, listImages, type StoredImage, shortName } from './stored-image.ts';

/** Could be the beginning of an image ID. */
const ID = /^(?:sha256:)?[0-9a-f]{4,64}$/;

/** Gives an image of the store more names. Throws STORE_NO_IMAGE, IMAGE_INVALID_REFERENCE or USAGE_TAG. */
export function tagImage(
  store: Store,
  { source, targets }: { readonly source: string; readonly targets: readonly string[] },
  now: Date,
): void {
  const descriptor = named(store, source)?.descriptor ?? findImage(store, source).descriptor;
  const names = newNames(targets);
  store.names.set(names, descriptor, now);
}

/** Full names for an image that is to be named. Throws IMAGE_INVALID_REFERENCE, and USAGE_TAG for a name with a digest. */
export function newNames(texts: readonly string[]): string[] {
  return texts.map((text) => {
    const reference = parseReference(text);
    if (reference.digest === undefined) return formatReference(withDefaultTag(reference));
    throw new BuildError('USAGE_TAG', `${text}: a new name cannot hold a digest`, {
      suggestions: ['Leave out the part from @ on.'],
    });
  });
}

/** What `untagImage` did, as lines for the reader. */
export type Untagged = { readonly kind: 'untagged' | 'deleted'; readonly name: string };

/**
 * Takes names away. An ID stands for all names of its image, which takes `force` when there are several; an image
 * without a name is forgotten. The last name of an image that a container was made from takes `force` as well, and
 * its ID cannot go while such a container runs. With `force`, an image that is not there is no error. Throws
 * STORE_NO_IMAGE, STORE_SEVERAL_NAMES, STORE_IMAGE_IN_USE, STORE_AMBIGUOUS_ID.
 */
export function untagImage(store: Store, text: string, { force }: { readonly force: boolean }): Untagged[] {
  const found = named(store, text);
  if (found !== undefined) {
    if (!force) refuseLastNameInUse(store, found);
    return remove(store, [found.name]);
  }
  let image: StoredImage;
  try {
    image = findImage(store, text);
  } catch (error) {
    if (force && error instanceof BuildError && error.code === 'STORE_NO_IMAGE') return [];
    throw error;
  }
  const { names, descriptor, manifest } = image;
  const users = containersOf(store, manifest.config.digest);
  const running = users.find(({ alive }) => alive);
  if (running !== undefined) {
    throw new BuildError(
      'STORE_IMAGE_IN_USE',
      `image ${text} is being used by running container ${said(running)}`,
      {
        suggestions: [`End and remove the container first: kiln rm -f ${running.name}`],
      },
    );
  }
  if (names.length > 1 && !force) {
    const known = names.map(shortName).join(', ');
    throw new BuildError('STORE_SEVERAL_NAMES', `image ${text} has several names: ${known}`, {
      suggestions: ['Remove them by name, or all of them with -f.'],
    });
  }
  const [user] = users;
  if (user !== undefined && !force) throw inUse(`image ${text}`, user);
  if (names.length > 0) return remove(store, names);
  store.names.drop(descriptor.digest);
  return [{ kind: 'deleted', name: manifest.config.digest }];
}

/** An image that loses its last name is out of sight: not while a container is made from it, unless that is meant. */
function refuseLastNameInUse(store: Store, { name }: { readonly name: string }): void {
  // Most often there is no container, and then no other image need be looked at.
  if (store.containers.list().length === 0) return;
  const { images } = listImages(store);
  const image = images.find(({ names }) => names.includes(name));
  if (image === undefined) return;
  const id = image.manifest.config.digest;
  const names = images.flatMap((other) => (other.manifest.config.digest === id ? other.names : []));
  const [user] = names.length > 1 ? [] : containersOf(store, id);
  if (user !== undefined) throw inUse(`${shortName(name)}, the last name of its image,`, user);
}

function containersOf(store: Store, id: Digest): Container[] {
  return store.containers.list().filter(({ imageId }) => imageId === id);
}

function inUse(what: string, container: Container): BuildError {
  const state = container.alive ? 'running' : 'stopped';
  const message = `${what} is being used by ${state} container ${said(container)}`;
  const suggestions = [
    `Remove the container first: kiln rm ${container.alive ? '-f ' : ''}${container.name}`,
    'Or say that you mean it, with -f: the container keeps what it needs.',
  ];
  return new BuildError('STORE_IMAGE_IN_USE', message, { suggestions });
}

function said({ name, id }: Container): string {
  return `${name} (${id.slice(0, 12)})`;
}

function remove(store: Store, names: readonly string[]): Untagged[] {
  return store.names.remove(names).map((name) => ({ kind: 'untagged', name: shortName(name) }));
}

/** What a name stands for. Other images are not looked at, so that a damaged one is in nobody's way. */
function named(store: Store, text: string): { name: string; descriptor: Descriptor } | undefined {
  let reference: ImageReference;
  try {
    reference = withDefaultTag(parseReference(text));
  } catch (error) {
    if (ID.test(text)) return undefined;
    throw error;
  }
  const name = formatReference(reference);
  const descriptor = store.names.get(name);
  return descriptor === undefined ? undefined : { name, descriptor };
}
