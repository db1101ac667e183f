/** Symlinks resolved inside a file tree, as chroot would: never outside its root, whatever the links say. */
import { BuildError } from '../errors.ts';
import { toText } from '../system/byte-path.ts';
import type { FileTree } from './file-tree.ts';

/** The kernel's own limit (path_resolution(7), MAXSYMLINKS). */
const MAX_LINKS = 40;

export interface ResolveOptions {
  /** Follow the last component as well. */
  readonly followLast: boolean;
  /**
   * A directory that stands for the root, as in a chroot: absolute links begin there. A path or link that climbs above
   * it is refused; above the tree's own root it stays there instead.
   */
  readonly within?: string | undefined;
}

/**
 * The path with every symlink followed. A tail that does not exist is kept as it is. `path` may have leading, trailing
 * and repeated slashes, "." and "..". Throws COPY_SYMLINK_LOOP, and LAYER_UNSAFE_PATH for what climbs out of `within`.
 */
export function resolvePath(tree: FileTree, path: string, { followLast, within }: ResolveOptions): string {
  let links = 0;
  const root = within === undefined || within === '' ? [] : within.split('/');
  const done = [...root];
  const todo = path.split('/').reverse();
  while (todo.length > 0) {
    const name = todo.pop() ?? '';
    if (name === '' || name === '.') continue;
    if (name === '..') {
      if (within !== undefined && done.length === root.length) throw climbing(path);
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
    if (target.startsWith('/')) done.length = root.length;
    todo.push(...target.split('/').reverse());
  }
  return done.join('/');
}

function climbing(path: string): BuildError {
  return new BuildError(
    'LAYER_UNSAFE_PATH',
    `"${toText(path)}" leads out of where it is unpacked, through a symlink`,
    {
      suggestions: ['Make the archive again without the symlink that climbs above its root.'],
    },
  );
}
