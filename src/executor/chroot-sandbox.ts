/**
 * Runs steps by chroot: for hosts without an OCI runtime, and for root in containers that may not make namespaces.
 * With namespaces a step gets its own mounts, processes, host name and IPC; without them only a root directory.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { BuildError, messageOf } from '../errors.ts';
import { entryPoint } from '../system/entry-point.ts';
import { type ProcessEnd, processEnd } from '../system/process.ts';
import { AttachedChild } from './attached-child.ts';
import type { ChrootPlan, ChrootReport } from './chroot-plan.ts';
import { writeGeneratedFiles } from './generated-files.ts';
import { InPlaceFiles } from './in-place-files.ts';
import { stepLimits } from './limits.ts';
import { MountPoints } from './mount-points.ts';
import type { NamespaceSetup } from './namespace-wire.ts';
import { type NetworkTools, openNetwork, type StepNetwork } from './network.ts';
import { plannedMounts } from './oci-spec.ts';
import { openStreams } from './open-streams.ts';
import { childrenOf, killDescendants, killQuietly, killRootedIn } from './process-tree.ts';
import { inInitialUserNamespace } from './remedies.ts';
import { startFailure } from './runtime-errors.ts';
import type { Sandbox, SandboxRequest, SandboxResult } from './sandbox.ts';

/** How this process stands to its namespaces, and what it may use. */
export interface ChrootHost {
  readonly setup: NamespaceSetup;
  readonly tools: NetworkTools;
  readonly searchPath: string | undefined;
}

/** Sandbox by chroot. */
export class ChrootSandbox implements Sandbox {
  readonly name = 'chroot';
  readonly description: string;
  readonly #host: ChrootHost;

  constructor(host: ChrootHost) {
    this.#host = host;
    this.description = host.setup.mode === 'none' ? 'chroot without namespaces' : 'chroot';
  }

  async run(request: SandboxRequest): Promise<SandboxResult> {
    request.signal.throwIfAborted();
    const isolated = this.#host.setup.mode !== 'none';
    if (!isolated && request.network !== 'host') throw noNetworkNamespace(request);
    if (!isolated && request.readonlyRoot === true) throw noReadonlyRoot();
    const network = await openNetwork(request.network, request.scratch, this.#host.tools);
    const points = new MountPoints(request.rootfs);
    const copies = new InPlaceFiles(request.rootfs, points);
    try {
      const plan = this.#plan(request, network, { points, copies });
      return await this.#start(request, plan, network);
    } finally {
      copies.restore();
      points.restore();
      network.close();
    }
  }

  #plan(
    request: SandboxRequest,
    network: StepNetwork,
    { points, copies }: { points: MountPoints; copies: InPlaceFiles },
  ): ChrootPlan {
    const { mode, pidNamespace } = this.#host.setup;
    const planned = plannedMounts(request, {
      files: writeGeneratedFiles(request, network.forwarder),
      ownSysfs: request.network !== 'host' || inInitialUserNamespace(),
      isDirectory: (path) => statSync(path).isDirectory(),
    });
    if (mode === 'none') copies.install(planned);
    const mounts = planned.map(({ mountPoint, ...mount }) =>
      mountPoint === undefined || mode === 'none'
        ? mount
        : { ...mount, destination: points.make(mount.destination, mountPoint) },
    );
    return {
      rootfs: request.rootfs,
      argv: request.argv,
      env: request.env,
      cwd: request.cwd,
      user: request.user,
      hostname: request.hostname,
      limits: stepLimits(request.ulimits),
      mounts: mode === 'none' ? [] : mounts,
      isolated: mode !== 'none',
      ownPids: pidNamespace,
      loopback: request.network === 'none',
      terminal: typeof request.output !== 'function' && request.output.terminal !== undefined,
      readonlyRoot: request.readonlyRoot === true,
    };
  }

  async #start(request: SandboxRequest, plan: ChrootPlan, network: StepNetwork): Promise<SandboxResult> {
    const planFile = join(request.scratch, 'chroot.json');
    writeFileSync(planFile, JSON.stringify(plan));
    const streams = openStreams(request);
    const [command = '', ...args] = startCommand(plan, planFile, network);
    const child = spawn(command, args, {
      // Node's own use of io_uring would run into the step's filter.
      env: { PATH: this.#host.searchPath, UV_USE_IO_URING: '0' },
      stdio: [...streams.child, 'pipe'],
      detached: true,
    });
    streams.handedOver();
    const attached = new AttachedChild(child, streams, () => firstProcess(child, plan));
    if (typeof request.output !== 'function') request.output.onStart(attached);
    const report = collectReport(child);
    const abort = (): void => {
      void endStep(child, plan);
    };
    request.signal.addEventListener('abort', abort);
    try {
      const end = await processEnd(child).catch((error: unknown) => {
        throw startFailure(failedStart(request, messageOf(error)));
      });
      await endStep(child, plan);
      await streams.drained();
      request.signal.throwIfAborted();
      return answer({ ...end, signal: attached.endedBy ?? end.signal }, report(), request);
    } finally {
      request.signal.removeEventListener('abort', abort);
      streams.destroy();
    }
  }
}

