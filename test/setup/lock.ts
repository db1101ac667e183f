/** One set-up at a time on a machine: flock(1) holds the lock for as long as we hold its standard input. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export async function withLock<T>(path: string, work: () => T | Promise<T>): Promise<T> {
  const holder = spawn('flock', [path, 'sh', '-c', 'echo held; cat'], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  try {
    return await work();
  } finally {
    holder.stdin.end();
    await once(holder, 'exit');
  }
}
