/** A file on this machine as a layer entry: what lstat says, and the extended attributes that belong in a layer. */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { systemErrorCode } from '../errors.ts';
import { toFsPath } from '../system/byte-path.ts';
import { getXattr, listXattrs } from '../system/xattrs.ts';
import type { Entry, EntryType } from './entry.ts';

/** Attributes that overlayfs and fuse-overlayfs keep for themselves, and labels that belong to the host. */
const OWN_XATTR = /^(?:(?:user|trusted)\.(?:overlay|fuseoverlayfs)\.|security\.(?:selinux|ima|evm)$)/;

/** True for an extended attribute that never enters or leaves a layer. */
export function isOwnXattr(name: string): boolean {
  return OWN_XATTR.test(name);
}

const OPAQUE_XATTRS = ['user.overlay.opaque', 'trusted.overlay.opaque', 'user.fuseoverlayfs.opaque'];

/** lstat of a byte path; undefined when there is nothing. */
export function lstatPath(path: string): Stats | undefined {
  try {
    return lstatSync(toFsPath(path), { throwIfNoEntry: false });
  } catch (error) {
    if (systemErrorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Major and minor number as glibc packs them. */
function deviceNumbers(rdev: number): { devMajor: number; devMinor: number } {
  return { devMajor: (rdev >> 8) & 0xfff, devMinor: (rdev & 0xff) | ((rdev >> 12) & 0xfff00) };
}

/** overlayfs's mark for a deleted name: a character device 0:0. */
export function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}

/** True for a directory that hides what the layers below have in it. */
export function isOpaque(path: string): boolean {
  return OPAQUE_XATTRS.some((name) => getXattr(path, name) === 'y');
}

/** Kind of an entry; undefined for a socket, which no layer can hold. */
function typeOf(stats: Stats): EntryType | undefined {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isFIFO()) return 'fifo';
  if (stats.isCharacterDevice()) return 'char';
  return stats.isBlockDevice() ? 'block' : undefined;
}

/** Extended attributes that a layer keeps; undefined when there are none. */
export function layerXattrs(path: string): Record<string, string> | undefined {
  let kept: Record<string, string> | undefined;
  for (const name of listXattrs(path)) {
    if (isOwnXattr(name)) continue;
    const value = getXattr(path, name);
    if (value === undefined) continue;
    kept ??= {};
    kept[name] = name === 'security.capability' ? plainCapability(value) : value;
  }
  return kept;
}

/**
 * File capabilities without the root ID of a user namespace: revision 3 (24 bytes, linux/capability.h) becomes
 * revision 2 (20 bytes), the form that means the same in every namespace.
 */
function plainCapability(value: string): string {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length !== 24 || bytes[3] !== 3) return value;
  const plain = Buffer.from(bytes.subarray(0, 20));
  plain[3] = 2;
  return plain.toString('latin1');
}

/** The entry of a file that is no whiteout; undefined for a socket. `host` is its byte path on this machine. */
export function hostEntry(path: string, host: string, stats: Stats): Entry | undefined {
  const type = typeOf(stats);
  if (type === undefined) return undefined;
  const xattrs = layerXattrs(host);
  return {
    path,
    type,
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
    mtime: Math.floor(stats.mtimeMs / 1000),
    size: type === 'file' ? stats.size : 0,
    ...(type === 'symlink' ? { linkTarget: readlinkSync(toFsPath(host), { encoding: 'latin1' }) } : {}),
    ...(type === 'char' || type === 'block' ? deviceNumbers(stats.rdev) : {}),
    ...(xattrs === undefined ? {} : { xattrs }),
  };
}