/** unshare makes the namespaces; its --kill-child ends the step when it is killed. */
function startCommand(plan: ChrootPlan, planFile: string, network: StepNetwork): string[] {
  const init = [process.execPath, entryPoint('chroot-init'), planFile];
  if (!plan.isolated) return init;
  const namespaces = ['--mount', '--uts', '--ipc', ...(plan.loopback ? ['--net'] : [])];
  const pids = plan.ownPids ? ['--pid', '--fork', '--kill-child'] : [];
  const joined =
    network.namespacePath === undefined ? [] : ['nsenter', `--net=${network.namespacePath}`, '--'];
  return [...joined, 'unshare', ...namespaces, ...pids, '--', ...init];
}

function collectReport(child: ChildProcess): () => ChrootReport | undefined {
  let text = '';
  (child.stdio[3] as Readable).setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return () => (text === '' ? undefined : (JSON.parse(text) as ChrootReport));
}

function answer(end: ProcessEnd, report: ChrootReport | undefined, request: SandboxRequest): SandboxResult {
  if (report !== undefined) throw startFailure(failedStart(request, inRuntimeWords(report, request)));
  return { exitCode: end.signal === null ? (end.code ?? 1) : 128 + constants.signals[end.signal] };
}

/** The step's own process: below unshare where that has made a PID namespace for it. */
function firstProcess({ pid = 0 }: ChildProcess, { ownPids }: ChrootPlan): number | undefined {
  return ownPids ? childrenOf(pid)[0] : pid;
}

/** Says what the init process reports in the words that runtime-errors.ts knows from crun and runc. */
function inRuntimeWords({ stage, code, message }: ChrootReport, { argv, cwd }: SandboxRequest): string {
  const command = argv[0] ?? '';
  switch (stage) {
    case 'limit':
      return `setrlimit: ${message}`;
    case 'cwd':
      return `chdir to cwd ${cwd}: ${message}`;
    case 'mount':
      return `mount: ${message}`;
    case 'command':
      if (code === 'ENOEXEC') return `exec ${command}: exec format error`;
      if (code === 'INTERPRETER') return `exec ${command}: no such file or directory`;
      if (code === 'EACCES') return `exec: "${command}": permission denied`;
      return `exec: "${command}": executable file not found in $PATH`;
    default:
      return `${stage}: ${message}`;
  }
}

function failedStart({ argv, cwd, user }: SandboxRequest, said: string): Parameters<typeof startFailure>[0] {
  return { argv, cwd, user: `${user.uid}:${user.gid}`, said };
}

/**
 * Ends what is left of a step. In a PID namespace all of it is below one process; otherwise it is known by its root
 * directory and session, which a daemon cannot shed together.
 */
async function endStep(child: ChildProcess, plan: ChrootPlan): Promise<void> {
  const { pid } = child;
  if (pid === undefined) return;
  if (child.exitCode === null && child.signalCode === null) {
    killDescendants(pid);
    killQuietly(pid);
  }
  if (plan.ownPids) return;
  for (let round = 0; round < 100 && killRootedIn(plan.rootfs, pid) > 0; round++) await delay(5);
}

function noNetworkNamespace({ network }: SandboxRequest): BuildError {
  return new BuildError(
    'HOST_NETWORK_REFUSED',
    `--network ${network} needs a network namespace, and this container lets root make none.`,
    { suggestions: ['Use --network host (the default), or allow user namespaces in the outer container.'] },
  );
}

function noReadonlyRoot(): BuildError {
  return new BuildError('HOST_NO_SANDBOX', 'A read-only root filesystem needs a mount namespace.', {
    suggestions: ['Leave --read-only out, or allow user namespaces in the outer container.'],
  });
}

/** Whether chroot(2) is permitted to this process: root with CAP_SYS_CHROOT. */
export function chrootPermitted(): boolean {
  const status = readFileSync('/proc/self/status', 'utf8');
  const effective = BigInt(`0x${/^CapEff:\s*(\S+)/m.exec(status)?.[1] ?? '0'}`);
  const sysChroot = 18n;
  return ((effective >> sysChroot) & 1n) === 1n;
}
