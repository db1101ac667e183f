/** Sizes of directories that do not change, or not without a trace: measured once, then remembered in one small file. */
import { join } from 'node:path';
import { readTextIfExists, writeFileAtomic } from '../system/files.ts';
import type { Store } from './store.ts';
import { treeSize } from './tree-size.ts';

export interface MeasuredDirectory {
  readonly path: string;
  /** Changes whenever the content may have. */
  readonly state: string;
}

/** Bytes of all the directories together. What may not be read counts as nothing; what is gone is forgotten. */
export function rememberedSize(store: Store, directories: readonly MeasuredDirectory[]): number {
  const file = join(store.root, 'cache', 'directory-sizes');
  const known = read(file);
  const sizes = new Map(
    directories.map(({ path, state }) => {
      const key = `${path.slice(store.root.length + 1)} ${state}`;
      return [key, known.get(key) ?? treeSize(path).size] as const;
    }),
  );
  if (sizes.size !== known.size || [...sizes.keys()].some((key) => !known.has(key))) {
    const content = JSON.stringify(Object.fromEntries(sizes));
    writeFileAtomic(file, content, { temporary: store.temporary, flush: false });
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

function read(file: string): Map<string, number> {
  try {
    const sizes = JSON.parse(readTextIfExists(file) ?? '{}') as Record<string, unknown>;
    return new Map(
      Object.entries(sizes).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
    );
  } catch {
    return new Map(); // Damaged: everything is measured again.
  }
}
