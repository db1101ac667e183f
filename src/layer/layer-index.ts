/** One layer's table of contents by path. Made once a table and shared by every tree that holds the layer. */
import type { LayerToc, TocEntry } from './entry.ts';

const known = new WeakMap<LayerToc, LayerIndex>();

export class LayerIndex {
  readonly #entries = new Map<string, TocEntry>();
  /** Directories that are known only by what is in them. */
  readonly implied = new Set<string>();
  /** Paths that are deleted from the layers below. */
  readonly deleted = new Set<string>();
  /** Directories that hide what the layers below have in them. */
  readonly opaque = new Set<string>();
  /** Paths that hard links of this layer name. */
  readonly linkTargets = new Set<string>();
  #children: Map<string, string[]> | undefined;
  #deletedChildren: Map<string, string[]> | undefined;
  #lastParent = '';

  private constructor(toc: LayerToc) {
    for (const entry of toc.entries) this.#add(entry);
  }

  /** The index of a table of contents. */
  static of(toc: LayerToc): LayerIndex {
    let index = known.get(toc);
    if (index === undefined) {
      index = new LayerIndex(toc);
      known.set(toc, index);
    }
    return index;
  }

  /** What the layer puts at a path; the last entry counts. */
  entry(path: string): TocEntry | undefined {
    return this.#entries.get(path);
  }

  /** Names that the layer has in a directory, in no order. */
  children(path: string): readonly string[] {
    this.#children ??= byParent([...this.#entries.keys(), ...this.implied]);
    return this.#children.get(path) ?? [];
  }

  /** Names that the layer deletes from a directory. */
  deletedChildren(path: string): readonly string[] {
    if (this.deleted.size === 0) return [];
    this.#deletedChildren ??= byParent(this.deleted);
    return this.#deletedChildren.get(path) ?? [];
  }

  #add(entry: TocEntry): void {
    const { path, type } = entry;
    if (type === 'opaque') {
      this.opaque.add(path);
      if (path !== '' && this.#entries.get(path)?.type !== 'directory') this.#imply(path);
      return;
    }
    if (path !== '') this.#parents(path);
    if (type === 'whiteout') {
      this.deleted.add(path);
      return;
    }
    if (type === 'hardlink') this.linkTargets.add(entry.linkTarget ?? '');
    if (type === 'directory') this.implied.delete(path);
    else if (this.implied.has(path) || this.#entries.get(path)?.type === 'directory') this.#removeTree(path);
    this.#entries.set(path, entry);
  }

  #parents(path: string): void {
    const slash = path.lastIndexOf('/');
    if (slash < 0) return;
    const parent = path.slice(0, slash);
    // Neighbours in a tar mostly share their directory.
    if (parent === this.#lastParent) return;
    if (this.#entries.get(parent)?.type !== 'directory' && !this.implied.has(parent)) this.#imply(parent);
    this.#lastParent = parent;
  }

  /** A directory without an entry; a file of the same layer in its place gives way. */
  #imply(path: string): void {
    this.#parents(path);
    this.#entries.delete(path);
    this.implied.add(path);
  }

  #removeTree(path: string): void {
    const inside = `${path}/`;
    for (const key of this.#entries.keys()) if (key.startsWith(inside)) this.#entries.delete(key);
    for (const key of this.implied) if (key === path || key.startsWith(inside)) this.implied.delete(key);
    this.#lastParent = '';
  }
}

function byParent(paths: Iterable<string>): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const path of paths) {
    if (path === '') continue;
    const slash = path.lastIndexOf('/');
    const parent = slash < 0 ? '' : path.slice(0, slash);
    const siblings = names.get(parent);
    if (siblings === undefined) names.set(parent, [path.slice(slash + 1)]);
    else siblings.push(path.slice(slash + 1));
  }
  return names;
}
