/** `kiln inspect`: an image or a container, by name or ID; docker looks for a container first, and so does this. */
import { BuildError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import { containerDetails } from './container-details.ts';
import { imageDetails } from './image-details.ts';
import { findImage } from './stored-image.ts';

export type Inspected = 'image' | 'container';

/** Throws STORE_NO_IMAGE, STORE_AMBIGUOUS_ID, CONTAINER_NOT_FOUND, CONTAINER_AMBIGUOUS. */
export function inspect(store: Store, name: string, type: Inspected | undefined): object {
  if (type !== 'image') {
    try {
      return containerDetails(store.containers.find(name));
    } catch (error) {
      const absent = error instanceof BuildError && error.code === 'CONTAINER_NOT_FOUND';
      if (type === 'container' || !absent) throw error;
    }
  }
  return imageDetails(findImage(store, name));
}
