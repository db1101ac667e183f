/** --squash: everything a build adds to its base as one layer, found by comparing the files before and after. */
import type { HistoryEntry, ImageConfig } from '../image/image-config.ts';
import { emptyTree } from '../layer/empty-tree.ts';
import type { Entry } from '../layer/entry.ts';
import type { FileTree } from '../layer/file-tree.ts';
import type { PackItem } from '../layer/pack-tree.ts';
import type { SolvedStage } from './solver.ts';
import type { SolverContext } from './solver-context.ts';
import type { SettledLayer } from './step-layer.ts';

interface Squashed {
  readonly config: ImageConfig;
  readonly layers: readonly SettledLayer[];
}

/** The image with one layer on top of its base's. An image that adds one layer or none stays as it is. */
export async function squash(
  { solved, config }: { readonly solved: SolvedStage; readonly config: ImageConfig },
  context: SolverContext,
): Promise<Squashed> {
  const { layers, baseLayers } = solved;
  const own = layers.slice(baseLayers);
  if (own.length < 2) return { config, layers };
  const below = layers.slice(0, baseLayers);
  const items = difference(await treeOf(context, below), await treeOf(context, layers));
  const created = own.at(-1)?.created ?? context.now();
  const added =
    items.length === 0
      ? []
      : [await context.access.packing.packTree({ items, created, use: { ofImage: true, isRead: false } })];
  const squashed = [...below, ...added];
  return {
    layers: squashed,
    config: {
      ...config,
      rootfs: { type: 'layers', diff_ids: squashed.map(({ diffId }) => diffId) },
      history: historyOf(config.history ?? [], {
        kept: baseLayers,
        added: added.length,
        created: config.created,
      }),
    },
  };
}

function treeOf(context: SolverContext, layers: readonly SettledLayer[]): Promise<FileTree> {
  if (layers.length === 0) return Promise.resolve(emptyTree);
  const steps = layers.map((layer) => ({ settled: Promise.resolve(layer) }));
  return context.access.tree(steps, { contents: true });
}

/** Entries that filled a layer of the build fill none now; one at the end stands for the layer they became. */
function historyOf(
  history: readonly HistoryEntry[],
  { kept, added, created }: { kept: number; added: number; created: string | undefined },
): HistoryEntry[] {
  let filled = 0;
  const entries = history.map((entry): HistoryEntry => {
    if (entry.empty_layer === true) return entry;
    filled += 1;
    return filled <= kept ? entry : { ...entry, empty_layer: true };
  });
  if (added === 0) return entries;
  const time = created === undefined ? {} : { created };
  return [...entries, { ...time, created_by: 'kiln build --squash', comment: 'layers of this build as one' }];
}

/** What must be laid over `before` to get `after`: changed files with their directories, and whiteouts. */
function difference(before: FileTree, after: FileTree): PackItem[] {
  const items: PackItem[] = [];
  const links = new Map<string, string>();
  /** Adds what changed below a directory; the directory itself goes before it, when anything did. */
  const descend = (directory: string): void => {
    const names = after.list(directory);
    const present = new Set(names);
    for (const name of before.lstat(directory)?.type === 'directory' || directory === ''
      ? before.list(directory)
      : []) {
      if (!present.has(name)) items.push({ entry: whiteout(join(directory, name)) });
    }
    for (const name of names) {
      const path = join(directory, name);
      const entry = after.lstat(path);
      if (entry !== undefined) visit(path, entry);
    }
  };
  const visit = (path: string, entry: Entry): void => {
    const at = items.length;
    const changed = !isSame(path, { entry, before, after });
    if (entry.type === 'directory') {
      descend(path);
      if (changed || items.length > at) items.splice(at, 0, { entry });
      return;
    }
    if (!changed) return;
    const identity = after.linkIdentity?.(path);
    const first = identity === undefined ? undefined : links.get(identity);
    if (first !== undefined) {
      items.push({ entry: { ...entry, type: 'hardlink', linkTarget: first, size: 0 } });
      return;
    }
    if (identity !== undefined) links.set(identity, path);
    items.push(entry.type === 'file' ? { entry, content: after.content(path) } : { entry });
  };
  descend('');
  return items;
}

function isSame(
  path: string,
  { entry, before, after }: { entry: Entry; before: FileTree; after: FileTree },
): boolean {
  const old = before.lstat(path);
  if (old === undefined || attributes(old) !== attributes(entry)) return false;
  if (entry.type !== 'file' || entry.size === 0) return true;
  const [one, other] = [before.content(path), after.content(path)];
  // The same place in the same tar: nothing of the build has touched the file.
  return (
    one.kind === 'range' && other.kind === 'range' && one.path === other.path && one.offset === other.offset
  );
}

function attributes({
  type,
  mode,
  uid,
  gid,
  mtime,
  size,
  linkTarget,
  devMajor,
  devMinor,
  xattrs,
}: Entry): string {
  return JSON.stringify([type, mode, uid, gid, mtime, size, linkTarget, devMajor, devMinor, xattrs ?? null]);
}

function whiteout(path: string): Entry {
  return { path, type: 'whiteout', mode: 0, uid: 0, gid: 0, mtime: 0, size: 0 };
}

function join(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}
