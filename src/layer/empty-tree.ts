/** A root filesystem with nothing in it: FROM scratch. */
import { BugError } from '../errors.ts';
import type { FileTree } from './file-tree.ts';

const nothing = (): never => {
  throw new BugError('an empty tree has no files');
};

export const emptyTree: FileTree = {
  lstat: (path) =>
    path === '' ? { path: '', type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: 0, size: 0 } : undefined,
  list: () => [],
  content: nothing,
  digest: nothing,
};
