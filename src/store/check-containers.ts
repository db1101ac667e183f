/** Containers as `kiln doctor --store` sees them: whether their records can be read, and what they stand on is there. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Descriptor } from '../image/descriptor.ts';
import { randomName } from '../system/files.ts';
import type { Store } from './store.ts';

export interface ContainerDamage {
  readonly name: string;
  readonly why: string;
  /** Its record is lost, and with it the way to what it changed: it goes. One whose image is lost stays. */
  readonly unreadable: boolean;
}

/** Looks at every container that no process has in hand; unless it is a dry run, unreadable ones are taken away. */
export function damagedContainers(
  store: Store,
  options: {
    readonly dryRun: boolean;
    readonly whyImageBroken: (manifest: Descriptor) => string | undefined;
  },
): { readonly checked: number; readonly damaged: readonly ContainerDamage[] } {
  const { containers } = store;
  const directories = containers.directories();
  const readable = new Map(containers.list().map((container) => [container.directory, container]));
  const damaged = directories.flatMap((directory): ContainerDamage[] => {
    const container = readable.get(directory);
    if (container === undefined) {
      const name = directory.slice(directory.lastIndexOf('/') + 1);
      // One that is made or removed at this moment is none of ours.
      if (!existsSync(directory) || containers.isAlive(directory)) return [];
      // Its files may have many owners: what empties tmp/ next can remove them.
      const trash = join(store.temporary, `lost-${randomName()}`);
      if (!options.dryRun && !containers.take(directory, trash, { wait: false })) return [];
      return [{ name, why: 'its record cannot be read', unreadable: true }];
    }
    if (!existsSync(directory)) return [];
    const why = options.whyImageBroken(container.manifest);
    return why === undefined ? [] : [{ name: container.name, why: `its image: ${why}`, unreadable: false }];
  });
  return { checked: directories.length, damaged };
}
