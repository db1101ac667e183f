/** One run of a command as the racer: how long it took, and the most memory that it and its children held at once. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { type Racer, racerArguments, racerEnvironment } from './builders.ts';

export interface Measured {
  readonly seconds: number;
  /** Resident bytes of all its processes together; what several share is counted once (PSS). */
  readonly peakBytes: number;
}

const SAMPLE_MS = 20;

/** Runs a command; rejects when it fails. */
export async function measure(racer: Racer, command: readonly string[]): Promise<Measured> {
  const began = process.hrtime.bigint();
  const child = spawn('setpriv', racerArguments(racer, command), {
    env: racerEnvironment(racer),
    cwd: racer.home,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000);
  });
  let peakBytes = 0;
  const sampler = setInterval(() => {
    peakBytes = Math.max(peakBytes, residentBytes(child.pid ?? 0));
  }, SAMPLE_MS);
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearInterval(sampler);
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  if (status !== 0) throw new Error(`${command.join(' ')}: ${said}`);
  return { seconds, peakBytes };
}

/** Proportional set size of a process and everything below it. */
function residentBytes(root: number): number {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = read(`/proc/${name}/stat`);
    // The name of the program, in parentheses, may hold anything.
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const sum = (pid: number): number => {
    const own = Number(/^Pss: +(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0) * 1024;
    return (children.get(pid) ?? []).reduce((total, child) => total + sum(child), own);
  };
  return sum(root);
}

/** A file of /proc; empty when the process has ended meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
