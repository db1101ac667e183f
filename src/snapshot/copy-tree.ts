/** Copies of file system objects with everything they have: owner, mode, times, xattrs, devices, links. */
import {
  type BigIntStats,
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { toFsPath } from '../system/byte-path.ts';
import { makeNode, setTimes } from '../system/file-calls.ts';
import { getXattr, listXattrs, setXattr } from '../system/xattrs.ts';
import { isOverlayXattr, lstatBytes } from './overlay-form.ts';

/** Where the first of several hard links went, by device and inode of the source. */
export type LinkMap = Map<string, string>;

/** Identity of a file among hard links; undefined when it has but one name. */
function linkKey(stat: BigIntStats): string | undefined {
  return stat.nlink > 1n && !stat.isDirectory() ? `${stat.dev}:${stat.ino}` : undefined;
}

/** Copies one object, not what is in it. A directory's times are the caller's to set, after its contents. */
export function copyObject(source: string, target: string, links: LinkMap): void {
  const stat = lstatBytes(source);
  const key = linkKey(stat);
  const first = key === undefined ? undefined : links.get(key);
  if (first !== undefined) {
    linkSync(toFsPath(first), toFsPath(target));
    return;
  }
  if (key !== undefined) links.set(key, target);
  create(source, target, stat);
  copyAttributes(source, target, stat);
  if (!stat.isDirectory()) setTimes(target, stat.atimeNs, stat.mtimeNs);
}

function create(source: string, target: string, stat: BigIntStats): void {
  if (stat.isDirectory()) mkdirSync(toFsPath(target));
  else if (stat.isSymbolicLink()) {
    symlinkSync(readlinkSync(toFsPath(source), 'buffer'), toFsPath(target));
  } else if (stat.isFile()) {
    // A reflink where the filesystem can, so that a copy costs no blocks.
    copyFileSync(toFsPath(source), toFsPath(target), constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  } else {
    const device = BigInt.asUintN(64, stat.rdev);
    const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
    const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn);
    makeNode(target, Number(stat.mode), Number(major), Number(minor));
  }
}

/** Owner, mode and extended attributes, in the order in which the kernel does not undo one by the next. */
export function copyAttributes(source: string, target: string, stat: BigIntStats): void {
  lchownSync(toFsPath(target), Number(stat.uid), Number(stat.gid));
  if (!stat.isSymbolicLink()) chmodSync(toFsPath(target), Number(stat.mode & 0o7777n));
  for (const name of listXattrs(source)) {
    if (isOverlayXattr(name)) continue;
    const value = getXattr(source, name);
    if (value !== undefined) setXattr(target, name, value);
  }
}

/** Names in a directory, as byte strings. */
export function namesIn(directory: string): string[] {
  return readdirSync(toFsPath(directory), 'buffer').map((name) => name.toString('latin1'));
}
