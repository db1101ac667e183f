/**
 * Enters the namespaces once for a build (DESIGN D1): one child process that is root over its own files, mounts and
 * processes, a payload in, a result or an error out. The child is started by unshare(1); its ID maps are written from
 * outside by newuidmap and newgidmap, so each way to fail has its own message.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { Duplex } from 'node:stream';
import { BugError, BuildError, messageOf, systemErrorCode } from '../errors.ts';
import { entryPoint } from '../system/entry-point.ts';
import { findExecutable, processEnd } from '../system/process.ts';
import { type IdMaps, type IdOwner, identityMappings, mappingArguments, userIdMaps } from './id-map.ts';
import type { FromChild, NamespaceMode, NamespaceSetup, ToChild } from './namespace-wire.ts';
import { fromWireError } from './namespace-wire.ts';
import {
  CAP_SYS_ADMIN,
  hasCapability,
  installCommand,
  namespaceRefused,
  namespaceWithoutCapabilities,
  outputLines,
} from './remedies.ts';

export interface NamespaceOptions {
  /** What the handler gets (`serveNamespace`): anything the structured clone algorithm can copy. */
  readonly payload: unknown;
  /** Environment of the child and of the helpers. */
  readonly env: NodeJS.ProcessEnv;
  /** Aborting asks the child to clean up and waits for it, 10 s at most; the promise then rejects with the reason. */
  readonly signal: AbortSignal;
  /** A second Ctrl-C: ends the child at once. */
  readonly killSignal?: AbortSignal;
  /** What the handler sends before its result. */
  readonly onMessage?: (message: unknown) => void;
  /** Called when the handler begins, with a way to tell it something (`NamespaceContext.onMessage`). */
  readonly onStart?: (send: (message: unknown) => void) => void;
  /** The file to run; namespace-main when left out. */
  readonly entry?: string;
}

const ABORT_GRACE = 10_000;

/** Fails when the maps or namespaces are refused, with the cause and its cure; see docs/errors.md, HOST_*. */
export async function enterNamespace<Result>(options: NamespaceOptions): Promise<Result> {
  options.signal.throwIfAborted();
  const mode = chooseMode();
  try {
    return await enterAs<Result>({ mode, pidNamespace: mode !== 'none' }, options);
  } catch (error) {
    // Root in a plain container: no namespaces, so chroot and plain directories have to do.
    const refused = error instanceof BuildError && error.code.startsWith('HOST_USERNS_');
    if (!refused || process.geteuid?.() !== 0) throw error;
    return await enterAs<Result>({ mode: 'none', pidNamespace: false }, options);
  }
}

function chooseMode(): NamespaceMode {
  return process.geteuid?.() === 0 && hasCapability(CAP_SYS_ADMIN) ? 'root' : 'user';
}

/** With a PID namespace if it can have a /proc of its own, else without. */
async function enterAs<Result>(setup: NamespaceSetup, options: NamespaceOptions): Promise<Result> {
  const first = await runChild<Result>(setup, options);
  if (first.type === 'result') return first.value;
  if (!first.capable) throw namespaceWithoutCapabilities(first.said);
  const second = await runChild<Result>({ ...setup, pidNamespace: false }, options);
  if (second.type === 'result') return second.value;
  throw new BugError('the namespace asked for /proc without a PID namespace');
}

type Outcome<Result> =
  | { readonly type: 'result'; readonly value: Result }
  | Extract<FromChild, { type: 'proc-refused' }>;

async function runChild<Result>(setup: NamespaceSetup, options: NamespaceOptions): Promise<Outcome<Result>> {
  const maps = setup.mode === 'user' ? ownIdMaps() : undefined;
  const child = start(setup, options);
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  const ended = processEnd(child);
  ended.catch(() => {}); // Looked at below, but perhaps only after something else has failed.
  options.killSignal?.addEventListener('abort', kill);
  try {
    const talk = converse<Result>(child, ended, { setup, options });
    talk.catch(() => {}); // A failing release throws first.
    if (setup.mode !== 'none') {
      // Both at once: the release needs the child to wait, the answer needs the child to be released.
      await Promise.race([release(child, { setup, maps, env: options.env }), talk]);
    }
    return await talk;
  } finally {
    options.killSignal?.removeEventListener('abort', kill);
    if (child.exitCode === null && child.signalCode === null) {
      kill();
      await ended.catch(() => {});
    }
  }
}

