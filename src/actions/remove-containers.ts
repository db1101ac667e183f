/** `kiln rm`: containers out of the list at once, their files removed inside the namespace. */
import { setTimeout as delay } from 'node:timers/promises';
import { BuildError } from '../errors.ts';
import type { Container, ContainerStore } from '../store/container-store.ts';
import type { Store } from '../store/store.ts';

export interface RemoveOptions {
  /** Ends running containers; one that is not there is no error. */
  readonly force: boolean;
  /** Removes directories of containers inside the namespace. */
  readonly remove: (directories: readonly string[]) => Promise<void>;
}

export interface Removed {
  /** As they were named. */
  readonly removed: readonly string[];
  /** The first of those that could not be removed. */
  readonly failure: unknown;
}

/** How long a killed container may take to end. Milliseconds. */
const PATIENCE = 10_000;

/** Removes what can be removed. `texts` are names and IDs. */
export async function removeContainers(
  { containers }: Store,
  texts: readonly string[],
  { force, remove }: RemoveOptions,
): Promise<Removed> {
  const found = new Map<string, string>();
  const vanished: string[] = [];
  let failure: unknown;
  for (const text of texts) {
    try {
      const container = containers.find(text);
      if (container.alive) await end(containers, container, force);
      // One of --rm may be gone by now.
      if (containers.directories().includes(container.directory)) found.set(container.directory, text);
      else vanished.push(text);
    } catch (error) {
      const missing = error instanceof BuildError && error.code === 'CONTAINER_NOT_FOUND';
      if (!(force && missing)) failure ??= error;
    }
  }
  if (found.size > 0) await remove([...found.keys()]);
  return { removed: [...vanished, ...found.values()], failure };
}

async function end(containers: ContainerStore, container: Container, force: boolean): Promise<void> {
  const { name, directory } = container;
  if (!force) {
    throw new BuildError('CONTAINER_RUNNING', `container ${name} is running`, {
      suggestions: [`End it first, or kill and remove it: kiln rm -f ${name}.`],
    });
  }
  containers.requestKill(container);
  for (let waited = 0; containers.isAlive(directory); waited += 20) {
    if (waited > PATIENCE) {
      throw new BuildError('CONTAINER_RUNNING', `container ${name} was killed and does not end`, {
        suggestions: ['Look for its kiln run: ps -ef | grep kiln.'],
      });
    }
    await delay(20);
  }
}
