/** A mounted root filesystem as a file tree, for look-ups in files of the image. */
import { lstatSync, readlinkSync } from 'node:fs';
import { BugError } from '../errors.ts';
import type { EntryType } from '../layer/entry.ts';
import type { FileTree } from '../layer/file-tree.ts';
import { toFsPath } from '../system/byte-path.ts';

/** Only look-ups and contents; listing and digests are for trees that are copied from. */
export function hostTree(rootfs: string): FileTree {
  const host = (path: string): string => (path === '' ? rootfs : `${rootfs}/${path}`);
  return {
    lstat(path) {
      const stats = lstatSync(toFsPath(host(path)), { throwIfNoEntry: false });
      if (stats === undefined) return undefined;
      const type: EntryType = stats.isFile()
        ? 'file'
        : stats.isDirectory()
          ? 'directory'
          : stats.isSymbolicLink()
            ? 'symlink'
            : 'fifo';
      return {
        path,
        type,
        mode: stats.mode & 0o7777,
        uid: stats.uid,
        gid: stats.gid,
        mtime: Math.floor(stats.mtimeMs / 1000),
        size: stats.size,
        ...(type === 'symlink'
          ? { linkTarget: readlinkSync(toFsPath(host(path)), { encoding: 'latin1' }) }
          : {}),
      };
    },
    list: () => [],
    content: (path) => ({ kind: 'file', path: host(path) }),
    digest: () => {
      throw new BugError('a mounted root filesystem is not digested');
    },
  };
}
