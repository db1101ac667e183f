/** Whether a file in an upper directory is the same as the one it covers: copied up, but not changed. */
import { closeSync, openSync, readSync, type Stats } from 'node:fs';
import { toFsPath } from '../system/byte-path.ts';
import type { Entry } from './entry.ts';
import { hostEntry, layerXattrs } from './host-entry.ts';

/** A file on this machine: byte path and lstat. */
interface HostFile {
  readonly host: string;
  readonly stats: Stats;
}

/** Same mode, owner and attributes of the root directory; without one below, as a fresh root would be. */
export function sameRoot(after: HostFile, before: HostFile | undefined): boolean {
  const { mode, uid, gid } = after.stats;
  if (before === undefined) {
    return (mode & 0o7777) === 0o755 && uid === 0 && gid === 0 && layerXattrs(after.host) === undefined;
  }
  return sameOwnerAndMode(after.stats, before.stats) && sameXattrs(after.host, before.host);
}

/** Same in all that a directory's entry says; what is in it is another matter. */
export function sameDirectory(after: HostFile, before: HostFile): boolean {
  return (
    before.stats.isDirectory() &&
    sameOwnerAndMode(after.stats, before.stats) &&
    after.stats.mtimeMs === before.stats.mtimeMs &&
    sameXattrs(after.host, before.host)
  );
}

/** Copied up (by an open for writing, a chown to the same owner, …) but the same in every respect, bytes included. */
export function sameAsBefore(
  after: HostFile & { readonly entry: Entry },
  before: HostFile | undefined,
): boolean {
  if (before === undefined) return false;
  const { stats, entry, host } = after;
  const alike =
    sameOwnerAndMode(stats, before.stats) &&
    (stats.mode & 0o170000) === (before.stats.mode & 0o170000) &&
    stats.mtimeMs === before.stats.mtimeMs &&
    stats.size === before.stats.size &&
    stats.rdev === before.stats.rdev;
  if (!alike || !sameXattrs(host, before.host)) return false;
  if (entry.type === 'symlink')
    return hostEntry(entry.path, before.host, before.stats)?.linkTarget === entry.linkTarget;
  return entry.type !== 'file' || sameBytes(host, before.host);
}

function sameOwnerAndMode(a: Stats, b: Stats): boolean {
  return (a.mode & 0o7777) === (b.mode & 0o7777) && a.uid === b.uid && a.gid === b.gid;
}

function sameXattrs(a: string, b: string): boolean {
  const sorted = (path: string): string => JSON.stringify(Object.entries(layerXattrs(path) ?? {}).sort());
  return sorted(a) === sorted(b);
}

const COMPARE_CHUNK = 256 << 10;

/** Large enough for any file that is worth comparing at once; two, because both files are read side by side. */
let buffers: readonly [Buffer, Buffer] | undefined;

function sameBytes(a: string, b: string): boolean {
  buffers ??= [Buffer.allocUnsafe(COMPARE_CHUNK), Buffer.allocUnsafe(COMPARE_CHUNK)];
  const [left, right] = buffers;
  const first = openSync(toFsPath(a), 'r');
  const second = openSync(toFsPath(b), 'r');
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
