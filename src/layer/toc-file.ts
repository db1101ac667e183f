/**
 * Tables of contents on disk: a line of JSON with the head, then one line an entry, fields in a fixed order and
 * trailing defaults left out. Parsing is lazy in nothing but cheap: JSON.parse over the whole list at once.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { BuildError } from '../errors.ts';
import type { EntryType, LayerToc, TocEntry } from './entry.ts';

const FORMAT = 'kiln-toc-2';

const TYPES: readonly EntryType[] = [
  'file',
  'directory',
  'symlink',
  'hardlink',
  'char',
  'block',
  'fifo',
  'whiteout',
  'opaque',
];

/** path, type, mode, uid, gid, mtime, size, offset, then an object with what is rare. */
type Row = [string, number, number, number, number, number, number, number, Rare?];

interface Rare {
  l?: string;
  d?: [number, number];
  x?: Readonly<Record<string, string>>;
}

/** Writes a table of contents. The file is whole or the call throws. */
export function saveToc(path: string, toc: LayerToc): void {
  const rows = toc.entries.map((entry): Row => {
    const rare: Rare = {
      ...(entry.linkTarget === undefined ? {} : { l: entry.linkTarget }),
      ...(entry.devMajor === undefined ? {} : { d: [entry.devMajor, entry.devMinor ?? 0] }),
      ...(entry.xattrs === undefined ? {} : { x: entry.xattrs }),
    };
    const { mode, uid, gid, mtime, size } = entry;
    const row: Row = [entry.path, TYPES.indexOf(entry.type), mode, uid, gid, mtime, size, entry.offset ?? 0];
    if (Object.keys(rare).length > 0) row.push(rare);
    return row;
  });
  const body = JSON.stringify({ format: FORMAT, diffId: toc.diffId, tarSize: toc.tarSize, rows });
  // Byte strings hold characters up to U+00FF only, so latin1 halves the file and speeds reading up.
  writeFileSync(path, body, { encoding: 'latin1' });
}

/** Reads a table of contents. Throws STORE_CORRUPT_TOC. */
export function loadToc(path: string): LayerToc {
  try {
    const json = JSON.parse(readFileSync(path, 'latin1')) as {
      format: string;
      diffId: LayerToc['diffId'];
      tarSize: number;
      rows: Row[];
    };
    if (json.format !== FORMAT) throw new Error(`format ${json.format}`);
    return { diffId: json.diffId, tarSize: json.tarSize, entries: json.rows.map(entryOf) };
  } catch (error) {
    throw new BuildError('STORE_CORRUPT_TOC', `${path} is not a table of contents`, {
      suggestions: ['Remove the file; it is made again from the layer.'],
      cause: error,
    });
  }
}

function entryOf([path, type, mode, uid, gid, mtime, size, offset, rare]: Row): TocEntry {
  const entry: TocEntry = { path, type: TYPES[type] ?? 'file', mode, uid, gid, mtime, size };
  if (size === 0 && rare === undefined) return entry;
  return {
    ...entry,
    ...(size > 0 ? { offset } : {}),
    ...(rare?.l === undefined ? {} : { linkTarget: rare.l }),
    ...(rare?.d === undefined ? {} : { devMajor: rare.d[0], devMinor: rare.d[1] }),
    ...(rare?.x === undefined ? {} : { xattrs: rare.x }),
  };
}
