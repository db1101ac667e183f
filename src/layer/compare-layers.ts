/** Whether two layers say and hold the same but for times: then a step on one gives what it gives on the other. */
import { closeSync, lstatSync, openSync, readSync } from 'node:fs';
import { toFsPath } from '../system/byte-path.ts';
import type { LayerToc, TocEntry } from './entry.ts';
import { loadToc } from './toc-file.ts';

/** A layer at hand: files with its table of contents and its uncompressed tar. */
export interface LayerFiles {
  readonly toc: string;
  readonly tar: string;
}

/** True when both layers have equal entries (times aside) with equal bytes. */
export function haveSameContent(one: LayerFiles, other: LayerFiles): boolean {
  const a = loadToc(one.toc).entries;
  const b = loadToc(other.toc).entries;
  if (a.length !== b.length) return false;
  if (a.some((entry, index) => !isSameEntry(entry, b[index]))) return false;
  const [first, second] = [openSync(one.tar, 'r'), openSync(other.tar, 'r')];
  try {
    return a.every(
      (entry, index) => entry.offset === undefined || haveSameBytes(entry, [first, second], b[index]),
    );
  } finally {
    closeSync(first);
    closeSync(second);
  }
}

/** One path on which two layers differ, and in what. */
export interface EntryDifference {
  /** Byte string, as in Entry. */
  readonly path: string;
  /** Such as "content", "mode 644 and 600", "mtime", or "only in the first". */
  readonly what: readonly string[];
}

/** Every path on which two layers differ, in the order of the paths. */
export function layerDifferences(one: LayerFiles, other: LayerFiles): EntryDifference[] {
  const a = new Map(loadToc(one.toc).entries.map((entry) => [nameOf(entry), entry]));
  const b = new Map(loadToc(other.toc).entries.map((entry) => [nameOf(entry), entry]));
  const [first, second] = [openSync(one.tar, 'r'), openSync(other.tar, 'r')];
  try {
    return [...new Set([...a.keys(), ...b.keys()])].sort().flatMap((path) => {
      const what = differencesOf(a.get(path), b.get(path), [first, second]);
      return what.length === 0 ? [] : [{ path, what }];
    });
  } finally {
    closeSync(first);
    closeSync(second);
  }
}

/** What is deleted has a name of its own: the path itself may be there as well. */
function nameOf({ path, type }: TocEntry): string {
  return type === 'whiteout' || type === 'opaque' ? `${path} (${type})` : path;
}

function differencesOf(
  a: TocEntry | undefined,
  b: TocEntry | undefined,
  files: readonly [number, number],
): string[] {
  if (a === undefined) return ['only in the second'];
  if (b === undefined) return ['only in the first'];
  if (a.type !== b.type) return [`type ${a.type} and ${b.type}`];
  const what: string[] = [];
  const compare = (name: string, before: string, after: string): void => {
    if (before !== after) what.push(`${name} ${before} and ${after}`);
  };
  if (a.size !== b.size) compare('size', String(a.size), String(b.size));
  else if (a.offset !== undefined && !haveSameBytes(a, files, b)) what.push('content');
  compare('link target', a.linkTarget ?? '', b.linkTarget ?? '');
  compare('mode', a.mode.toString(8), b.mode.toString(8));
  compare('owner', `${a.uid}:${a.gid}`, `${b.uid}:${b.gid}`);
  compare('device', `${a.devMajor}:${a.devMinor}`, `${b.devMajor}:${b.devMinor}`);
  if (xattrsOf(a) !== xattrsOf(b)) what.push('extended attributes');
  if (a.mtime !== b.mtime) what.push('mtime');
  return what;
}

function xattrsOf({ xattrs }: TocEntry): string {
  return JSON.stringify(Object.entries(xattrs ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Compares all that an entry says, without its time. */
function isSameEntry(one: TocEntry, other: TocEntry | undefined): boolean {
  return other !== undefined && attributesOf(one) === attributesOf(other);
}

function attributesOf(entry: TocEntry): string {
  const { path, type, mode, uid, gid, size, linkTarget, devMajor, devMinor } = entry;
  return JSON.stringify([path, type, mode, uid, gid, size, linkTarget, devMajor, devMinor, xattrsOf(entry)]);
}

const CHUNK = 256 << 10;

function haveSameBytes(
  { size, offset = 0 }: TocEntry,
  [first, second]: readonly [number, number],
  other: TocEntry | undefined,
): boolean {
  const [a, b] = [Buffer.allocUnsafe(Math.min(CHUNK, size)), Buffer.allocUnsafe(Math.min(CHUNK, size))];
  for (let done = 0; done < size; ) {
    const length = Math.min(CHUNK, size - done);
    const count = readSync(first, a, 0, length, offset + done);
    if (count === 0 || readSync(second, b, 0, count, (other?.offset ?? 0) + done) !== count) return false;
    if (a.compare(b, 0, count, 0, count) !== 0) return false;
    done += count;
  }
  return true;
}

/**
 * A quick look whether a directory of changes that is not packed yet can become a layer with this table of contents:
 * false as soon as a file is missing or of another size. Saves most steps the wait for the layer below them.
 */
export function mayBecome(directory: string, { entries }: LayerToc): boolean {
  return entries.every(({ path, type, size }) => {
    if (type !== 'file') return true;
    const stat = lstatSync(toFsPath(`${directory}/${path}`), { throwIfNoEntry: false });
    return stat?.isFile() === true && stat.size === size;
  });
}
