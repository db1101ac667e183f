/** Helper programs (git, credential helpers, xz, mount tools): found, started and waited for in one place. */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { BuildError, type ErrorCode, systemErrorCode } from '../errors.ts';

/**
 * Absolute path of a program, as a shell would find it. For every `…/bin` on PATH the `…/sbin` beside it is searched
 * too: a plain user's PATH leaves those out, and runc and the like are there.
 */
export function findExecutable(name: string, searchPath: string | undefined): string | undefined {
  if (name.includes('/')) return isExecutable(name) ? name : undefined;
  const listed = (searchPath ?? '').split(delimiter).filter((directory) => directory !== '');
  const beside = listed.filter((path) => path.endsWith('/bin')).map((path) => path.replace(/bin$/, 'sbin'));
  return [...listed, ...beside].map((directory) => join(directory, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

export interface RunCommandOptions {
  readonly cwd?: string;
  /** The whole environment of the program; nothing is inherited beside it. */
  readonly env: NodeJS.ProcessEnv;
  /** Text for its standard input; without it the input is empty. */
  readonly input?: string;
  /** Milliseconds until it is killed. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
  /** Bytes of output kept; more is an error. */
  readonly maxBuffer?: number;
  /** Code and way out for the case that the program is not installed. */
  readonly missing?: { readonly code: ErrorCode; readonly suggestions: readonly string[] };
}

export interface CommandResult {
  /** -1 when a signal or the timeout ended it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

/**
 * Runs a helper to its end and gives back what it printed. A failing exit status is a result; only a program that
 * cannot be started, or an abort, rejects.
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: RunCommandOptions,
): Promise<CommandResult> {
  const { execa } = await import('execa');
  const result = await execa(command, args, {
    env: options.env,
    extendEnv: false,
    reject: false,
    stripFinalNewline: false,
    stdin: options.input === undefined ? 'ignore' : 'pipe',
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    maxBuffer: options.maxBuffer ?? 64 * 1024 * 1024,
  });
  options.signal?.throwIfAborted();
  const { exitCode = -1, stdout, stderr, timedOut } = result;
  if (result.failed && result.exitCode === undefined && !timedOut && result.signal === undefined) {
    throw startFailure(command, result, options);
  }
  return { exitCode, stdout, stderr, timedOut };
}

function startFailure(command: string, error: unknown, options: RunCommandOptions): BuildError {
  const code = systemErrorCode(error);
  if (code !== 'ENOENT') {
    return new BuildError('HOST_COMMAND_FAILED', `Could not start "${command}": ${code ?? String(error)}.`, {
      cause: error,
    });
  }
  return new BuildError(
    options.missing?.code ?? 'HOST_COMMAND_MISSING',
    `The program "${command}" is not installed, or not on PATH.`,
    { suggestions: options.missing?.suggestions ?? [`Install "${command}" and try again.`], cause: error },
  );
}

/**
 * Output of a decompressor such as `xz -dc` over a stream. A missing program, a failing exit status or a failing input
 * is an error of the stream; destroying the stream ends the program.
 */
export function spawnDecompressor(command: string, args: readonly string[], input: Readable): Readable {
  const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  const output = new PassThrough();
  input.on('error', (error) => output.destroy(error));
  // A program that ends early says why by its exit status.
  child.stdin.on('error', () => undefined);
  input.pipe(child.stdin);
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2000);
  });
  child.on('error', (error) => {
    output.destroy(
      new BuildError('HOST_COMMAND_MISSING', `The program "${command}" could not be started.`, {
        suggestions: [`Install "${command}" and try again.`],
        cause: error,
      }),
    );
  });
  child.on('close', (code, signal) => {
    if (code === 0) output.end();
    else {
      output.destroy(
        new BuildError('HOST_COMMAND_FAILED', `${command} failed (${signal ?? `exit status ${code}`}).`, {
          output: complaint.split('\n').filter((line) => line !== ''),
        }),
      );
    }
  });
  output.on('close', () => {
    input.destroy();
    child.kill('SIGKILL');
  });
  child.stdout.pipe(output, { end: false });
  return output;
}

/** How a process ended: exit status, or 128 + the signal's number as a shell says it. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Waits until a process is gone and its pipes are read. Rejects when it could not be started. */
export function processEnd(child: ChildProcess): Promise<ProcessEnd> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
}
