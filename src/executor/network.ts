/**
 * The network of one step. `host` shares ours, `none` is made by the runtime, `private` is a namespace of its own that
 * pasta (or slirp4netns) connects to the outside without root.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { BuildError } from '../errors.ts';
import { toByteString } from '../system/byte-path.ts';
import { unmountDetach } from '../system/mount-calls.ts';
import { findExecutable, processEnd } from '../system/process.ts';
import { killQuietly } from './process-tree.ts';
import { installCommand, outputLines } from './remedies.ts';
import type { NetworkMode } from './sandbox.ts';

/** A network that is ready for a process to join. */
export interface StepNetwork {
  /** File to join the network namespace by; undefined for 'host' and 'none'. */
  readonly namespacePath: string | undefined;
  /** Name server that the helper answers for, where it is one. */
  readonly forwarder: string | undefined;
  /** Ends the helper and gives the namespace up. Never throws. */
  close(): void;
}

const NO_HELPER: StepNetwork = { namespacePath: undefined, forwarder: undefined, close: () => {} };

export interface NetworkTools {
  readonly pasta: string | undefined;
  readonly slirp4netns: string | undefined;
}

/** The helpers on PATH. */
export function findNetworkTools(searchPath: string | undefined): NetworkTools {
  return {
    pasta: findExecutable('pasta', searchPath),
    slirp4netns: findExecutable('slirp4netns', searchPath),
  };
}

/** Makes the network for a step; `scratch` takes the namespace's mount point and the helper's files. */
export async function openNetwork(
  mode: NetworkMode,
  scratch: string,
  tools: NetworkTools,
): Promise<StepNetwork> {
  if (mode !== 'private') return NO_HELPER;
  const start = tools.pasta !== undefined ? startPasta : startSlirp;
  const program = tools.pasta ?? tools.slirp4netns;
  if (program === undefined) {
    throw new BuildError(
      'HOST_NO_NETWORK_HELPER',
      'A private network for RUN needs pasta or slirp4netns, and neither is installed.',
      {
        suggestions: [
          installCommand('pasta'),
          'Or use --network host (the default) or --network none, which need no helper.',
        ],
      },
    );
  }
  const namespacePath = await makeNetworkNamespace(join(scratch, 'netns'));
  try {
    const helper = await start(program, namespacePath, scratch);
    return {
      namespacePath,
      forwarder: helper.forwarder,
      close: () => {
        killQuietly(helper.pid);
        dropNamespace(namespacePath);
      },
    };
  } catch (error) {
    dropNamespace(namespacePath);
    throw error;
  }
}

/**
 * A network namespace kept by a bind mount: no process has to hold it, and any helper may open it. Made by a short
 * process, because a thread that has left the host's network may not come back without being the host's root.
 */
async function makeNetworkNamespace(path: string): Promise<string> {
  writeFileSync(path, '');
  const child = spawn('unshare', ['--net', '--', 'mount', '--bind', '/proc/self/ns/net', path], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said = collect(child.stderr);
  const { code } = await processEnd(child);
  if (code !== 0) {
    throw new BuildError('HOST_NETWORK_REFUSED', 'A network namespace for the step cannot be made.', {
      suggestions: ['Use --network host (the default).'],
      output: outputLines(said()),
    });
  }
  return path;
}

function dropNamespace(path: string): void {
  try {
    unmountDetach(toByteString(path));
  } catch {
    // Gone with the mount namespace, or never mounted.
  }
}

interface Helper {
  readonly pid: number;
  readonly forwarder: string;
}

/** An address that no network uses; pasta answers name lookups sent to it with the host's resolver. */
const PASTA_FORWARDER = '169.254.1.1';

async function startPasta(program: string, namespacePath: string, scratch: string): Promise<Helper> {
  const pidFile = join(scratch, 'pasta.pid');
  const noPorts = ['-t', 'none', '-u', 'none', '-T', 'none', '-U', 'none'];
  const child = spawn(
    program,
    [
      '--config-net',
      ...noPorts,
      ...['--no-map-gw', '--dns-forward', PASTA_FORWARDER, '--quiet', '--pid', pidFile],
      // Otherwise it looks for another user namespace, and as root turns into nobody, who may not join ours.
      ...['--runas', '0:0', '--netns-only', '--netns', namespacePath],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const said = collect(child.stderr);
  // It goes into the background when the network is up.
  const { code, signal } = await exitOf(child);
  if (code !== 0) throw helperFailure('pasta', said() || `${signal ?? `exit status ${code}`}`);
  return { pid: Number(readFileSync(pidFile, 'utf8').trim()), forwarder: PASTA_FORWARDER };
}

async function startSlirp(program: string, namespacePath: string): Promise<Helper> {
  const child = spawn(
    program,
    [
      '--configure',
      '--mtu=65520',
      '--disable-host-loopback',
      '--ready-fd=3',
      ...['--netns-type=path', namespacePath, 'tap0'],
    ],
    { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] },
  );
  const said = collect(child.stderr);
  const ready = new Promise<boolean>((resolve) => {
    (child.stdio[3] as Readable).once('data', () => resolve(true));
  });
  const up = await Promise.race([ready, processEnd(child).then(() => false)]);
  if (!up || child.pid === undefined) throw helperFailure('slirp4netns', said());
  child.unref();
  return { pid: child.pid, forwarder: '10.0.2.3' };
}

function collect(stream: Readable | null): () => string {
  let text = '';
  stream?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return () => text;
}

/** The exit of the process itself: a helper that forked keeps its pipes open. */
function exitOf(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}

function helperFailure(name: string, said: string): BuildError {
  return new BuildError('HOST_NETWORK_HELPER_FAILED', `${name} could not connect the step's network.`, {
    suggestions: [
      'Check that /dev/net/tun is there and writable.',
      'Or use --network host (the default) or --network none.',
    ],
    output: outputLines(said),
  });
}
