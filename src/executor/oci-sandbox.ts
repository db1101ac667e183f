/**
 * Runs steps with an OCI runtime: one bundle a step, the runtime's state inside the step's scratch directory, nothing
 * left behind when it ends. crun is preferred: it starts a step in 5 ms, runc in 25.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BuildError, messageOf } from '../errors.ts';
import { readTextIfExists } from '../system/files.ts';
import { findExecutable, processEnd } from '../system/process.ts';
import { makeTerminalRaw } from '../system/terminal-calls.ts';
import { AttachedChild } from './attached-child.ts';
import { writeGeneratedFiles } from './generated-files.ts';
import { stepLimits } from './limits.ts';
import { MountPoints } from './mount-points.ts';
import { type NetworkTools, openNetwork, type StepNetwork } from './network.ts';
import { plannedMounts, runtimeConfig } from './oci-spec.ts';
import { openStreams } from './open-streams.ts';
import { killDescendants, killQuietly } from './process-tree.ts';
import { inInitialUserNamespace, installCommand } from './remedies.ts';
import { lateComplaint, startFailure } from './runtime-errors.ts';
import type { Sandbox, SandboxRequest, SandboxResult } from './sandbox.ts';
import type { StepStreams } from './step-streams.ts';

/** An OCI runtime on this host. */
export interface OciRuntime {
  readonly name: 'crun' | 'runc';
  readonly path: string;
}

/** crun, else runc; undefined when neither is installed. */
export function findOciRuntime(searchPath: string | undefined): OciRuntime | undefined {
  for (const name of ['crun', 'runc'] as const) {
    const path = findExecutable(name, searchPath);
    if (path !== undefined) return { name, path };
  }
  return undefined;
}

