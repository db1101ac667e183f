/**
 * A layer from what a RUN changed: the upper directory of an overlay. Entries that overlayfs copied up but that did
 * not change are left out; directories above a change come with their real mode and owner.
 */
import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { toByteString, toFsPath } from '../system/byte-path.ts';
import { diskError } from '../system/files.ts';
import { ContentCopier } from './copy-content.ts';
import type { Entry } from './entry.ts';
import { hostEntry, isOpaque, isWhiteout, lstatPath } from './host-entry.ts';
import { type LayerOutput, LayerWriter, type PackedLayer } from './layer-writer.ts';
import { LowerView } from './lower-view.ts';
import { refuseReservedName } from './pack-tree.ts';
import { sameAsBefore, sameDirectory, sameRoot } from './same-file.ts';
import { OPAQUE_NAME, WHITEOUT_PREFIX } from './tar-header.ts';

export interface SnapshotSource {
  /** Absolute path of the upper directory. */
  readonly upper: string;
  /** Absolute paths of the directories below, topmost first. */
  readonly lowers: readonly string[];
}

/** Writes the changes, names in byte order. On failure nothing stays. Throws as `packTree` does. */
export async function packSnapshot(source: SnapshotSource, output: LayerOutput): Promise<PackedLayer> {
  const writer = new LayerWriter(output);
  const copier = new ContentCopier(writer);
  try {
    await new SnapshotPacker(source, { writer, copier }).pack();
    return await writer.finish();
  } catch (error) {
    writer.abandon();
    throw diskError(error, output.directory);
  } finally {
    copier.close();
  }
}

class SnapshotPacker {
  readonly #upper: string;
  readonly #lowers: LowerView;
  readonly #writer: LayerWriter;
  readonly #copier: ContentCopier;
  /** First path of each file that has several names. */
  readonly #links = new Map<string, string>();
  /** Directories that are written only if something in them is. */
  #pending: Entry[] = [];

  constructor(
    { upper, lowers }: SnapshotSource,
    { writer, copier }: { writer: LayerWriter; copier: ContentCopier },
  ) {
    this.#upper = toByteString(upper);
    this.#lowers = new LowerView(lowers.map(toByteString));
    this.#writer = writer;
    this.#copier = copier;
  }

  async pack(): Promise<void> {
    const stats = lstatPath(this.#upper);
    // The root itself is written only when a step changed its mode, owner or attributes.
    if (stats !== undefined && !sameRoot({ host: this.#upper, stats }, this.#lowers.find(''))) {
      const entry = hostEntry('', this.#upper, stats);
      if (entry !== undefined) this.#emit(entry);
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
      if (stats === undefined) continue;
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
    else this.#emit(entry);
    if (opaque) this.#emit(marker('opaque', path, stats));
    await this.#directory(path, covers && !opaque ? below : undefined);
    this.#pending.length = Math.min(this.#pending.length, depth);
  }

  #file(file: UpperFile): Promise<void> | undefined {
    const { path, host, stats, below } = file;
    if (isWhiteout(stats) || stats.isSocket()) {
      // No layer holds a socket; what it stands in place of is gone nevertheless.
      if (below?.find(path) !== undefined) this.#emit(marker('whiteout', path, stats));
      return this.#writer.behind();
    }
    if (this.#whiteoutFile(file)) return this.#writer.behind();
    const identity = stats.nlink > 1 ? identityOf(host, stats) : undefined;
    const first = identity === undefined ? undefined : this.#links.get(identity);
    const entry = hostEntry(path, host, stats);
    if (entry === undefined) return undefined;
    if (first !== undefined) {
      const { xattrs: _, ...attributes } = entry;
      this.#emit({ ...attributes, type: 'hardlink', linkTarget: first, size: 0 });
      return this.#writer.behind();
    }
    if (identity === undefined && sameAsBefore({ host, stats, entry }, below?.find(path))) return undefined;
    if (identity !== undefined) this.#links.set(identity, path);
    this.#emit(entry);
    if (entry.type !== 'file' || entry.size === 0) return this.#writer.behind();
    return this.#copier.copy({ kind: 'file', path: host }, { size: entry.size, shown: `/${path}` });
  }

  /** Where fuse-overlayfs may not make devices, an empty file says what is deleted. */
  #whiteoutFile({ path, stats, below }: UpperFile): boolean {
    const slash = path.lastIndexOf('/') + 1;
    if (!path.startsWith(WHITEOUT_PREFIX, slash)) return false;
    if (!stats.isFile() || stats.size > 0) refuseReservedName(path);
    const directory = path.slice(0, Math.max(0, slash - 1));
    const name = path.slice(slash);
    const deleted = path.slice(0, slash) + name.slice(WHITEOUT_PREFIX.length);
    if (name === OPAQUE_NAME) this.#emit(marker('opaque', directory, stats));
    else if (below?.find(deleted) !== undefined) this.#emit(marker('whiteout', deleted, stats));
    return true;
  }

  #emit(entry: Entry): void {
    for (const directory of this.#pending) this.#writer.begin(directory);
    this.#pending = [];
    this.#writer.begin(entry);
  }
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