/** Says that the namespaces are made, waits for the maps, and becomes node: only then does exec keep root's powers. */
const BOOTSTRAP = 'echo made >&4 && read -r go <&4 && exec "$@" 2>&5 4<&- 5>&-';

function start({ mode, pidNamespace }: NamespaceSetup, options: NamespaceOptions): ChildProcess {
  // As bin/kiln starts node: with room for young objects.
  const program = [
    process.execPath,
    '--min-semi-space-size=8',
    '--max-semi-space-size=8',
    options.entry ?? entryPoint('namespace-start'),
  ];
  // In a session of its own: Ctrl-C reaches it only through us.
  const spawned = (command: string, args: string[], stdio: StdioOptions): ChildProcess =>
    spawn(command, args, { env: options.env, serialization: 'advanced', detached: true, stdio });
  if (mode === 'none') {
    const [command = '', ...args] = program;
    return spawned(command, args, ['inherit', 'inherit', 'inherit', 'ipc']);
  }
  const unshare = findExecutable('unshare', options.env['PATH']);
  if (unshare === undefined) {
    throw new BuildError('HOST_NO_UNSHARE', 'The program unshare (util-linux) is not on PATH.', {
      suggestions: [installCommand('unshare')],
    });
  }
  const namespaces = [
    ...(mode === 'user' ? ['--user'] : []),
    '--mount',
    ...(pidNamespace ? ['--pid', '--fork', '--kill-child'] : []),
  ];
  // Descriptor 2 takes complaints until node is up; 5 is the real one, handed to node.
  const stdio: StdioOptions = ['inherit', 'inherit', 'pipe', 'ipc', 'pipe', 2];
  return spawned(unshare, [...namespaces, '--', '/bin/sh', '-c', BOOTSTRAP, 'sh', ...program], stdio);
}

/** Waits for the namespaces, writes their ID maps and lets the child go on. */
async function release(
  child: ChildProcess,
  { setup, maps, env }: { setup: NamespaceSetup; maps: IdMaps | undefined; env: NodeJS.ProcessEnv },
): Promise<void> {
  const control = child.stdio[4] as Duplex;
  control.on('error', () => {}); // The child's end is noticed by its exit.
  await new Promise<void>((resolve) => {
    control.once('data', () => resolve());
  });
  if (setup.mode === 'user' && maps !== undefined && child.pid !== undefined) {
    if (process.geteuid?.() === 0) writeOwnMaps(child.pid, maps);
    else
      await Promise.all([
        writeMap('newuidmap', [String(child.pid), ...mappingArguments(maps.uids)], env),
        writeMap('newgidmap', [String(child.pid), ...mappingArguments(maps.gids)], env),
      ]);
  }
  control.end('go\n');
}

function ownIdMaps(): IdMaps {
  const read = (path: string): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  };
  if (process.geteuid?.() === 0) {
    return {
      uids: identityMappings(read('/proc/self/uid_map')),
      gids: identityMappings(read('/proc/self/gid_map')),
    };
  }
  return userIdMaps(caller(), read('/etc/subuid'), read('/etc/subgid'));
}

function caller(): IdOwner {
  const ids = { uid: process.getuid?.() ?? -1, gid: process.getgid?.() ?? -1 };
  try {
    return { ...ids, name: userInfo().username };
  } catch {
    return { ...ids, name: undefined };
  }
}

/** Root needs no helper: it may map what it can see to itself. */
function writeOwnMaps(pid: number, maps: IdMaps): void {
  const lines = (mappings: IdMaps['uids']): string =>
    mappings.map(({ inside, outside, count }) => `${inside} ${outside} ${count}\n`).join('');
  try {
    writeFileSync(`/proc/${pid}/uid_map`, lines(maps.uids));
    writeFileSync(`/proc/${pid}/gid_map`, lines(maps.gids));
  } catch (error) {
    throw namespaceRefused(messageOf(error));
  }
}

