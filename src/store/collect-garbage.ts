/**
 * `kiln prune`: mark and sweep. Roots are the entries of index.json and, unless all is to go, the cache records; what
 * a living process has made or used since its session began stays whatever leads to it. Marking and sweeping happen
 * under the index lock, in which no session opens and no name changes; slow removal happens after it, in a session.
 * Directories (snapshots, cache mounts, leftovers) may hold files of many owners, so only who is root over them, or
 * inside the namespace, removes them; everything else takes no privilege.
 */
import { existsSync, lstatSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.ts';
import { type ChainId, hexOf } from '../image/descriptor.ts';
import { type CacheEntry, chainFinder, listCache } from './cache-entries.ts';
import { LiveSet } from './live-set.ts';
import { listMounts, whileUnused } from './mount-list.ts';
import type { Session, Store } from './store.ts';
import { treeSize } from './tree-size.ts';

export interface GarbageOptions {
  /** Cache records are no roots, nor is what was made of images' layers. */
  readonly all: boolean;
  /** Records that were used within this time stay, older ones go; milliseconds. */
  readonly maxAge?: number | undefined;
  /** Bytes that the cache may keep; the records used last stay. */
  readonly keepStorage?: number | undefined;
  /** Stopped containers go as well; with `maxAge`, those that ended before. */
  readonly containers: boolean;
  /** Only says what would go. */
  readonly dryRun: boolean;
  /** Directories stay, as outside the namespace. */
  readonly leaveTrees?: boolean;
  /** What was used within this time stays even above keepStorage; milliseconds. */
  readonly grace?: number | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface Garbage {
  readonly kind: 'record' | 'blob' | 'layer' | 'snapshot' | 'mount' | 'container' | 'leftover';
  readonly name: string;
  readonly size: number;
}

export interface GarbageReport {
  readonly removed: readonly Garbage[];
  readonly reclaimed: number;
  /** False when the size of something could not be measured from outside the namespace. */
  readonly measured: boolean;
  /** Other processes are at work on the store: what they may need was kept. */
  readonly busy: boolean;
}

/** While anybody is at work, what is younger than this stays in any case. */
const GRACE_MS = 600_000;

/** Kinds that are directories. */
const TREES: ReadonlySet<Garbage['kind']> = new Set(['snapshot', 'mount', 'container', 'leftover']);

/** True when something of the report is a directory, which may take the namespace to remove. */
export function hasTrees({ removed }: GarbageReport): boolean {
  return removed.some(({ kind }) => TREES.has(kind));
}

/** Collects garbage. Without `leaveTrees`, call it as root or inside the namespace. */
export function collectGarbage(store: Store, options: GarbageOptions): GarbageReport {
  const session = store.openSession();
  try {
    const garbage = store.names.locked('exclusive', () => new Collection(store, session, options).sweep());
    let measured = true;
    const removed = garbage.map(({ path, ...found }): Garbage => {
      if (found.size !== undefined) return { ...found, size: found.size };
      const tree = treeSize(path);
      measured &&= tree.complete;
      return { ...found, size: tree.size };
    });
    const reclaimed = removed.reduce((sum, { size }) => sum + size, 0);
    return { removed, reclaimed, measured, busy: store.oldestSession({ except: session }) !== undefined };
  } finally {
    session.close();
  }
}

/** Folders whose files are garbage one by one, and what each file is. */
const SWEPT: Readonly<Record<string, Garbage['kind']>> = { layers: 'layer', 'cache/trees': 'record' };

/** Where the garbage is now; a size that is not given is measured there. */
interface Found extends Omit<Garbage, 'size'> {
  readonly path: string;
  readonly size?: number;
}

class Collection {
  readonly #store: Store;
  readonly #session: Session;
  readonly #options: GarbageOptions;
  /** What was made or used since then stays. */
  readonly #horizon: number;
  readonly #live: LiveSet;
  readonly #found: Found[] = [];

  constructor(store: Store, session: Session, options: GarbageOptions) {
    this.#store = store;
    this.#session = session;
    this.#options = options;
    const oldest = store.oldestSession({ except: session });
    this.#horizon =
      oldest === undefined ? Number.POSITIVE_INFINITY : Math.min(oldest, options.now - GRACE_MS);
    this.#live = new LiveSet(store);
  }

  sweep(): readonly Found[] {
    this.#sweepContainers();
    this.#sweepCache();
    this.#sweepFileDigests();
    this.#sweepSnapshots();
    this.#sweepFolder('layers', ({ layers }) => layers);
    this.#sweepFolder(join('cache', 'trees'), ({ fileLists }) => fileLists);
    this.#sweepShapes();
    this.#sweepFolder(join('blobs', 'sha256'), ({ blobs }) => blobs);
    this.#sweepLeftovers();
    return this.#found;
  }

  /** What a container stands on stays as it is, unpacked layers included: it may be running on them. */
  #sweepContainers(): void {
    const { containers, maxAge, now } = this.#options;
    for (const container of this.#store.containers.list()) {
      const { alive, autoRemove, directory, finished, created } = container;
      const old = maxAge === undefined || now - Date.parse(finished ?? created) > maxAge;
      // One of --rm that is still there was left by a kiln that was killed.
      const goes = !alive && (autoRemove || (containers && old));
      if (!goes || !this.#remove('container', directory))
        this.#live.markImage(container.manifest, { derived: true });
    }
  }

  /** Marks everything on the way: which records stay decides what is reachable. Cache mounts go by the same rules. */
  #sweepCache(): void {
    const { all, keepStorage } = this.#options;
    const { entries, broken } = listCache(this.#store);
    for (const entry of this.#store.names.entries()) this.#live.markImage(entry, { derived: !all });
    const chainOf = chainFinder(entries);
    const records = entries.map((entry) => ({ ...entry, young: this.#isYoung(entry.path), entry }));
    const mounts = listMounts(this.#store).map((mount) => ({ ...mount, young: false, entry: undefined }));
    let bytes = 0;
    // Oldest last: a layer counts for the record that used it last.
    for (const item of [...records, ...mounts].sort((a, b) => b.lastUse - a.lastUse)) {
      const { entry, path, young } = item;
      const chain = entry === undefined ? undefined : chainOf(entry);
      if (keepStorage !== undefined) {
        bytes +=
          entry === undefined ? treeSize(path).size : addedSize(this.#store, this.#live, { entry, chain });
      }
      const goes = !young && this.#goes(item.lastUse, bytes);
      if (entry === undefined) {
        if (goes) whileUnused(item, () => this.#remove('mount', path));
      } else if (goes) this.#remove('record', path);
      else this.#live.markEntry(entry, chain);
    }
    for (const path of broken) if (!this.#isYoung(path)) this.#remove('record', path);
  }

  /** Whether something of the cache goes; `bytes` is the size of what was used since, and its own. */
  #goes(lastUse: number, bytes: number): boolean {
    const { all, maxAge, keepStorage, grace = 0, now } = this.#options;
    if (maxAge === undefined && keepStorage === undefined) return all;
    const full = keepStorage !== undefined && bytes > keepStorage && now - lastUse >= grace;
    return full || (maxAge !== undefined && now - lastUse > maxAge);
  }

  #sweepSnapshots(): void {
    const chains = join(this.#store.root, 'chains');
    const snapshots = join(this.#store.root, 'snapshots');
    const there = new Set(readdirSync(snapshots));
    const named = new Set<string>();
    for (const chain of readdirSync(chains)) {
      const link = join(chains, chain);
      const name = readFileSync(link, 'utf8').trim();
      const isLive = this.#live.chains.has(chain) || this.#isYoung(link);
      if (there.has(name) && (isLive || this.#options.leaveTrees === true)) named.add(name);
      else if (!this.#options.dryRun) rmSync(link, { force: true });
    }
    for (const name of there) {
      const path = join(snapshots, name);
      if (!named.has(name) && !this.#isYoung(path)) this.#remove('snapshot', path);
    }
  }

  #sweepFolder(folder: string, liveOf: (live: LiveSet) => ReadonlySet<string>): void {
    const directory = join(this.#store.root, folder);
    const live = liveOf(this.#live);
    const kind = SWEPT[folder] ?? 'blob';
    if (!existsSync(directory)) return;
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      if (!live.has(name.slice(0, 64)) && !this.#isYoung(path)) this.#remove(kind, path);
    }
  }

  /** Memories of digests that were read long ago, or all of them: they are made again when a context is. */
  #sweepFileDigests(): void {
    const cache = join(this.#store.root, 'cache');
    for (const name of readdirSync(cache)) {
      const path = join(cache, name);
      if (!name.startsWith('files-') || this.#isYoung(path)) continue;
      const { mtimeMs } = lstatSync(path);
      // They are small: the limit on storage is not for them.
      if (this.#goes(mtimeMs, 0)) this.#remove('record', path);
    }
  }

  /** Shapes that name no record any more. */
  #sweepShapes(): void {
    const directory = join(this.#store.root, 'cache', 'shapes');
    if (!existsSync(directory)) return;
    for (const name of readdirSync(directory)) {
      const keys = this.#store.shapes.get(`sha256:${name}`);
      const path = join(directory, name);
      if (!keys.some((key) => this.#live.records.has(key)) && !this.#isYoung(path))
        this.#remove('record', path);
    }
  }

  /** Sessions of dead processes and drafts outside of sessions. */
  #sweepLeftovers(): void {
    const { temporary } = this.#store;
    for (const name of readdirSync(temporary)) {
      const path = join(temporary, name);
      if (path === this.#session.directory || this.#store.inUse(path, this.#options.now)) continue;
      this.#remove('leftover', path);
    }
    // A cache mount that was being made when its process was killed.
    for (const mount of listMounts(this.#store)) {
      if (!existsSync(mount.path)) continue;
      const drafts = readdirSync(mount.path).filter((name) => /^data\.[0-9a-f]+$/.test(name));
      if (drafts.length === 0) continue;
      whileUnused(mount, () => {
        for (const name of drafts) this.#remove('leftover', join(mount.path, name));
      });
    }
  }

  #isYoung(path: string): boolean {
    if (this.#horizon === Number.POSITIVE_INFINITY) return false;
    const stat = lstatSync(path, { throwIfNoEntry: false });
    return stat !== undefined && Math.max(stat.mtimeMs, stat.ctimeMs) >= this.#horizon;
  }

  /** False when it cannot go now. */
  #remove(kind: Garbage['kind'], path: string): boolean {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const isTree = TREES.has(kind) && lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    if (isTree && this.#options.leaveTrees === true) return false;
    if (this.#options.dryRun) {
      this.#found.push({ kind, name, path });
    } else if (kind === 'container') {
      const trash = this.#session.draft('trash');
      if (!this.#store.containers.take(path, trash, { wait: false })) return false;
      this.#found.push({ kind, name, path: trash });
    } else if (isTree) {
      // Out of reach at once; removed with the session, when nobody waits for the lock any more.
      const trash = this.#session.draft('trash');
      try {
        renameSync(path, trash);
      } catch (error) {
        if (systemErrorCode(error) === 'ENOENT') return true; // Its owner has removed it meanwhile.
        throw error;
      }
      this.#found.push({ kind, name, path: trash });
    } else {
      const size = lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
      rmSync(path, { force: true });
      this.#found.push({ kind, name, path, size });
    }
    return true;
  }
}

/** Bytes that a record holds beyond what is marked already, for --keep-storage. */
function addedSize(
  store: Store,
  live: LiveSet,
  { entry, chain }: { entry: CacheEntry; chain: ChainId | undefined },
): number {
  let size = entry.size;
  for (const digest of [entry.digest, ...(entry.blob === undefined ? [] : [entry.blob.digest])]) {
    if (!live.blobs.has(hexOf(digest))) size += store.blobs.size(digest) ?? 0;
  }
  if (chain !== undefined && !live.chains.has(hexOf(chain))) {
    const directory = store.layers.peekSnapshot(chain);
    // What a layer unpacks to is about as large as its tar; counting its files would take long.
    if (directory !== undefined) size += store.blobs.size(entry.digest) ?? treeSize(directory).size;
  }
  return size;
}
