/** Mounts of a RUN step: what each needs on this machine before the step, and what is undone after it. */
import { chmodSync, chownSync, existsSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { CacheMount, SecretMount, SshMount } from '../dockerfile/run-mount.ts';
import { BuildError } from '../errors.ts';
import type { SandboxMount, SandboxUser } from '../executor/sandbox.ts';
import { takenEntry } from '../layer/file-tree.ts';
import { earliest, type LayerTimes } from '../layer/layer-times.ts';
import type { PackItem } from '../layer/pack-tree.ts';
import { resolvePath } from '../layer/resolve-path.ts';
import type { PlannedMount, RunStep } from '../plan/step.ts';
import type { FileList } from '../store/file-lists.ts';
import { toByteString, toText } from '../system/byte-path.ts';
import { makeDirectories } from '../system/files.ts';
import { relayAgent } from './agent-relay.ts';
import { openCacheMount } from './cache-mounts.ts';
import type { RunSettings } from './run-settings.ts';
import type { ExecutionEnvironment, SolverContext } from './solver-context.ts';
import { chainsOf, settle, settleContent } from './step-layer.ts';
import type { StepRequest } from './step-request.ts';
import { ensureBytes, listEntries, placeName, type StageOf, treeOf } from './step-sources.ts';

export interface PreparedMounts {
  readonly mounts: readonly SandboxMount[];
  /** NAME=value for the process; never recorded. */
  readonly env: readonly string[];
  /** Of the layers that mounts show: times of their files may end up in what the step makes. */
  readonly times: readonly (LayerTimes | undefined)[];
  release(): Promise<void>;
}

interface MountRequest extends StepRequest {
  readonly step: RunStep;
  readonly execution: ExecutionEnvironment;
  readonly settings: RunSettings;
  readonly scratch: string;
  readonly user: SandboxUser;
}

interface Prepared {
  readonly mount?: SandboxMount;
  readonly env?: string;
  readonly times?: PreparedMounts['times'];
  readonly release?: () => Promise<void>;
}

/** Prepares every mount of a step, in order. On failure what was prepared is released again. */
export async function prepareMounts(context: SolverContext, request: MountRequest): Promise<PreparedMounts> {
  const done: Prepared[] = [];
  const release = async (): Promise<void> => {
    for (const prepared of done.reverse()) await prepared.release?.();
  };
  try {
    for (const [index, planned] of request.step.mounts.entries()) {
      done.push(...(await prepareMount(context, { ...request, planned, index })));
    }
    if (request.step.script !== undefined) done.push(scriptMount(request.scratch, request.step.script));
  } catch (error) {
    await release();
    throw error;
  }
  return {
    // What is mounted below another mount comes after it, in whatever order the Dockerfile names them.
    mounts: done.flatMap(({ mount }) => mount ?? []).sort(byDestination),
    env: done.flatMap(({ env }) => env ?? []),
    times: done.flatMap(({ times }) => times ?? []),
    release,
  };
}

function byDestination(a: SandboxMount, b: SandboxMount): number {
  return a.destination < b.destination ? -1 : Number(a.destination > b.destination);
}

type OneMount = MountRequest & { readonly planned: PlannedMount; readonly index: number };

async function prepareMount(context: SolverContext, request: OneMount): Promise<Prepared[]> {
  const { mount, target } = request.planned;
  switch (mount.type) {
    case 'tmpfs':
      return [
        {
          mount: {
            type: 'tmpfs',
            destination: target ?? '/',
            ...(mount.size === undefined ? {} : { size: mount.size }),
          },
        },
      ];
    case 'secret':
      return secretMount(request, mount);
    case 'ssh':
      return sshMount(request, mount);
    case 'cache':
      return [await cacheMount(context, request, mount)];
    case 'bind':
      return [await bindMount(context, request)];
  }
}

function scriptMount(scratch: string, script: { name: string; content: string }): Prepared {
  const directory = join(scratch, 'pipes');
  makeDirectories(directory);
  writeFileSync(join(directory, script.name), script.content, { mode: 0o755 });
  chmodSync(join(directory, script.name), 0o755);
  return { mount: { type: 'bind', source: directory, destination: '/dev/pipes', readonly: true } };
}

function secretMount({ settings, scratch, step, index, planned }: OneMount, mount: SecretMount): Prepared[] {
  const { target } = planned;
  const source = settings.secrets.get(mount.id);
  if (source === undefined) {
    if (!mount.required) return [];
    throw new BuildError('RUN_SECRET_MISSING', `secret ${mount.id}: not found`, {
      location: step.location,
      suggestions: [`Pass it: --secret id=${mount.id},src=FILE or --secret id=${mount.id},env=NAME.`],
    });
  }
  const value = source.value;
  const result: Prepared[] = [];
  if (mount.env !== undefined)
    result.push({
      env: `${mount.env === '' ? mount.id : mount.env}=${Buffer.from(value, 'base64').toString('utf8')}`,
    });
  if (mount.env === undefined || mount.target !== undefined) {
    const file = join(scratch, `secret-${index}`);
    writeFileSync(file, Buffer.from(value, 'base64'), { mode: 0o600 });
    chownSync(file, mount.uid ?? 0, mount.gid ?? 0);
    chmodSync(file, mount.mode ?? 0o400);
    const destination = target ?? `/run/secrets/${basename(mount.id)}`;
    result.push({ mount: { type: 'bind', source: file, destination, readonly: true } });
  }
  return result;
}

async function sshMount(
  { settings, scratch, step, index, planned }: OneMount,
  mount: SshMount,
): Promise<Prepared[]> {
  const id = mount.id ?? 'default';
  const agent = settings.ssh.get(id);
  const number = step.mounts.filter(({ mount: { type } }) => type === 'ssh').indexOf(planned);
  const destination = planned.target ?? `/run/buildkit/ssh_agent.${number}`;
  // The first agent is the one that programs find, unless ENV names another.
  const named = number > 0 || step.env.some((entry) => entry.startsWith('SSH_AUTH_SOCK='));
  const env = named ? {} : { env: `SSH_AUTH_SOCK=${destination}` };
  if (agent === undefined) {
    if (!mount.required) return [env];
    throw new BuildError('RUN_SSH_MISSING', `no SSH key "${id}" forwarded from the client`, {
      location: step.location,
      suggestions: [`Pass the agent: --ssh ${id === 'default' ? 'default' : `${id}=SOCKET`}.`],
    });
  }
  const socket = join(scratch, `ssh-${index}`);
  const close = await relayAgent({
    socket,
    agent,
    uid: mount.uid ?? 0,
    gid: mount.gid ?? 0,
    mode: mount.mode ?? 0o600,
  });
  return [{ mount: { type: 'bind', source: socket, destination }, ...env, release: close }];
}

async function cacheMount(context: SolverContext, request: OneMount, mount: CacheMount): Promise<Prepared> {
  const { planned, stageOf } = request;
  const target = planned.target ?? '/';
  if (planned.from !== undefined) await ensureMountBytes(context, { ...request, mount: planned });
  const seed =
    planned.from === undefined
      ? undefined
      : {
          tree: await treeOf(context, planned.from, stageOf),
          source: mount.source,
          identity: await seedIdentity(context, request),
        };
  const opened = await openCacheMount(context, { mount, seed });
  return {
    mount: { type: 'bind', source: opened.directory, destination: target, readonly: mount.readOnly },
    release: async () => opened.release(),
  };
}

/** What a cache begins with, by its bytes: another beginning is another cache. */
async function seedIdentity(context: SolverContext, { step, planned, stageOf }: OneMount): Promise<string> {
  const { from } = planned;
  if (from === undefined) return '';
  if (from === 'context' || from.kind === 'context')
    return (await listMountSource(context, { step, mount: planned, stageOf })).digest;
  return chainsOf(await settleContent((await stageOf(from)).layers)).at(-1) ?? 'scratch';
}

/** A bind mount shows a copy-on-write view: what the step writes there is gone after it. */
async function bindMount(context: SolverContext, request: OneMount): Promise<Prepared> {
  const { planned, stageOf, execution, step } = request;
  const { mount, from, target } = planned;
  if (mount.type !== 'bind' || from === undefined) throw new BuildError('RUN_MOUNT', 'not a bind mount');
  const { lowers, source, times } = await boundSource(context, { step, mount: planned, stageOf });
  const mounted = await execution.snapshotter.prepare(context.access.session.makeDirectory('bind'), lowers);
  const path = source === '' ? mounted.rootfs : `${mounted.rootfs}/${toText(source)}`;
  if (!existsSync(path)) {
    await mounted.discard();
    throw new BuildError('RUN_MOUNT_SOURCE', `"${mount.source}": not found`, {
      location: step.location,
      suggestions: ['Check the source of the mount, and that .dockerignore does not exclude it.'],
    });
  }
  return {
    mount: { type: 'bind', source: path, destination: target ?? '/', readonly: mount.readOnly },
    times,
    release: () => mounted.discard(),
  };
}

/** The directories that a bind mount shows, topmost first, and the path in them with every symlink followed. */
async function boundSource(
  context: SolverContext,
  request: MountSource,
): Promise<{ lowers: readonly string[]; source: string; times: PreparedMounts['times'] }> {
  const { mount: planned, stageOf } = request;
  const { from } = planned;
  if (from !== undefined && from !== 'context' && from.kind !== 'context') {
    const { layers } = await stageOf(from);
    const tree = await context.access.tree(layers, { contents: false });
    const source = resolvePath(tree, sourceOf(planned), { followLast: true });
    const times = (await settle(layers)).map((layer) => layer.times);
    return { lowers: await context.access.directories(layers), source, times };
  }
  const { items, top } = await mountItems(context, request);
  const ours = items.flatMap(({ entry, origin }) => (origin === 'build' ? [entry.mtime] : []));
  const times = { epoch: context.options.epoch, since: earliest(ours) };
  return { lowers: [await laidOut(context, { ...request, items, top })], source: top, times: [times] };
}

/** Directories with what mounts show of contexts, by attempt at the build: each has a scratch space of its own. */
const directories = new WeakMap<SolverContext, Map<string, Promise<string>>>();

/** Files of a context as a directory: one for all mounts that show the same. */
function laidOut(
  context: SolverContext,
  {
    mount: { from },
    items,
    top,
  }: MountSource & { readonly items: readonly PackItem[]; readonly top: string },
): Promise<string> {
  const known = directories.get(context) ?? new Map<string, Promise<string>>();
  directories.set(context, known);
  const shown = JSON.stringify([from, top]);
  const directory = known.get(shown) ?? context.access.layOut(items);
  known.set(shown, directory);
  return directory;
}

interface MountSource {
  readonly step: RunStep;
  readonly mount: PlannedMount;
  readonly stageOf: StageOf;
}

function sourceOf({ mount }: PlannedMount): string {
  return mount.type === 'bind' || mount.type === 'cache' ? toByteString(mount.source) : '';
}

/** Makes sure that what a mount takes from a stage or an image can be read. */
async function ensureMountBytes(context: SolverContext, request: MountSource): Promise<readonly PackItem[]> {
  const { mount, stageOf } = request;
  const { items } = await mountItems(context, request);
  const paths = items.map(({ entry }) => entry.path);
  await ensureBytes(context, { from: mount.from ?? 'context', stageOf }, paths);
  return items;
}

/** The part of a tree that a bind mount shows, at its own paths, and where it begins. */
async function mountItems(
  context: SolverContext,
  { step, mount, stageOf }: MountSource,
): Promise<{ items: PackItem[]; top: string }> {
  const tree = await treeOf(context, mount.from ?? 'context', stageOf);
  const source = sourceOf(mount);
  const top = resolvePath(tree, source, { followLast: true });
  if (tree.lstat(top) === undefined) {
    const place = placeName(mount.from ?? 'context');
    throw new BuildError('RUN_MOUNT_SOURCE', `"${toText(source)}": not found in ${place}`, {
      location: step.location,
      suggestions: ['Check the source of the mount, and that .dockerignore does not exclude it.'],
    });
  }
  const items: PackItem[] = [];
  const { origin } = tree;
  const epoch = origin === 'build' ? context.options.epoch : undefined;
  const add = (path: string): void => {
    const there = tree.lstat(path);
    if (there === undefined || path === '') return;
    const found = takenEntry(tree, there);
    const entry = epoch === undefined ? found : { ...found, mtime: epoch };
    items.push(entry.type === 'file' ? { entry, content: tree.content(path), origin } : { entry, origin });
  };
  for (let slash = top.indexOf('/'); slash > 0; slash = top.indexOf('/', slash + 1)) add(top.slice(0, slash));
  const descend = (path: string): void => {
    add(path);
    for (const name of tree.list(path)) descend(path === '' ? name : `${path}/${name}`);
  };
  descend(top);
  return { items, top };
}

/** The files that a bind mount shows. */
export async function listMountSource(context: SolverContext, request: MountSource): Promise<FileList> {
  const tree = await treeOf(context, request.mount.from ?? 'context', request.stageOf);
  const items = await ensureMountBytes(context, request);
  const entries = items.map(({ entry }) => entry);
  return listEntries(tree, entries, context.signal);
}