async function writeMap(
  tool: 'newuidmap' | 'newgidmap',
  args: string[],
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const path = findExecutable(tool, env['PATH']);
  if (path === undefined) {
    throw new BuildError('HOST_NO_NEWUIDMAP', `The program ${tool} is not installed.`, {
      suggestions: [installCommand('newuidmap')],
    });
  }
  const helper = spawn(path, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  helper.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const { code, signal } = await processEnd(helper);
  if (code === 0) return;
  throw mapFailure({ tool, path, said: said || `${tool}: ${signal ?? `exit status ${code}`}` });
}

function mapFailure({ tool, path, said }: { tool: string; path: string; said: string }): BuildError {
  const output = outputLines(said);
  if ((statSync(path).mode & 0o6000) === 0 && /not permitted/i.test(said)) {
    return new BuildError(
      'HOST_NEWUIDMAP_POWERLESS',
      `${path} may not write ID maps: it is neither setuid root nor does it have the capability, or privilege gains are switched off here (no_new_privs, nosuid).`,
      {
        suggestions: [
          `As root: chmod u+s ${path}, or setcap cap_set${tool === 'newuidmap' ? 'uid' : 'gid'}=ep ${path}`,
          'In Kubernetes: securityContext.allowPrivilegeEscalation must be true.',
        ],
        output,
      },
    );
  }
  const file = tool === 'newuidmap' ? '/etc/subuid' : '/etc/subgid';
  return new BuildError('HOST_ID_MAP_REFUSED', `${tool} refused the ranges of ${file} for this user.`, {
    suggestions: [
      `Check that the ranges in ${file} belong to this user and do not overlap.`,
      'In a container: the setuid bit of newuidmap does nothing under no_new_privs (Kubernetes: allowPrivilegeEscalation: true).',
    ],
    output,
  });
}

/** Sends the payload when node is up, passes messages on, and waits for the answer and the end. */
async function converse<Result>(
  child: ChildProcess,
  ended: ReturnType<typeof processEnd>,
  { setup, options }: { setup: NamespaceSetup; options: NamespaceOptions },
): Promise<Outcome<Result>> {
  const { signal, onMessage, onStart, payload } = options;
  const send = (message: ToChild): void => {
    // The child may be gone already; its end says so.
    if (child.connected) child.send(message, () => {});
  };
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  let up = false;
  let last: FromChild | undefined;
  let timer: NodeJS.Timeout | undefined;
  child.on('message', (message: FromChild) => {
    if (message.type === 'ready') {
      up = true;
      send({ type: 'start', setup, payload });
      onStart?.((content) => send({ type: 'message', message: content }));
    } else if (message.type === 'message') onMessage?.(message.message);
    else last = message;
  });
  const abort = (): void => {
    if (!up) child.kill('SIGKILL');
    send({ type: 'abort' });
    timer = setTimeout(() => child.kill('SIGKILL'), ABORT_GRACE);
  };
  signal.addEventListener('abort', abort);
  try {
    const end = await ended.catch((error: unknown) => {
      throw notStarted(error);
    });
    if (last?.type === 'result') return { type: 'result', value: last.value as Result };
    signal.throwIfAborted();
    if (last?.type === 'proc-refused') return last;
    if (last?.type === 'error') throw fromWireError(last.error);
    if (!up && setup.mode !== 'none') throw bootstrapFailure(said);
    throw new BuildError(
      'HOST_NAMESPACE_ENDED',
      `The process inside the namespace ended without an answer (${end.signal ?? `exit status ${end.code}`}).`,
      {
        suggestions: ['If it was killed, look for an out-of-memory kill: dmesg | tail'],
        output: outputLines(said),
      },
    );
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

function notStarted(error: unknown): BuildError {
  return new BuildError(
    'HOST_NAMESPACE_ENDED',
    `Could not start the namespace's process: ${systemErrorCode(error) ?? messageOf(error)}.`,
    { cause: error },
  );
}

/** unshare or the shell stopped before node: unshare's message tells the refusals apart. */
function bootstrapFailure(said: string): BuildError {
  if (/unrecognized option|invalid option|usage:/i.test(said)) {
    return new BuildError('HOST_NO_UNSHARE', "This unshare is not util-linux's: it lacks --kill-child.", {
      suggestions: [installCommand('unshare')],
      output: outputLines(said),
    });
  }
  if (/propagation/.test(said)) return namespaceWithoutCapabilities(said);
  return namespaceRefused(said);
}
