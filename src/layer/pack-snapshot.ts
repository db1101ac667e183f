/**
 * A layer from what a RUN changed: the upper directory of an overlay. Entries that overlayfs copied up but that did
 * not change are left out; directories above a change come with their real mode and owner.
 */
import { closeSync, openSync, readdirSync, readSync, type Stats } from 'node:fs';
import { toFsPath } from '../system/byte-path.ts';
import { copyContent } from './copy-content.ts';
import type { Entry } from './entry.ts';
import { hostEntry, isOpaque, isWhiteout, layerXattrs, lstatPath } from './host-entry.ts';
import { type LayerOutput, LayerWriter, type PackedLayer } from './layer-writer.ts';
import { LowerView } from './lower-view.ts';

export interface SnapshotSource {
  /** Absolute byte path of the upper directory. */
  readonly upper: string;
  /** Absolute byte paths of the directories below, topmost first. */
  readonly lowers: readonly string[];
}

/** Writes the changes, names in byte order. On failure nothing stays. */
export async function packSnapshot(source: SnapshotSource, output: LayerOutput): Promise<PackedLayer> {
  const writer = new LayerWriter(output);
  try {
    await new SnapshotPacker(source, writer).pack();
    return await writer.finish();
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

class SnapshotPacker {
  readonly #upper: string;
  readonly #below: LowerView;
  readonly #writer: LayerWriter;
  /** First path of each file that has several names. */
  readonly #links = new Map<string, string>();
  /** Directories that are written only if something in them is. */
  #pending: Entry[] = [];

  constructor({ upper, lowers }: SnapshotSource, writer: LayerWriter) {
    this.#upper = upper;
    this.#below = new LowerView(lowers);
    this.#writer = writer;
  }

  async pack(): Promise<void> {
    const stats = lstatPath(this.#upper);
    if (stats !== undefined) this.#root(stats);
    await this.#directory('');
  }

  /** The root itself is written only when a step changed its mode, owner or attributes. */
  #root(stats: Stats): void {
    const before = this.#below.find('');
    const same =
      before === undefined
        ? (stats.mode & 0o7777) === 0o755 && stats.uid === 0 && stats.gid === 0
        : sameOwnerAndMode(stats, before.stats);
    const entry = hostEntry('', this.#upper, stats);
    if (entry !== undefined && !same) this.#emit(entry);
  }

  async #directory(directory: string): Promise<void> {
    const host = directory === '' ? this.#upper : `${this.#upper}/${directory}`;
    for (const name of readdirSync(toFsPath(host), { encoding: 'latin1' }).sort()) {
      const path = directory === '' ? name : `${directory}/${name}`;
      const stats = lstatPath(`${this.#upper}/${path}`);
      if (stats === undefined) continue;
      if (isWhiteout(stats)) this.#emit(marker('whiteout', path, stats));
      else if (stats.isDirectory()) await this.#subdirectory(path, stats);
      else await this.#file(path, stats);
    }
  }

  async #subdirectory(path: string, stats: Stats): Promise<void> {
    const host = `${this.#upper}/${path}`;
    const entry = hostEntry(path, host, stats);
    if (entry === undefined) return;
    const before = this.#below.find(path);
    const opaque = before?.stats.isDirectory() === true && isOpaque(host);
    const depth = this.#pending.length;
    const unchanged = before !== undefined && !opaque && sameDirectory({ host, stats }, before);
    if (unchanged) this.#pending.push(entry);
    else this.#emit(entry);
    if (opaque) this.#emit(marker('opaque', path, stats));
    await this.#directory(path);
    this.#pending.length = Math.min(this.#pending.length, depth);
  }

  async #file(path: string, stats: Stats): Promise<void> {
    const host = `${this.#upper}/${path}`;
    const identity = stats.nlink > 1 ? `${stats.dev}:${stats.ino}` : undefined;
    const first = identity === undefined ? undefined : this.#links.get(identity);
    const entry = hostEntry(path, host, stats);
    if (entry === undefined) return;
    if (first !== undefined) {
      this.#emit({ ...entry, type: 'hardlink', linkTarget: first, size: 0 });
      return;
    }
    if (identity === undefined && this.#unchanged(path, { host, stats, entry })) return;
    if (identity !== undefined) this.#links.set(identity, path);
    this.#emit(entry);
    if (entry.type === 'file' && entry.size > 0) {
      await copyContent(this.#writer, { kind: 'file', path: host }, { size: entry.size, shown: path });
    }
  }

  /** Copied up (by an open for writing, a chown to the same owner, …) but the same in every respect. */
  #unchanged(path: string, file: { host: string; stats: Stats; entry: Entry }): boolean {
    const before = this.#below.find(path);
    if (before === undefined) return false;
    const { stats, entry, host } = file;
    const alike =
      sameOwnerAndMode(stats, before.stats) &&
      (stats.mode & 0o170000) === (before.stats.mode & 0o170000) &&
      stats.mtimeMs === before.stats.mtimeMs &&
      stats.size === before.stats.size &&
      stats.rdev === before.stats.rdev;
    if (!alike || !sameXattrs(host, before.host)) return false;
    if (entry.type === 'symlink')
      return hostEntry(path, before.host, before.stats)?.linkTarget === entry.linkTarget;
    return entry.type !== 'file' || sameBytes(host, before.host);
  }

  #emit(entry: Entry): void {
    for (const directory of this.#pending) this.#writer.begin(directory);
    this.#pending = [];
    this.#writer.begin(entry);
  }
}

function marker(type: 'whiteout' | 'opaque', path: string, stats: Stats): Entry {
  return { path, type, mode: 0, uid: 0, gid: 0, mtime: Math.floor(stats.mtimeMs / 1000), size: 0 };
}

function sameOwnerAndMode(a: Stats, b: Stats): boolean {
  return (a.mode & 0o7777) === (b.mode & 0o7777) && a.uid === b.uid && a.gid === b.gid;
}

function sameDirectory(
  after: { host: string; stats: Stats },
  before: { host: string; stats: Stats },
): boolean {
  return (
    before.stats.isDirectory() &&
    sameOwnerAndMode(after.stats, before.stats) &&
    after.stats.mtimeMs === before.stats.mtimeMs &&
    sameXattrs(after.host, before.host)
  );
}

function sameXattrs(a: string, b: string): boolean {
  const sorted = (path: string): string => JSON.stringify(Object.entries(layerXattrs(path) ?? {}).sort());
  return sorted(a) === sorted(b);
}

const COMPARE_CHUNK = 256 << 10;

function sameBytes(a: string, b: string): boolean {
  const first = openSync(toFsPath(a), 'r');
  const second = openSync(toFsPath(b), 'r');
  const left = Buffer.allocUnsafe(COMPARE_CHUNK);
  const right = Buffer.allocUnsafe(COMPARE_CHUNK);
  try {
    for (;;) {
      const count = readSync(first, left, 0, COMPARE_CHUNK, null);
      if (readSync(second, right, 0, COMPARE_CHUNK, null) !== count) return false;
      if (count === 0) return true;
      if (left.compare(right, 0, count, 0, count) !== 0) return false;
    }
  } finally {
    closeSync(first);
    closeSync(second);
  }
}
