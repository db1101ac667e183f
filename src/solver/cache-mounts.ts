/**
 * Cache mounts (RUN --mount=type=cache): directories in the store that outlive builds and are never in a layer.
 * `shared` is one directory for all, `locked` is one at a time, `private` takes another directory while one is in use.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { cleanPath } from '../dockerfile/ignore.ts';
import type { CacheMount } from '../dockerfile/run-mount.ts';
import { copyTree } from '../layer/copy-tree.ts';
import type { FileTree } from '../layer/file-tree.ts';
import { lockFile } from '../system/file-calls.ts';
import { makeDirectories, randomName, removeTree, touch, writeFileAtomic } from '../system/files.ts';
import type { UsedMount } from './mount-content.ts';
import type { SolverContext } from './solver-context.ts';

export interface OpenedCache {
  readonly directory: string;
  release(): void;
}

interface CacheRequest {
  readonly mount: CacheMount;
  /** What a new cache begins with. */
  readonly seed: { readonly tree: FileTree; readonly source: string; readonly identity: string } | undefined;
}

/** How often a locked cache that somebody else has is tried again. */
const RETRY_MS = 50;

/** Opens the directory of a cache mount and holds it as its sharing mode asks. */
export async function openCacheMount(context: SolverContext, request: CacheRequest): Promise<OpenedCache> {
  const { mount, seed } = request;
  const id = mount.id ?? cleanPath(mount.target);
  // As in BuildKit, one id with other owners, modes or first contents is another cache.
  const identity = [
    id,
    seed?.identity ?? '',
    seed?.source ?? '',
    mount.uid ?? 0,
    mount.gid ?? 0,
    mount.mode ?? 0o755,
  ];
  const name = createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 32);
  for (let number = 0; ; number++) {
    const place = join(context.store.root, 'mounts', number === 0 ? name : `${name}-${number}`);
    const lock = await take(context, place, mount.sharing);
    if (lock === undefined) continue;
    const directory = join(place, 'data');
    if (isAbsentOrEmpty(directory)) await createOnce(context, { ...request, directory, place, id, name });
    // A second copy of a private cache is the process's own; the first one is what is carried away.
    if (number === 0) context.options.mountContent?.onUse({ name, id, place });
    return { directory, release: () => closeSync(lock) };
  }
}

/** The lock's descriptor; undefined when a private cache is in use and the next one is to be tried. */
async function take(
  context: SolverContext,
  place: string,
  sharing: CacheMount['sharing'],
): Promise<number | undefined> {
  const path = join(place, 'lock');
  for (;;) {
    makeDirectories(place, 0o755);
    const fd = openSync(path, 'a');
    const kind = sharing === 'shared' ? 'shared' : 'exclusive';
    while (!lockFile(fd, kind, false)) {
      if (sharing === 'private') {
        closeSync(fd);
        return undefined;
      }
      context.signal.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    // Its last use orders caches when the store is trimmed. A prune may have taken it away before the lock was had.
    if (touch(path) && statSync(path).ino === fstatSync(fd).ino) return fd;
    closeSync(fd);
  }
}

function isAbsentOrEmpty(directory: string): boolean {
  return !existsSync(directory) || readdirSync(directory).length === 0;
}

interface NewCache extends CacheRequest, UsedMount {
  readonly directory: string;
}

/** Caches being made by this process: of two steps that share a new one, the second waits. */
const making = new Map<string, Promise<void>>();

async function createOnce(context: SolverContext, request: NewCache): Promise<void> {
  const { directory } = request;
  const work = making.get(directory) ?? create(context, request);
  making.set(directory, work);
  try {
    await work;
  } finally {
    making.delete(directory);
  }
}

async function create(context: SolverContext, request: NewCache): Promise<void> {
  const { mount, seed, directory, place, id } = request;
  // Made whole under another name first: of two steps that share a new cache, neither sees half of it.
  const draft = `${directory}.${randomName()}`;
  const restored = await context.options.mountContent?.restore(request, draft);
  if (restored !== true && existsSync(directory)) return;
  if (restored !== true && seed === undefined) makeDirectories(draft, 0o755);
  else if (restored !== true && seed !== undefined) copyTree(seed.tree, seed.source, draft);
  const made = statSync(draft);
  chownSync(draft, mount.uid ?? made.uid, mount.gid ?? made.gid);
  chmodSync(draft, mount.mode ?? made.mode & 0o7777);
  try {
    // Takes the place of an empty directory; one that has been filled meanwhile stays.
    renameSync(draft, directory);
  } catch (error) {
    // Somebody else was first.
    removeTree(draft);
    if (!existsSync(directory)) throw error;
  }
  writeFileAtomic(join(place, 'id'), id, { temporary: context.store.temporary, flush: false });
}
