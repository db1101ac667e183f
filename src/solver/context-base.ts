/** FROM a named context that is a directory: its files become the stage's one layer. */
import { type FileTree, takenEntry } from '../layer/file-tree.ts';
import type { PackItem } from '../layer/pack-tree.ts';
import type { SolverContext } from './solver-context.ts';
import type { StageState } from './step-layer.ts';
import { listEntries } from './step-sources.ts';

/** Packs the whole context as one layer on nothing. */
export async function executeContextBase(context: SolverContext, name: string): Promise<StageState> {
  const tree = await context.options.contextTree(name);
  const items: PackItem[] = [];
  collect(tree, '', items);
  const packed = await context.access.packing.packTree({
    items,
    created: context.now(),
    use: { ofImage: true, isRead: true },
  });
  const entries = items.map(({ entry }) => entry);
  const { digest } = await listEntries(tree, entries, context.signal);
  return { layers: [{ settled: Promise.resolve(packed) }], key: digest };
}

function collect(tree: FileTree, directory: string, items: PackItem[]): void {
  for (const child of tree.list(directory)) {
    const path = directory === '' ? child : `${directory}/${child}`;
    const found = tree.lstat(path);
    if (found === undefined) continue;
    const entry = takenEntry(tree, found);
    const { origin } = tree;
    items.push(entry.type === 'file' ? { entry, content: tree.content(path), origin } : { entry, origin });
    if (entry.type === 'directory') collect(tree, path, items);
  }
}
