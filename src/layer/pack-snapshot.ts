/**
 * A layer from what a RUN changed: the upper directory of an overlay. Entries that overlayfs copied up but that did
 * not change are left out; directories above a change come with their real mode and owner.
 */
import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { toByteString, toFsPath } from '../system/byte-path.ts';
import type { Entry } from './entry.ts';
import { hostEntry, isOpaque, isWhiteout, lstatPath } from './host-entry.ts';
import type { LayerOutput, PackedLayer } from './layer-writer.ts';
import { LowerView } from './lower-view.ts';
import { refuseReservedName } from './pack-tree.ts';
import { sameAsBefore, sameDirectory, sameRoot } from './same-file.ts';
import { OPAQUE_NAME, WHITEOUT_PREFIX } from './tar-header.ts';
import { writeLayer } from './write-layer.ts';

export interface SnapshotSource {
  /** Absolute path of the upper directory. */
  readonly upper: string;
  /** Absolute paths of the directories below, topmost first. */
  readonly lowers: readonly string[];
  /** Absolute paths inside that something may have been mounted on; what is new and empty there is no change. */
  readonly mountPoints?: readonly string[];
}

/** How a path differs from what was below: added, changed, deleted. */
export type ChangeKind = 'A' | 'C' | 'D';

/** Takes the changes of a snapshot, in the order of a layer's entries. */
interface ChangeSink {
  /** `size`: bytes of the file, of a deleted one those it had. */
  begin(entry: Entry, kind: ChangeKind, size: number): void;
  /** Bytes of the file that was begun last. `host` is its byte path. */
  content(host: string, entry: Entry): Promise<void> | undefined;
  /** A path that an opaque directory hides; no entry of a layer stands for it. */
  hidden?(path: string, size: number): void;
  /** Waits until what was begun has been dealt with, if there is much of it. */
  behind(): Promise<void> | undefined;
}

/** One difference between a snapshot and what is below it. `path` is a byte string without a leading slash. */
export interface SnapshotChange {
  readonly kind: ChangeKind;
  readonly path: string;
  readonly size: number;
}

/** What a layer of the snapshot would hold, without writing one. */
export async function snapshotChanges(source: SnapshotSource): Promise<SnapshotChange[]> {
  const changes: SnapshotChange[] = [];
  const sink: ChangeSink = {
    begin: ({ path, type }, kind, size) => {
      if (path !== '' && type !== 'opaque') changes.push({ kind, path, size });
    },
    hidden: (path, size) => changes.push({ kind: 'D', path, size }),
    content: () => undefined,
    behind: () => undefined,
  };
  await new SnapshotWalk(source, sink).run();
  return changes.sort((a, b) => (a.path.replaceAll('/', '\0') < b.path.replaceAll('/', '\0') ? -1 : 1));
}

/** Writes the changes, names in byte order. On failure nothing stays. Throws as `packTree` does. */
export function packSnapshot(source: SnapshotSource, output: LayerOutput): Promise<PackedLayer> {
  return writeLayer(output, ({ writer, copier }) => {
    const sink: ChangeSink = {
      begin: (entry) => writer.begin(entry),
      content: (host, { path, size }) =>
        copier.copy({ kind: 'file', path: host }, { size, shown: `/${path}` }),
      behind: () => writer.behind(),
    };
    return new SnapshotWalk(source, sink).run();
  });
}

class SnapshotWalk {
  readonly #upper: string;
  readonly #lowers: LowerView;
  readonly #sink: ChangeSink;
  readonly #mountPoints: ReadonlySet<string>;
  /** First path of each file that has several names. */
  readonly #links = new Map<string, string>();
  /** Directories that are written only if something in them is. */
  #pending: Entry[] = [];

  constructor({ upper, lowers, mountPoints = [] }: SnapshotSource, sink: ChangeSink) {
    this.#upper = toByteString(upper);
    this.#lowers = new LowerView(lowers.map(toByteString));
    this.#sink = sink;
    this.#mountPoints = new Set(mountPoints.flatMap(withParents));
  }

