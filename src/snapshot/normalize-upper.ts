/** Turns what fuse-overlayfs writes into the form that kernel overlay reads (see snapshotter.ts). */
import { type BigIntStats, chmodSync, readdirSync, unlinkSync } from 'node:fs';
import { toFsPath } from '../system/byte-path.ts';
import { setTimes } from '../system/file-calls.ts';
import { listXattrs, removeXattr, setXattr } from '../system/xattrs.ts';
import { bytesOf, isOpaque, isWhiteout, lstatBytes, makeWhiteout, OPAQUE_XATTR } from './overlay-form.ts';

const WHITEOUT_PREFIX = '.wh.';

/** Marks of an opaque directory: a file, and a device for the kernel's eyes. */
const OPAQUE_FILES = new Set(['.wh..wh..opq', '.wh..opq']);

const S_ISGID = 0o2000n;

/** Everything below `upper`, which was mounted over `lowers`; paths as text. */
export function normalizeUpper(upper: string, lowers: readonly string[]): void {
  normalizeDirectory('', { upper: bytesOf(upper), lowers: lowers.map(bytesOf) });
}

interface Stack {
  readonly upper: string;
  readonly lowers: readonly string[];
}

function normalizeDirectory(at: string, stack: Stack): void {
  const directory = stack.upper + at;
  const before = lstatBytes(directory);
  let changed = false;
  let opaque = isOpaque(directory);
  for (const entry of readdirSync(toFsPath(directory), { withFileTypes: true, encoding: 'buffer' })) {
    const name = entry.name.toString('latin1');
    const path = `${directory}/${name}`;
    if (name.startsWith(WHITEOUT_PREFIX)) {
      unlinkSync(toFsPath(path));
      changed = true;
      if (OPAQUE_FILES.has(name)) opaque = true;
      else makeWhiteout(`${directory}/${name.slice(WHITEOUT_PREFIX.length)}`);
    } else if (entry.isDirectory()) normalizeDirectory(`${at}/${name}`, stack);
    else if (entry.isFile()) dropOwnXattrs(path);
  }
  dropOwnXattrs(directory);
  if (opaque) setXattr(directory, OPAQUE_XATTR, 'y');
  else restoreSetgid(at, before, stack);
  if (changed) setTimes(directory, before.atimeNs, before.mtimeNs);
}

function dropOwnXattrs(path: string): void {
  for (const name of listXattrs(path)) {
    if (name.startsWith('user.fuseoverlayfs.') || name === 'trusted.overlay.opaque') removeXattr(path, name);
  }
}

/** Copying a directory up, fuse-overlayfs drops its setgid bit; one that differs in nothing else gets it back. */
function restoreSetgid(at: string, now: BigIntStats, { upper, lowers }: Stack): void {
  const lower = topmost(at, lowers);
  if (lower === undefined || (lower.mode & S_ISGID) === 0n) return;
  const { mode, uid, gid } = now;
  if (lower.mode !== (mode | S_ISGID) || lower.uid !== uid || lower.gid !== gid) return;
  chmodSync(toFsPath(upper + at), Number(lower.mode & 0o7777n));
}

function topmost(at: string, lowers: readonly string[]): BigIntStats | undefined {
  for (const lower of lowers) {
    try {
      const stat = lstatBytes(lower + at);
      return isWhiteout(stat) ? undefined : stat;
    } catch {
      // Not in this layer.
    }
  }
  return undefined;
}
