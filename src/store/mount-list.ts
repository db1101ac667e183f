/** Cache mounts as the collector and `kiln df` see them: directories below mounts/, each with a lock and its ID. */
import { closeSync, lstatSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { lockFile } from '../system/file-calls.ts';
import { readTextIfExists } from '../system/files.ts';
import type { Store } from './store.ts';

export interface StoredMount {
  /** Its directory; `data` in it is what is mounted. */
  readonly path: string;
  /** Value of id=, or the target it is mounted at. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly lastUse: number;
}

/** Every cache mount. */
export function listMounts(store: Store): StoredMount[] {
  const directory = join(store.root, 'mounts');
  return readdirSync(directory).map((name) => {
    const path = join(directory, name);
    const lock = lstatSync(join(path, 'lock'), { throwIfNoEntry: false });
    return { path, id: readTextIfExists(join(path, 'id')) ?? name, lastUse: lock?.mtimeMs ?? 0 };
  });
}

/** Runs `work` while no step has the mount; false when one has. Steps look again once they have the lock. */
export function whileUnused({ path }: StoredMount, work: () => void): boolean {
  let fd: number;
  try {
    fd = openSync(join(path, 'lock'), 'a');
  } catch {
    // Without a lock nobody has come to use it, or it is not ours to touch.
    work();
    return true;
  }
  try {
    if (!lockFile(fd, 'exclusive', false)) return false;
    work();
    return true;
  } finally {
    closeSync(fd);
  }
}
