/** The form of a snapshot on disk: overlayfs's whiteouts and opaque directories. Paths are byte strings. */
import { type BigIntStats, lstatSync } from 'node:fs';
import { toByteString, toFsPath } from '../system/byte-path.ts';
import { makeNode } from '../system/file-calls.ts';
import { getXattr } from '../system/xattrs.ts';

/** Marks a directory that hides what lower layers have in it. */
export const OPAQUE_XATTR = 'user.overlay.opaque';

/** The same mark as written by other programs and other users. */
const OPAQUE_XATTRS = [OPAQUE_XATTR, 'trusted.overlay.opaque', 'user.fuseoverlayfs.opaque'];

const S_IFMT = 0o170000n;
const S_IFCHR = 0o020000;

export function isOpaque(directory: string): boolean {
  return OPAQUE_XATTRS.some((name) => getXattr(directory, name) === 'y');
}

/** A whiteout is a character device 0:0. */
export function isWhiteout(stat: BigIntStats): boolean {
  return (stat.mode & S_IFMT) === BigInt(S_IFCHR) && stat.rdev === 0n;
}

export function makeWhiteout(path: string): void {
  makeNode(path, S_IFCHR, 0, 0);
}

/** lstat of a byte string, exact to the nanosecond. */
export function lstatBytes(path: string): BigIntStats {
  return lstatSync(toFsPath(path), { bigint: true });
}

/** Attributes that belong to an overlay and not to the file. */
export function isOverlayXattr(name: string): boolean {
  return /^(user|trusted)\.overlay\.|^user\.fuseoverlayfs\./.test(name);
}

/** A path of the store as a byte string. */
export function bytesOf(path: string): string {
  return toByteString(path);
}
