/** Ends processes that a step left running, whatever they did with their groups and sessions. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

function allProcesses(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** State, parent, session and the like, as /proc/<pid>/stat lists them after the name. */
function statOf(pid: number): readonly string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The program's name, in parentheses, may hold anything, so what counts begins after the last one.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

/** Processes that a process has started itself and that still run. */
export function childrenOf(parent: number): number[] {
  return allProcesses().filter((pid) => statOf(pid)[1] === String(parent));
}

function rootOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/root`);
  } catch {
    return undefined;
  }
}

/** SIGKILL to every process with this root directory or session. Returns how many there were. */
export function killRootedIn(rootfs: string, session: number): number {
  const found = allProcesses().filter((pid) => {
    const [state, , , ownSession] = statOf(pid);
    if (state === 'Z' || pid === process.pid) return false;
    return ownSession === String(session) || rootOf(pid) === rootfs;
  });
  found.forEach(killQuietly);
  return found.length;
}

/** SIGKILL to everything below `root`, not to `root` itself: a runtime is to see its container die and tidy up. */
export function killDescendants(root: number): void {
  for (const child of childrenOf(root)) {
    killDescendants(child);
    killQuietly(child);
  }
}

/** SIGKILL to one process, or to a group when negative; gone already is fine. */
export function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}
