/** Starts a program and waits; throws with its last words when it fails. */
import { spawnSync } from 'node:child_process';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
}

export function run(program: string, args: readonly string[], options: RunOptions = {}): string {
  return runBytes(program, args, options).toString('utf8');
}

export function runBytes(program: string, args: readonly string[], options: RunOptions = {}): Buffer {
  const result = spawnSync(program, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    input: options.input ?? '',
    maxBuffer: 1 << 30,
  });
  if (result.error !== undefined) throw new Error(`${program}: ${result.error.message}`);
  if (result.status !== 0) {
    const said = `${result.stdout.toString('utf8')}${result.stderr.toString('utf8')}`.trimEnd().slice(-4000);
    throw new Error(`${program} ${args.join(' ')}: exit ${result.status ?? result.signal}\n${said}`);
  }
  return result.stdout;
}
