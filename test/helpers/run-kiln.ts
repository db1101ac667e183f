/** Runs the installed kiln as root or as the unprivileged test user, with nothing of our own environment. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { TEST_USER } from '../setup/places.ts';
import { kilnProgram } from './bases.ts';

export type User = 'root' | 'kilntest';

export interface RunKilnOptions {
  readonly user: User;
  readonly cwd: string;
  /** KILN_HOME; one a test. */
  readonly home: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
  /** Milliseconds until the process is killed and the call fails. */
  readonly timeout?: number;
  /** Words before the program, such as `strace -f -o F`; they run as the same user. */
  readonly wrapper?: readonly string[];
}

export interface KilnResult {
  /** 128 + the signal's number when a signal ended it, as a shell says it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

interface Account {
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

export function accountOf(user: User): Account {
  const name = user === 'root' ? 'root' : TEST_USER;
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  const [, , uid, gid, , home] = line?.split(':') ?? [];
  if (home === undefined) throw new Error(`no user "${name}" in /etc/passwd; test set-up makes it`);
  return { uid: Number(uid), gid: Number(gid), home };
}

/** Starts any program as a user with a clean environment; the caller owns the process. */
export function spawnAs(command: readonly string[], options: RunKilnOptions): ChildProcess {
  const { uid, gid, home } = accountOf(options.user);
  const drop =
    options.user === 'root' ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--init-groups', '--'];
  const [program = '', ...args] = [...drop, ...(options.wrapper ?? []), ...command];
  return spawn(program, args, {
    cwd: options.cwd,
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: home,
      USER: options.user === 'root' ? 'root' : TEST_USER,
      LANG: 'C.UTF-8',
      KILN_HOME: options.home,
      ...options.env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/** Starts kiln and returns its process, for tests that send signals or read as it goes. */
export function startKiln(args: readonly string[], options: RunKilnOptions): ChildProcess {
  return spawnAs([kilnProgram(), ...args], options);
}

const SIGNALS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/** Waits for a process and gathers what it printed. */
export function resultOf(
  child: ChildProcess,
  options: Pick<RunKilnOptions, 'input' | 'timeout'> = {},
): Promise<KilnResult> {
  const began = performance.now();
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(options.input ?? '');
  const limit = options.timeout ?? 120_000;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(
        new Error(`kiln did not end within ${limit} ms. It said:\n${Buffer.concat(stderr).toString('utf8')}`),
      );
    }, limit);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({
        exitCode: code ?? 128 + (SIGNALS[signal ?? ''] ?? 0),
        stdout: Buffer.concat(stdout).toString('utf8'),
        stderr: Buffer.concat(stderr).toString('utf8'),
        durationMs: performance.now() - began,
      });
    });
  });
}

export function runKiln(args: readonly string[], options: RunKilnOptions): Promise<KilnResult> {
  return resultOf(startKiln(args, options), options);
}
