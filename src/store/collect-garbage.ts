/**
 * `kiln prune`: mark and sweep. Roots are the entries of index.json and, unless all is to go, the cache records; what
 * a living process has made or used since its session began stays whatever leads to it. Marking and sweeping happen
 * under the index lock, in which no session opens and no name changes; slow removal happens after it, in a session.
 */
import { existsSync, lstatSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.ts';
import { type ChainId, hexOf } from '../image/descriptor.ts';
import { type CacheEntry, chainFinder, listCache } from './cache-entries.ts';
import { LiveSet } from './live-set.ts';
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
  /** Milliseconds since 1970. */
  readonly now: number;
}

export interface Garbage {
  readonly kind: 'record' | 'blob' | 'layer' | 'snapshot' | 'container' | 'leftover';
  readonly name: string;
  readonly size: number;
}

export interface GarbageReport {
  readonly removed: readonly Garbage[];
  readonly reclaimed: number;
  /** Other processes are at work on the store: what they may need was kept. */
  readonly busy: boolean;
}

/** While anybody is at work, what is younger than this stays in any case. */
const GRACE_MS = 600_000;

/** Collects garbage. Call inside the namespace: snapshots and leftovers belong to many owners. */
export function collectGarbage(store: Store, options: GarbageOptions): GarbageReport {
  const session = store.openSession();
  try {
    const garbage = store.names.locked('exclusive', () => new Collection(store, session, options).sweep());
    const removed = garbage.map(({ path, ...found }) => ({
      ...found,
      size: found.size ?? treeSize(path).size,
    }));
    const reclaimed = removed.reduce((sum, { size }) => sum + size, 0);
    return { removed, reclaimed, busy: store.oldestSession({ except: session }) !== undefined };
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
    this.#sweepRecords();
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

  /** Marks everything on the way: which records stay decides what is reachable. */
  #sweepRecords(): void {
    const { all, maxAge, keepStorage, now } = this.#options;
    const { entries, broken } = listCache(this.#store);
    const limited = maxAge !== undefined || keepStorage !== undefined;
    for (const entry of this.#store.names.entries()) this.#live.markImage(entry, { derived: !all });
    const chainOf = chainFinder(entries);
    let bytes = 0;
    let full = false;
    for (const entry of entries) {
      const young = this.#isYoung(entry.path);
      if (!young && all && !limited) {
        this.#remove('record', entry.path);
        continue;
      }
      const chain = chainOf(entry);
      // Oldest last: a layer counts for the record that used it last.
      if (keepStorage !== undefined) bytes += addedSize(this.#store, this.#live, { entry, chain });
      full ||= keepStorage !== undefined && bytes > keepStorage;
      const old = maxAge !== undefined && now - entry.lastUse > maxAge;
      if (!young && (full || old)) this.#remove('record', entry.path);
      else this.#live.markEntry(entry, chain);
    }
    for (const path of broken) if (!this.#isYoung(path)) this.#remove('record', path);
  }

  #sweepSnapshots(): void {
    const chains = join(this.#store.root, 'chains');
    const snapshots = join(this.#store.root, 'snapshots');
    const there = new Set(readdirSync(snapshots));
    const named = new Set<string>();
    for (const chain of readdirSync(chains)) {
      const link = join(chains, chain);
      const name = readFileSync(link, 'utf8').trim();
      const keeps = there.has(name) && (this.#live.chains.has(chain) || this.#isYoung(link));
      if (keeps) named.add(name);
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
  }

  #isYoung(path: string): boolean {
    if (this.#horizon === Number.POSITIVE_INFINITY) return false;
    const stat = lstatSync(path, { throwIfNoEntry: false });
    return stat !== undefined && Math.max(stat.mtimeMs, stat.ctimeMs) >= this.#horizon;
  }

  /** False when it cannot go now. */
  #remove(kind: Garbage['kind'], path: string): boolean {
    const name = path.slice(path.lastIndexOf('/') + 1);
    if (this.#options.dryRun) {
      this.#found.push({ kind, name, path });
    } else if (kind === 'container') {
      const trash = this.#session.draft('trash');
      if (!this.#store.containers.take(path, trash, { wait: false })) return false;
      this.#found.push({ kind, name, path: trash });
    } else if (kind === 'snapshot' || kind === 'leftover') {
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
    if (directory !== undefined) size += treeSize(directory).size;
  }
  return size;
}
