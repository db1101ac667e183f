/** What every entry has as columns of numbers, for many entries at once; what few have stands beside them. */
import { ENTRY_TYPES, type Entry } from './entry.ts';

export interface EntryColumns {
  readonly mtime: Float64Array;
  readonly size: Float64Array;
  readonly uid: Uint32Array;
  readonly gid: Uint32Array;
  readonly mode: Uint16Array;
  readonly type: Uint8Array;
}

/** Fields that few entries have. */
export type RareFields = Pick<Entry, 'linkTarget' | 'devMajor' | 'devMinor' | 'xattrs'>;

/** Puts an entry down, without its path and its rare fields. */
export function putEntry(columns: EntryColumns, index: number, entry: Entry): void {
  columns.mtime[index] = entry.mtime;
  columns.size[index] = entry.size;
  columns.uid[index] = entry.uid;
  columns.gid[index] = entry.gid;
  columns.mode[index] = entry.mode;
  columns.type[index] = ENTRY_TYPES.indexOf(entry.type);
}

/** The entry that was put down, without its rare fields. */
export function entryAt(columns: EntryColumns, index: number, path: string): Entry {
  return {
    path,
    type: ENTRY_TYPES[columns.type[index] ?? 0] ?? 'file',
    mode: columns.mode[index] ?? 0,
    uid: columns.uid[index] ?? 0,
    gid: columns.gid[index] ?? 0,
    mtime: columns.mtime[index] ?? 0,
    size: columns.size[index] ?? 0,
  };
}

/** Its rare fields, undefined among them; undefined for an entry that has none. */
export function rareFields({ linkTarget, devMajor, devMinor, xattrs }: Entry): RareFields | undefined {
  const fields = { linkTarget, devMajor, devMinor, xattrs };
  return Object.values(fields).some((value) => value !== undefined) ? (fields as RareFields) : undefined;
}
