/** After a build, however it ended, nothing of it may be left: mounts, processes, drafts. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

function mountsBelow(directory: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((point) => point.startsWith(`${directory}/`));
}

/** Processes whose environment, working directory or command line names the directory. */
export function processesOf(directory: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
        const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
        return `${command}\n${environment}`.includes(directory) ? [`${pid} ${command}`] : [];
      } catch {
        return []; // it ended while we looked
      }
    });
}

function drafts(home: string): string[] {
  const directory = join(home, 'tmp');
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** What is left below a directory that holds a store in `home`; empty when all is clean. */
export function leftovers(directory: string, home: string): string[] {
  return [
    ...mountsBelow(directory).map((point) => `mount ${point}`),
    ...processesOf(directory).map((line) => `process ${line}`),
    ...drafts(home).map((name) => `draft ${name}`),
  ];
}

/** Waits a little for the kernel to end what is already dying, then throws what is still there. */
export async function expectNoLeftovers(directory: string, home: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const left = leftovers(directory, home);
    if (left.length === 0) return;
    if (attempt === 40) throw new Error(`left behind:\n  ${left.join('\n  ')}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
