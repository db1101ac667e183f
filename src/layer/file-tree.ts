/**
 * A tree of files that can be read without being mounted: a build context, a stage's result, an image.
 * COPY and ADD, digests and user look-ups work on this. Synchronous, because it serves many small questions.
 */
import type { Digest } from '../image/descriptor.ts';
import type { Entry } from './entry.ts';
import type { OwnTime, TimeOrigin } from './layer-times.ts';

/** Where the bytes of a regular file are. */
export type FileContent =
  /** A file on this machine (byte string, absolute). */
  | {
      readonly kind: 'file';
      readonly path: string;
      /** What the file was when its digest was taken: with another time or inode it is another file. */
      readonly mtimeMs?: number;
      readonly ino?: number;
    }
  /** A part of a file on this machine, such as an uncompressed layer blob. */
  | { readonly kind: 'range'; readonly path: string; readonly offset: number; readonly size: number }
  | { readonly kind: 'bytes'; readonly bytes: Buffer };

/** Paths as in Entry.path: byte strings, relative to the root, "" for the root. No symlink is ever followed. */
export interface FileTree {
  /** Whiteouts are applied: what is deleted is not there. */
  lstat(path: string): Entry | undefined;
  /** An entry that `lstat` gave, with extended attributes where those are only read for what is taken. */
  withXattrs?(entry: Entry): Entry;
  /** Names in a directory, in byte order; empty for anything else. */
  list(path: string): readonly string[];
  content(path: string): FileContent;
  /** sha256 of a regular file's bytes. */
  digest(path: string): Digest;
  /** Reads a file so that `digest` knows it; other work goes on. Throws what `digest` would, and the signal's reason. */
  learn?(path: string, signal: AbortSignal): Promise<void>;
  /** Same for all names of one file that has several; undefined for a file with one name. */
  linkIdentity?(path: string): string | undefined;
  /** Where the times of its files come from, when that is one place. */
  readonly origin?: TimeOrigin | undefined;
  /** When a file was made, which its entry need not tell. */
  ownTime?(path: string): OwnTime;
}

/** An entry as it is taken from a tree: with its extended attributes. */
export function takenEntry(tree: FileTree, entry: Entry): Entry {
  return tree.withXattrs?.(entry) ?? entry;
}

/** An entry of a tree with its own time, for a layer of which another epoch may be asked. */
export function withOwnTime(
  tree: FileTree,
  path: string,
  entry: Entry,
): { readonly entry: Entry; readonly origin: TimeOrigin | undefined } {
  const own = tree.ownTime?.(path);
  if (own === undefined) return { entry, origin: tree.origin };
  return { entry: own.time === entry.mtime ? entry : { ...entry, mtime: own.time }, origin: own.origin };
}
