/** Symlinks resolved inside a file tree, as chroot would: never outside its root, whatever the links say. */
import { BuildError } from '../errors.ts';
import { toText } from '../system/byte-path.ts';
import type { FileTree } from './file-tree.ts';

/** The kernel's own limit (path_resolution(7), MAXSYMLINKS). */
const MAX_LINKS = 40;

/**
 * The path with every symlink followed, the last component too if `followLast`. A tail that does not exist is kept as
 * it is. `path` may have leading, trailing and repeated slashes, "." and "..". Throws COPY_SYMLINK_LOOP.
 */
export function resolvePath(tree: FileTree, path: string, { followLast }: { followLast: boolean }): string {
  let links = 0;
  const done: string[] = [];
  const todo = path.split('/').reverse();
  while (todo.length > 0) {
    const name = todo.pop() ?? '';
    if (name === '' || name === '.') continue;
    if (name === '..') {
      done.pop();
      continue;
    }
    const candidate = done.length === 0 ? name : `${done.join('/')}/${name}`;
    const last = !todo.some((rest) => rest !== '' && rest !== '.');
    const entry = last && !followLast ? undefined : tree.lstat(candidate);
    if (entry?.type !== 'symlink') {
      done.push(name);
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) {
      throw new BuildError('COPY_SYMLINK_LOOP', `too many levels of symbolic links: /${toText(path)}`, {
        suggestions: ['Remove the loop of symlinks, or copy to another path.'],
      });
    }
    const target = entry.linkTarget ?? '';
    if (target.startsWith('/')) done.length = 0;
    todo.push(...target.split('/').reverse());
  }
  return done.join('/');
}
