/** The inside of `kiln run`: a container's writable layer over its image, and a process in it. */
import { randomBytes } from 'node:crypto';
import { existsSync, watch } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../errors.ts';
import type {
  AttachedProcess,
  Attachment,
  NetworkMode,
  Sandbox,
  SandboxMount,
  Ulimit,
} from '../executor/sandbox.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { RuntimeConfig } from '../image/image-config.ts';
import { LayerPool } from '../layer/layer-pool.ts';
import type { SnapshotterChoice } from '../snapshot/choose-snapshotter.ts';
import type { MountedSnapshot, Snapshotter } from '../snapshot/snapshotter.ts';
import { hostTree } from '../solver/host-tree.ts';
import { LayerAccess } from '../solver/layer-access.ts';
import { homeOf, resolveUser } from '../solver/owner.ts';
import { prepareWorkdir } from '../solver/run-workdir.ts';
import { asSteps, storedLayers } from '../solver/stored-layers.ts';
import type { ContainerRecord, LivingContainer } from '../store/container-store.ts';
import type { Store } from '../store/store.ts';
import { makeDirectories, removeTree } from '../system/files.ts';
import { commandOf, processEnvironment } from './container-config.ts';
import { generateName, requireFree } from './container-name.ts';
import { exitCodeOf } from './exit-code.ts';

/** A container to run, as data: it crosses into the namespace by message. */
export interface ContainerRequest {
  /** The image as it was named, and its manifest, whole in the store. */
  readonly image: string;
  readonly manifest: Descriptor;
  readonly config: RuntimeConfig;
  /** Generated when absent. */
  readonly name: string | undefined;
  readonly autoRemove: boolean;
  readonly mounts: readonly SandboxMount[];
  readonly network: NetworkMode;
  /** The short ID when absent. */
  readonly hostname: string | undefined;
  readonly extraHosts: readonly { readonly name: string; readonly address: string }[];
  /** Bytes of /dev/shm. */
  readonly shmSize: number;
  readonly ulimits: readonly Ulimit[];
  readonly readonlyRoot: boolean;
  readonly threads: number;
}

export interface ContainerWorld {
  readonly store: Store;
  readonly sandbox: Sandbox;
  /** Makes the snapshot driver, which keeps what it needs in `directory`. */
  readonly snapshotter: (directory: string) => Promise<SnapshotterChoice>;
  readonly attachment: Omit<Attachment, 'onStart'>;
  /** Called when the container is in the store: from then on it keeps its image alive by itself. */
  readonly onCreate: () => void;
  readonly onStart: (process: AttachedProcess) => void;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly signal: AbortSignal;
}

/** Runs a container to its end; resolves to its exit code. Throws CONTAINER_*, RUN_* and HOST_*. */
export async function runContainer(request: ContainerRequest, world: ContainerWorld): Promise<number> {
  const { container, snapshot } = await createContainer(request, world);
  const { autoRemove } = request;
  const now = (): string => new Date(world.clock()).toISOString();
  let exitCode: number | undefined;
  try {
    world.onCreate();
    container.update({ started: now() });
    exitCode = await runIn(request, { ...world, container, rootfs: snapshot.rootfs });
    return exitCode;
  } catch (error) {
    exitCode = world.signal.aborted ? undefined : exitCodeOf(error);
    throw error;
  } finally {
    if (autoRemove) await snapshot.discard();
    else await snapshot.commit();
    container.update({ finished: now(), exitCode: exitCode ?? 137 });
    removeTree(container.scratch);
    // Before the lock goes: then nobody else takes it for a forgotten one.
    if (autoRemove) removeContainer(world.store, container.directory);
    container.release();
  }
}

/** Removes the files of a container that nobody runs. */
export function removeContainer(store: Store, directory: string): void {
  const session = store.openSession();
  try {
    store.containers.take(directory, session.draft('container'), { wait: true });
  } finally {
    session.close();
  }
}

interface Created {
  readonly container: LivingContainer;
  readonly snapshot: MountedSnapshot;
}

