/** What differs between two file trees. Times do not count: a file that was only made anew is the same file. */
import type { Entry } from './entry.ts';
import type { FileTree } from './file-tree.ts';
import type { ChangeKind } from './pack-snapshot.ts';

/** Path as a byte string without a leading slash. */
export interface TreeChange {
  readonly kind: ChangeKind;
  readonly path: string;
  /** Bytes of files: of the new one, of a deleted one or of all in a deleted directory those it had. */
  readonly size: number;
  /** Bytes before, of a file that changed. */
  readonly before?: number | undefined;
}

/**
 * Lists changes, parents first, names in byte order; a deleted directory stands for all that was in it. `sameBytes` says
 * whether a file of the same size has the same bytes in both.
 */
export function compareTrees(
  before: FileTree,
  after: FileTree,
  sameBytes: (path: string) => boolean,
): TreeChange[] {
  const changes: TreeChange[] = [];
  const both = (path: string, old: Entry, now: Entry): void => {
    const bothDirectories = old.type === 'directory' && now.type === 'directory';
    const size = bothDirectories ? {} : { before: sizeIn(before, path) };
    const same =
      attributes(old) === attributes(now) && (now.type !== 'file' || now.size === 0 || sameBytes(path));
    if (!same) changes.push({ kind: 'C', path, size: now.size, ...size });
    if (bothDirectories) descend(path);
    else if (now.type === 'directory') for (const name of after.list(path)) added(join(path, name));
  };
  const added = (path: string): void => {
    const entry = after.lstat(path);
    if (entry === undefined) return;
    changes.push({ kind: 'A', path, size: entry.size });
    for (const name of after.list(path)) added(join(path, name));
  };
  const descend = (directory: string): void => {
    for (const name of [...new Set([...before.list(directory), ...after.list(directory)])].sort()) {
      const path = join(directory, name);
      const [old, now] = [before.lstat(path), after.lstat(path)];
      if (old === undefined) added(path);
      else if (now === undefined) changes.push({ kind: 'D', path, size: sizeIn(before, path) });
      else both(path, old, now);
    }
  };
  descend('');
  return changes;
}

/** Bytes of a file, or of all files in a directory. */
function sizeIn(tree: FileTree, path: string): number {
  const names = tree.list(path);
  const own = tree.lstat(path)?.size ?? 0;
  return names.reduce((sum, name) => sum + sizeIn(tree, join(path, name)), own);
}

function attributes({ type, mode, uid, gid, size, linkTarget, devMajor, devMinor, xattrs }: Entry): string {
  const sorted = Object.entries(xattrs ?? {}).sort();
  return JSON.stringify([type, mode, uid, gid, size, linkTarget, devMajor, devMinor, sorted]);
}

function join(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}
