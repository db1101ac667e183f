/** What is done with a container's files, running or not: its changes, a layer of them, its root filesystem. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../errors.ts';
import { GENERATED_PATHS } from '../executor/generated-files.ts';
import type { FileTree } from '../layer/file-tree.ts';
import { LayerPool } from '../layer/layer-pool.ts';
import { type SnapshotChange, type SnapshotSource, snapshotChanges } from '../layer/pack-snapshot.ts';
import type { SnapshotterChoice } from '../snapshot/choose-snapshotter.ts';
import { normalizeUpper } from '../snapshot/normalize-upper.ts';
import { hostTree } from '../solver/host-tree.ts';
import { LayerAccess } from '../solver/layer-access.ts';
import { INTERNAL } from '../solver/layer-use.ts';
import type { SettledLayer } from '../solver/step-layer.ts';
import { asSteps, type StoredLayers, storedLayers } from '../solver/stored-layers.ts';
import type { Container } from '../store/container-store.ts';
import type { Store } from '../store/store.ts';

/** Places of every container that something is mounted on. */
const MOUNTED = [...Object.values(GENERATED_PATHS), '/proc', '/dev', '/sys'];

export interface ContainerFilesOptions {
  /** SOURCE_DATE_EPOCH in seconds: no time in a layer is later. */
  readonly epoch?: number | undefined;
  readonly signal: AbortSignal;
}

/** Files of a container, to be used inside the namespace while `withContainerFiles` lasts. */
export class ContainerFiles {
  readonly image: StoredLayers;
  readonly #access: LayerAccess;
  readonly #source: SnapshotSource;

  constructor(image: StoredLayers, access: LayerAccess, source: SnapshotSource) {
    this.image = image;
    this.#access = access;
    this.#source = source;
  }

  /** What the container has changed in its image. */
  changes(): Promise<SnapshotChange[]> {
    return snapshotChanges(this.#source);
  }

  /** The changes as a layer of the store. `created` is RFC 3339. */
  pack(created: string): Promise<SettledLayer> {
    return this.#access.packing.packUpper({ ...this.#source, created, use: INTERNAL });
  }

  /** Runs `work` on the whole root filesystem. `choose` makes the snapshot driver, which keeps what it needs in a directory. */
  async withRoot<Result>(
    choose: (directory: string) => Promise<SnapshotterChoice>,
    work: (tree: FileTree) => Promise<Result>,
  ): Promise<Result> {
    const { session } = this.#access;
    const { snapshotter } = await choose(session.makeDirectory('snapshotter'));
    const { upper, lowers } = this.#source;
    const mounted = await snapshotter.prepare(session.makeDirectory('root'), [upper, ...lowers]);
    try {
      return await work(hostTree(mounted.rootfs));
    } finally {
      await mounted.discard();
    }
  }
}

/** Opens a container's files, which nobody removes meanwhile. Throws CONTAINER_NOT_FOUND, CONTAINER_UNREADABLE. */
export async function withContainerFiles<Result>(
  store: Store,
  container: Container,
  options: ContainerFilesOptions,
  work: (files: ContainerFiles) => Promise<Result>,
): Promise<Result> {
  const upper = join(container.directory, 'snapshot', 'fs');
  refuseUnreadable(container, upper);
  // Only a kiln that ends in order leaves the upper directory in overlayfs's form.
  const raw = !container.settled && !container.alive && container.snapshotter === 'fuse-overlayfs';
  return store.containers.whileUsed(container, raw ? 'exclusive' : 'shared', async () => {
    const pool = new LayerPool({ threads: 1 });
    const access = new LayerAccess({ store, pool, epoch: options.epoch, signal: options.signal });
    try {
      // Opened before anything is looked for: what is found then is not collected.
      access.hold();
      const image = storedLayers(store, container.manifest);
      const lowers = await access.directories(asSteps(image.layers));
      if (raw) normalizeUpper(upper, lowers);
      const mountPoints = container.settled ? [] : [...MOUNTED, ...container.mountPoints];
      return await work(new ContainerFiles(image, access, { upper, lowers, mountPoints }));
    } finally {
      await pool.close();
      await access.close();
    }
  });
}

/** Where nothing is mounted, changes are found when the container ends, and only then. */
function refuseUnreadable({ snapshotter, settled, alive, name }: Container, upper: string): void {
  if (!existsSync(upper)) {
    throw new BuildError('CONTAINER_UNREADABLE', `container ${name} has not run`, {
      suggestions: [alive ? 'Wait until it runs.' : `Remove it: kiln rm ${name}.`],
    });
  }
  if (snapshotter !== 'copy' || settled) return;
  throw new BuildError('CONTAINER_UNREADABLE', `what container ${name} has changed cannot be told`, {
    suggestions: [
      alive
        ? 'With --snapshotter copy it can be told when the container has ended.'
        : 'With --snapshotter copy the changes of a container are lost when kiln is killed.',
    ],
  });
}