/** Unpacks the image where that is needed, and puts the container into the store with its root filesystem mounted. */
async function createContainer(request: ContainerRequest, world: ContainerWorld): Promise<Created> {
  const { store, signal } = world;
  const pool = new LayerPool({ threads: request.threads });
  const access = new LayerAccess({ store, pool, signal });
  let container: LivingContainer | undefined;
  try {
    const session = access.hold(); // Open until the container itself says what it uses.
    removeForgotten(store);
    const { layers, manifest } = storedLayers(store, request.manifest);
    const lowers = await access.directories(asSteps(layers));
    const record = newRecord(request, { imageId: manifest.config.digest, created: world.clock() });
    container = store.containers.create(session.makeDirectory('container'), record);
    const { snapshotter } = await world.snapshotter(container.scratch);
    container.update({ snapshotter: snapshotter.name });
    return { container, snapshot: await prepareSnapshot(snapshotter, container, lowers) };
  } catch (error) {
    if (container !== undefined) removeContainer(store, container.directory);
    container?.release();
    throw error;
  } finally {
    await pool.close();
    await access.close();
  }
}

function prepareSnapshot(
  snapshotter: Snapshotter,
  container: LivingContainer,
  lowers: readonly string[],
): Promise<MountedSnapshot> {
  return snapshotter.prepare(container.snapshot, lowers);
}

/** Containers of `--rm` whose kiln was killed before it could remove them. */
function removeForgotten(store: Store): void {
  for (const { autoRemove, alive, directory } of store.containers.list()) {
    if (autoRemove && !alive) removeContainer(store, directory);
  }
}

function newRecord(
  request: ContainerRequest,
  { imageId, created }: { imageId: ContainerRecord['imageId']; created: number },
): (taken: ReadonlySet<string>) => ContainerRecord {
  const { image, manifest, config, mounts, autoRemove } = request;
  return (taken) => {
    if (request.name !== undefined) requireFree(request.name, taken);
    return {
      id: randomBytes(32).toString('hex'),
      name: request.name ?? generateName(taken),
      image,
      imageId,
      manifest,
      config,
      command: commandOf(config),
      mountPoints: mounts.map(({ destination }) => destination),
      autoRemove,
      created: new Date(created).toISOString(),
    };
  };
}

async function runIn(
  request: ContainerRequest,
  world: ContainerWorld & { readonly container: LivingContainer; readonly rootfs: string },
): Promise<number> {
  const { container, rootfs, sandbox, attachment, signal } = world;
  const { config } = request;
  const tree = hostTree(rootfs);
  const user = resolveUser(config.User ?? '', () => tree);
  const cwd = config.WorkingDir || '/';
  if (!cwd.startsWith('/')) {
    throw new BuildError('CONTAINER_WORKDIR', `the working directory ${cwd} is not absolute`, {
      suggestions: ['Give -w a path that begins with a slash.'],
    });
  }
  prepareWorkdir(rootfs, cwd, { uid: 0, gid: 0, additionalGids: [] });
  const hostname = request.hostname ?? container.record.id.slice(0, 12);
  const terminal = attachment.terminal !== undefined;
  const scratch = join(container.scratch, 'sandbox');
  makeDirectories(scratch, 0o755);
  let stopWatching: (() => void) | undefined;
  try {
    const { exitCode } = await sandbox.run({
      rootfs,
      argv: container.record.command,
      env: processEnvironment(config, { hostname, terminal, home: homeOf(user.uid, tree) }),
      cwd,
      user,
      mounts: request.mounts,
      network: request.network,
      hostname,
      extraHosts: request.extraHosts,
      shmSize: request.shmSize,
      ulimits: request.ulimits,
      readonlyRoot: request.readonlyRoot,
      scratch,
      output: {
        ...attachment,
        onStart: (process) => {
          stopWatching = killOnRequest(container, process);
          world.onStart(process);
        },
      },
      signal,
    });
    return exitCode;
  } finally {
    stopWatching?.();
  }
}

/** `kiln rm -f` asks by a file: whoever may write to the store may end its containers. */
function killOnRequest({ directory }: LivingContainer, process: AttachedProcess): () => void {
  if (existsSync(join(directory, 'kill'))) process.signal('SIGKILL');
  const watcher = watch(directory, (_event, name) => {
    if (name === 'kill') process.signal('SIGKILL');
  });
  return () => watcher.close();
}
