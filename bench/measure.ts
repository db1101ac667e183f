/** Commands run at once as the racer: how long they took, and the most memory that they and their children held together. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { type Racer, racerArguments, racerEnvironment } from './builders.ts';

export interface Measured {
  readonly seconds: number;
  /** Resident bytes of all its processes together; what several share is counted once (PSS). */
  readonly peakBytes: number;
}

const SAMPLE_MS = 20;

/** Runs commands at once; rejects when one fails. */
export async function measure(racer: Racer, commands: readonly (readonly string[])[]): Promise<Measured> {
  const began = process.hrtime.bigint();
  const pids = new Set<number>();
  let peakBytes = 0;
  const sampler = setInterval(() => {
    peakBytes = Math.max(peakBytes, residentBytes(pids));
  }, SAMPLE_MS);
  try {
    await Promise.all(commands.map((command) => finished(racer, command, pids)));
  } finally {
    clearInterval(sampler);
  }
  return { seconds: Number(process.hrtime.bigint() - began) / 1e9, peakBytes };
}

async function finished(racer: Racer, command: readonly string[], pids: Set<number>): Promise<void> {
  const child = spawn('setpriv', racerArguments(racer, command), {
    env: racerEnvironment(racer),
    cwd: racer.home,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const pid = child.pid ?? 0;
  pids.add(pid);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000);
  });
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  pids.delete(pid);
  if (status !== 0) throw new Error(`${command.join(' ')}: ${said}`);
}

/** Proportional set size of processes and everything below them. */
function residentBytes(roots: Iterable<number>): number {
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
  return [...roots].reduce((total, root) => total + sum(root), 0);
}

/** A file of /proc; empty when the process has ended meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