/** What the runtime says of its version; "unknown" when it does not run. Costs a process. */
export function runtimeVersion({ path }: OciRuntime): string {
  try {
    const text = execFileSync(path, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return /version (\S+)/.exec(text)?.[1] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}

/** The error for a host without a runtime where one was asked for. */
export function noRuntime(): BuildError {
  return new BuildError('HOST_NO_RUNTIME', 'Neither crun nor runc is installed.', {
    suggestions: [installCommand('runtime'), 'Or use --isolation chroot, which needs none.'],
  });
}

/** After this long a runtime that does not notice its container's death is killed itself. */
const KILL_PATIENCE = 2_000;

/** Sandbox by crun or runc. */
export class OciSandbox implements Sandbox {
  readonly name = 'oci';
  readonly description: string;
  readonly #runtime: OciRuntime;
  readonly #tools: NetworkTools;
  readonly #searchPath: string | undefined;

  constructor(runtime: OciRuntime, tools: NetworkTools, searchPath: string | undefined) {
    this.#runtime = runtime;
    this.#tools = tools;
    this.#searchPath = searchPath;
    this.description = runtime.name;
  }

  async run(request: SandboxRequest): Promise<SandboxResult> {
    request.signal.throwIfAborted();
    const network = await openNetwork(request.network, request.scratch, this.#tools);
    const points = new MountPoints(request.rootfs);
    try {
      writeBundle(request, network, points);
      return await this.#start(request);
    } finally {
      points.restore();
      network.close();
    }
  }

  async #start(request: SandboxRequest): Promise<SandboxResult> {
    const log = join(request.scratch, 'runtime.log');
    const streams = openStreams(request, handOverDirectory(this.#runtime, request));
    // A runtime that hands no terminal over has one of its own for the container, and stands between the two.
    if (typeof streams.child[0] === 'number' && streams.terminal) makeTerminalRaw(streams.child[0]);
    const child = spawn(this.#runtime.path, runtimeArguments(this.#runtime, { request, log, streams }), {
      env: { PATH: this.#searchPath },
      stdio: [...streams.child],
    });
    streams.handedOver();
    const attached = new AttachedChild(child, streams, () => firstProcess(request));
    if (typeof request.output !== 'function') request.output.onStart(attached);
    const abort = (): void => {
      void endContainer(child);
    };
    request.signal.addEventListener('abort', abort);
    try {
      const { code, signal } = await processEnd(child).catch((error: unknown) => {
        throw startFailure(failedStart(request, messageOf(error)));
      });
      await streams.drained();
      request.signal.throwIfAborted();
      const said = code === 0 ? undefined : (loggedError(log) ?? lateComplaint(streams.lastLine()));
      if (said !== undefined) throw startFailure(failedStart(request, said));
      const killed = attached.endedBy ?? signal;
      return { exitCode: killed === null ? (code ?? 1) : 128 + constants.signals[killed] };
    } finally {
      request.signal.removeEventListener('abort', abort);
      streams.destroy();
    }
  }
}

/** runc hands a terminal over only where it leaves the container alone; crun always can, and must (HandedTerminal). */
function handOverDirectory({ name }: OciRuntime, { scratch }: SandboxRequest): string | undefined {
  return name === 'crun' ? join(scratch, 'bundle') : undefined;
}

function runtimeArguments(
  runtime: OciRuntime,
  { request: { scratch }, log, streams }: { request: SandboxRequest; log: string; streams: StepStreams },
): string[] {
  const id = `kiln-${randomBytes(6).toString('hex')}`;
  // In hybrid cgroup mode crun stops when it is asked for cgroups; without limits none are needed.
  const own =
    runtime.name === 'crun'
      ? ['--cgroup-manager=disabled', `--log=file:${log}`]
      : ['--log', log, '--log-format', 'json'];
  const command = ['run', '--bundle', join(scratch, 'bundle'), '--pid-file', join(scratch, PID_FILE)];
  const handOver = streams.consoleSocket === undefined ? [] : ['--console-socket', streams.consoleSocket];
  return ['--root', join(scratch, 'state'), ...own, ...command, ...handOver, id];
}

const PID_FILE = 'pid';

/** The container's first process, once it is there. */
function firstProcess({ scratch }: SandboxRequest): number | undefined {
  const text = readTextIfExists(join(scratch, PID_FILE));
  return text === undefined || text === '' ? undefined : Number(text);
}

function writeBundle(request: SandboxRequest, network: StepNetwork, points: MountPoints): void {
  const mounts = plannedMounts(request, {
    files: writeGeneratedFiles(request, network.forwarder),
    ownSysfs: request.network !== 'host' || inInitialUserNamespace(),
    isDirectory: (path) => statSync(path).isDirectory(),
  }).map(({ mountPoint, ...mount }) =>
    mountPoint === undefined ? mount : { ...mount, destination: points.make(mount.destination, mountPoint) },
  );
  const bundle = join(request.scratch, 'bundle');
  mkdirSync(bundle);
  mkdirSync(join(request.scratch, 'state'), { mode: 0o700 });
  const facts = {
    mounts,
    limits: stepLimits(request.ulimits),
    architecture: process.arch,
    networkNamespace: network.namespacePath,
  };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(runtimeConfig(request, facts)));
}

/**
 * Kills the container's processes and lets the runtime put its house in order. Repeated, because the runtime may be
 * anywhere between its start and its container's.
 */
async function endContainer(child: ChildProcess): Promise<void> {
  const deadline = Date.now() + KILL_PATIENCE;
  while (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    killDescendants(child.pid);
    if (Date.now() > deadline) killQuietly(child.pid);
    await delay(10);
  }
}

function failedStart({ argv, cwd, user }: SandboxRequest, said: string): Parameters<typeof startFailure>[0] {
  return { argv, cwd, user: `${user.uid}:${user.gid}`, said };
}

/** The last error in the runtime's log: JSON lines of runc, "time: message" lines of crun. */
function loggedError(log: string): string | undefined {
  let text: string;
  try {
    text = readFileSync(log, 'utf8');
  } catch {
    return undefined;
  }
  const errors = text.split('\n').flatMap((line) => {
    if (line.startsWith('{')) {
      const entry = JSON.parse(line) as { level?: string; msg?: string };
      return entry.level === 'error' && entry.msg !== undefined ? [entry.msg] : [];
    }
    const message = line.replace(/^\d{4}-\S+: /, '').trim();
    return message === '' ? [] : [message];
  });
  return errors.at(-1);
}
