/** The two halves of the copy driver: merging lower directories into a tree, and finding what changed in it. */
import type { BigIntStats } from 'node:fs';
import { setTimes } from '../system/file-calls.ts';
import { getXattr, listXattrs } from '../system/xattrs.ts';
import { copyAttributes, copyObject, type LinkMap, namesIn } from './copy-tree.ts';
import { isOpaque, isWhiteout, lstatBytes, makeWhiteout } from './overlay-form.ts';

/** Merges `lowers` (topmost first) into the empty directory `target`. Only what is visible is copied. */
export function mergeLowers(target: string, lowers: readonly string[]): void {
  const links: LinkMap = new Map();
  const [top] = lowers;
  if (top === undefined) return;
  copyAttributes(top, target, lstatBytes(top));
  mergeDirectory(target, visibleDirectories(lowers), links);
}

/** Directories of one place, from the top down to the first that hides the rest. */
function visibleDirectories(directories: readonly string[]): readonly string[] {
  const opaque = directories.findIndex(isOpaque);
  return opaque < 0 ? directories : directories.slice(0, opaque + 1);
}

function mergeDirectory(target: string, sources: readonly string[], links: LinkMap): void {
  const seen = new Set<string>();
  for (const [index, source] of sources.entries()) {
    for (const name of namesIn(source)) {
      if (seen.has(name)) continue;
      seen.add(name);
      mergeName(name, target, { sources: sources.slice(index), links });
    }
  }
  const [top = ''] = sources;
  const stat = lstatBytes(top);
  setTimes(target, stat.atimeNs, stat.mtimeNs);
}

function mergeName(
  name: string,
  target: string,
  { sources, links }: { sources: readonly string[]; links: LinkMap },
): void {
  const path = `${sources[0]}/${name}`;
  const stat = lstatBytes(path);
  if (isWhiteout(stat) || stat.isSocket()) return;
  copyObject(path, `${target}/${name}`, links);
  if (!stat.isDirectory()) return;
  const directories = [path];
  for (const source of sources.slice(1)) {
    const below = statIfThere(`${source}/${name}`);
    if (below === undefined) continue;
    if (!below.isDirectory()) break;
    directories.push(`${source}/${name}`);
  }
  mergeDirectory(`${target}/${name}`, visibleDirectories(directories), links);
}

function statIfThere(path: string): BigIntStats | undefined {
  try {
    return lstatBytes(path);
  } catch {
    return undefined;
  }
}

/** What was known of one file before the step. */
interface FileRecord {
  readonly isDirectory: boolean;
  /** Everything the kernel changes when a file is touched in any way. */
  readonly fingerprint: string;
  readonly xattrs: string;
}

/** By path relative to the tree. */
export type FileTable = ReadonlyMap<string, FileRecord>;

/** Records a tree before a step runs in it. */
export function recordTree(root: string): FileTable {
  const table = new Map<string, FileRecord>();
  const visit = (path: string): void => {
    const stat = lstatBytes(root + path);
    table.set(path, recordOf(root + path, stat));
    if (stat.isDirectory()) for (const name of namesIn(root + path)) visit(`${path}/${name}`);
  };
  visit('');
  return table;
}

function recordOf(path: string, stat: BigIntStats): FileRecord {
  const isDirectory = stat.isDirectory();
  const { mode, uid, gid, mtimeNs, ino, size, ctimeNs } = stat;
  // A directory's ctime and size also change by what comes and goes in it for a moment, such as a mount point.
  const parts = isDirectory ? [mode, uid, gid, mtimeNs] : [mode, uid, gid, mtimeNs, ino, size, ctimeNs];
  return { isDirectory, fingerprint: parts.join(' '), xattrs: isDirectory ? xattrsOf(path) : '' };
}

function xattrsOf(path: string): string {
  return JSON.stringify(
    listXattrs(path)
      .sort()
      .map((name) => [name, getXattr(path, name)]),
  );
}

/** Writes the difference between a tree and its record into `upper`, in overlay form. */
export function writeChanges(root: string, upper: string, table: FileTable): void {
  const gone = childrenByDirectory(table);
  const links: LinkMap = new Map();
  copyAttributes(root, upper, lstatBytes(root));
  visitDirectory('', { root, upper, table, gone, links });
  const stat = lstatBytes(root);
  setTimes(upper, stat.atimeNs, stat.mtimeNs);
}

interface Walk {
  readonly root: string;
  readonly upper: string;
  readonly table: FileTable;
  /** Names that each recorded directory had. */
  readonly gone: ReadonlyMap<string, readonly string[]>;
  readonly links: LinkMap;
}

function childrenByDirectory(table: FileTable): Map<string, string[]> {
  const children = new Map<string, string[]>();
  for (const path of table.keys()) {
    if (path === '') continue;
    const cut = path.lastIndexOf('/');
    const parent = path.slice(0, cut);
    const names = children.get(parent);
    if (names === undefined) children.set(parent, [path.slice(cut + 1)]);
    else names.push(path.slice(cut + 1));
  }
  return children;
}

/** Returns whether anything below had to be written. The directory itself is made on the first need. */
function visitDirectory(path: string, walk: Walk): void {
  const { root, upper, table, gone } = walk;
  const names = namesIn(root + path).sort();
  for (const name of names) visitEntry(`${path}/${name}`, walk);
  const there = new Set(names);
  for (const name of gone.get(path) ?? []) {
    if (there.has(name) || table.get(path)?.isDirectory !== true) continue;
    ensureDirectory(path, walk);
    makeWhiteout(`${upper}${path}/${name}`);
  }
}

function visitEntry(path: string, walk: Walk): void {
  const { root, upper, table, links } = walk;
  const stat = lstatBytes(root + path);
  if (stat.isSocket()) return;
  const before = table.get(path);
  const now = recordOf(root + path, stat);
  const changed = before?.fingerprint !== now.fingerprint || before.xattrs !== now.xattrs;
  if (now.isDirectory) {
    if (changed) ensureDirectory(path, walk);
    visitDirectory(path, walk);
    const made = statIfThere(upper + path);
    if (made !== undefined) setTimes(upper + path, stat.atimeNs, stat.mtimeNs);
  } else if (changed) {
    ensureDirectory(path.slice(0, path.lastIndexOf('/')), walk);
    copyObject(root + path, upper + path, links);
  }
}

/** Directories above a change carry their real owner, mode and attributes; times are set on the way back. */
function ensureDirectory(path: string, walk: Walk): void {
  if (path === '' || statIfThere(walk.upper + path) !== undefined) return;
  ensureDirectory(path.slice(0, path.lastIndexOf('/')), walk);
  copyObject(walk.root + path, walk.upper + path, walk.links);
}
