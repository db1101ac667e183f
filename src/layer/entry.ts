/**
 * One entry of a layer, and a layer's table of contents: everything a tar header says, plus where the bytes are.
 * Values only.
 *
 * Paths are byte strings: one character a byte (latin1), because file names on Linux are bytes, not text.
 * They are relative to the root, have no leading or trailing slash, no "." or ".." component; "" is the root itself.
 */
import type { DiffId, Digest } from '../image/descriptor.ts';

/** The place of a type in this list is its number in files and messages: append only. */
export const ENTRY_TYPES = [
  'file',
  'directory',
  'symlink',
  /** A hard link to an earlier path of the same layer (or, rarely, of a lower one). */
  'hardlink',
  'char',
  'block',
  'fifo',
  /** The path is deleted from the layers below (image-spec, layer.md, "Whiteouts"). */
  'whiteout',
  /** The directory `path` hides everything the layers below have in it ("Opaque Whiteout"). */
  'opaque',
] as const;

export type EntryType = (typeof ENTRY_TYPES)[number];

export interface Entry {
  readonly path: string;
  readonly type: EntryType;
  /** Permission bits with setuid, setgid, sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** Bytes of a regular file; 0 for everything else. */
  readonly size: number;
  /** Target of a symlink (as stored) or hard link (a path like `path`). Byte string. */
  readonly linkTarget?: string;
  readonly devMajor?: number;
  readonly devMinor?: number;
  /** Extended attribute name to value, both byte strings; overlayfs's own are never here. */
  readonly xattrs?: Readonly<Record<string, string>> | undefined;
}

/** An entry as a table of contents keeps it. */
export interface TocEntry extends Entry {
  /** Where the file's bytes begin in the uncompressed tar. */
  readonly offset?: number;
  /** sha256 of the file's bytes, where known. */
  readonly digest?: Digest;
}

/** Table of contents of one layer, in tar order. */
export interface LayerToc {
  readonly diffId: DiffId;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
  readonly entries: readonly TocEntry[];
}