  async run(): Promise<void> {
    const stats = lstatPath(this.#upper);
    // The root itself is written only when a step changed its mode, owner or attributes.
    if (stats !== undefined && !sameRoot({ host: this.#upper, stats }, this.#lowers.find(''))) {
      const entry = hostEntry('', this.#upper, stats);
      if (entry !== undefined) this.#emit(entry, 'C');
    }
    await this.#directory('', this.#lowers);
  }

  /** `below`: what was there before; undefined where nothing of it can show through. */
  async #directory(directory: string, below: LowerView | undefined): Promise<void> {
    const host = directory === '' ? this.#upper : `${this.#upper}/${directory}`;
    for (const name of readdirSync(toFsPath(host), { encoding: 'latin1' }).sort()) {
      const path = directory === '' ? name : `${directory}/${name}`;
      const file = { path, host: `${this.#upper}/${path}`, below };
      const stats = lstatPath(file.host);
      if (stats === undefined || this.#isMountPoint({ ...file, stats })) continue;
      const wait = stats.isDirectory()
        ? this.#subdirectory({ ...file, stats })
        : this.#file({ ...file, stats });
      if (wait !== undefined) await wait;
    }
  }

  async #subdirectory({ path, host, stats, below }: UpperFile): Promise<void> {
    refuseReservedName(path);
    const entry = hostEntry(path, host, stats);
    if (entry === undefined) return;
    const before = below?.find(path);
    const covers = before?.stats.isDirectory() === true;
    const opaque = covers && isOpaque(host);
    const depth = this.#pending.length;
    if (before !== undefined && !opaque && sameDirectory({ host, stats }, before)) this.#pending.push(entry);
    else this.#emit(entry, before === undefined ? 'A' : 'C');
    if (opaque) this.#opaque(path, { host, stats, below });
    await this.#directory(path, covers && !opaque ? below : undefined);
    this.#pending.length = Math.min(this.#pending.length, depth);
  }

  #file(file: UpperFile): Promise<void> | undefined {
    const { path, host, stats, below } = file;
    if (isWhiteout(stats) || stats.isSocket()) {
      // No layer holds a socket; what it stands in place of is gone nevertheless.
      this.#whiteout(path, { stats, below });
      return this.#sink.behind();
    }
    if (this.#whiteoutFile(file)) return this.#sink.behind();
    const identity = stats.nlink > 1 ? identityOf(host, stats) : undefined;
    const first = identity === undefined ? undefined : this.#links.get(identity);
    const entry = hostEntry(path, host, stats);
    if (entry === undefined) return undefined;
    if (first !== undefined) {
      const { xattrs: _, ...attributes } = entry;
      this.#emit({ ...attributes, type: 'hardlink', linkTarget: first, size: 0 }, this.#kind(file));
      return this.#sink.behind();
    }
    if (identity === undefined && sameAsBefore({ host, stats, entry }, below?.find(path))) return undefined;
    if (identity !== undefined) this.#links.set(identity, path);
    this.#emit(entry, this.#kind(file));
    if (entry.type !== 'file' || entry.size === 0) return this.#sink.behind();
    return this.#sink.content(host, entry);
  }

  #kind({ path, below }: UpperFile): ChangeKind {
    return below?.find(path) === undefined ? 'A' : 'C';
  }

  #whiteout(path: string, { stats, below }: Pick<UpperFile, 'stats' | 'below'>): void {
    const before = below?.find(path)?.stats;
    if (before === undefined) return;
    this.#emit(marker('whiteout', path, stats), 'D', before.isFile() ? before.size : 0);
  }

  #opaque(path: string, { host, stats, below }: Pick<UpperFile, 'host' | 'stats' | 'below'>): void {
    this.#emit(marker('opaque', path, stats), 'C');
    if (this.#sink.hidden === undefined || below === undefined) return;
    for (const name of below.names(path)) {
      const before = below.find(`${path}/${name}`)?.stats;
      if (before === undefined || lstatPath(`${host}/${name}`) !== undefined) continue;
      this.#sink.hidden(`${path}/${name}`, before.isFile() ? before.size : 0);
    }
  }

  /** A mount point that was made for a process that still runs, or was killed before it could be taken away. */
  #isMountPoint({ path, host, stats, below }: UpperFile): boolean {
    if (!this.#mountPoints.has(path) || below?.find(path) !== undefined) return false;
    if (!stats.isDirectory()) return stats.isFile() && stats.size === 0;
    return readdirSync(toFsPath(host), { encoding: 'latin1' }).every((name) => {
      const child = { path: `${path}/${name}`, host: `${host}/${name}`, below: undefined };
      const childStats = lstatPath(child.host);
      return childStats === undefined || this.#isMountPoint({ ...child, stats: childStats });
    });
  }

  /** Where fuse-overlayfs may not make devices, an empty file says what is deleted. */
  #whiteoutFile({ path, stats, below }: UpperFile): boolean {
    const slash = path.lastIndexOf('/') + 1;
    if (!path.startsWith(WHITEOUT_PREFIX, slash)) return false;
    if (!stats.isFile() || stats.size > 0) refuseReservedName(path);
    const directory = path.slice(0, Math.max(0, slash - 1));
    const name = path.slice(slash);
    const deleted = path.slice(0, slash) + name.slice(WHITEOUT_PREFIX.length);
    if (name === OPAQUE_NAME) this.#emit(marker('opaque', directory, stats), 'C');
    else this.#whiteout(deleted, { stats, below });
    return true;
  }

  #emit(entry: Entry, kind: ChangeKind, size = entry.size): void {
    for (const directory of this.#pending) this.#sink.begin(directory, 'C', 0);
    this.#pending = [];
    this.#sink.begin(entry, kind, size);
  }
}

/** a/b/c, a/b and a. */
function withParents(path: string): string[] {
  const parts = toByteString(path)
    .split('/')
    .filter((part) => part !== '');
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

interface UpperFile {
  readonly path: string;
  /** Its byte path on this machine. */
  readonly host: string;
  readonly stats: Stats;
  readonly below: LowerView | undefined;
}

/** Device and inode; numbers beyond 2^53 are read again exactly, for a wrong link would be a wrong file. */
function identityOf(host: string, { dev, ino }: Stats): string {
  if (Number.isSafeInteger(ino)) return `${dev}:${ino}`;
  const exact = lstatSync(toFsPath(host), { bigint: true });
  return `${exact.dev}:${exact.ino}`;
}

function marker(type: 'whiteout' | 'opaque', path: string, stats: Stats): Entry {
  return { path, type, mode: 0, uid: 0, gid: 0, mtime: Math.floor(stats.mtimeMs / 1000), size: 0 };
}
