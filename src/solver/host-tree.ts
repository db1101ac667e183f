/** A mounted root filesystem as a file tree: for look-ups in files of the image, and to be put out whole. */
import { lstatSync, readdirSync } from 'node:fs';
import { BugError } from '../errors.ts';
import type { FileTree } from '../layer/file-tree.ts';
import { hostEntry, lstatPath } from '../layer/host-entry.ts';
import { toByteString, toFsPath } from '../system/byte-path.ts';

/** Everything but digests, which are for trees that are copied from. */
export function hostTree(rootfs: string): FileTree {
  const root = toByteString(rootfs);
  const host = (path: string): string => (path === '' ? root : `${root}/${path}`);
  return {
    lstat(path) {
      const stats = lstatPath(host(path));
      return stats === undefined ? undefined : hostEntry(path, host(path), stats);
    },
    list(path) {
      if (lstatPath(host(path))?.isDirectory() !== true) return [];
      return readdirSync(toFsPath(host(path)), { encoding: 'latin1' }).sort();
    },
    content: (path) => ({ kind: 'file', path: host(path) }),
    digest: () => {
      throw new BugError('a mounted root filesystem is not digested');
    },
    linkIdentity(path) {
      // Exact, for inodes beyond 2^53.
      const stats = lstatSync(toFsPath(host(path)), { bigint: true });
      return stats.nlink > 1n && !stats.isDirectory() ? `${stats.dev}:${stats.ino}` : undefined;
    },
  };
}
