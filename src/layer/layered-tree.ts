/**
 * A stack of layers as one file tree, from their tables of contents: whiteouts applied, hard links followed. Layers are
 * not merged; a look-up asks them from the top down, so a tree over large layers costs nothing until it is asked.
 */
import { BugError } from '../errors.ts';
import type { Digest } from '../image/descriptor.ts';
import { toByteString } from '../system/byte-path.ts';
import type { Entry, LayerToc, TocEntry } from './entry.ts';
import type { FileContent, FileTree } from './file-tree.ts';
import { hashContent, hashLargeContent } from './hash-content.ts';
import { LayerIndex } from './layer-index.ts';
import { type LayerTimes, type OwnTime, ownTime } from './layer-times.ts';
import { resolvePath } from './resolve-path.ts';

export interface TreeLayer {
  readonly toc: LayerToc;
  /** The uncompressed tar; undefined when only names and attributes will be asked for. */
  readonly tarPath: string | undefined;
  /** Of a layer that kiln has packed. */
  readonly times?: LayerTimes | undefined;
}

/** An entry, and the layer it comes from (-1 for a directory that no layer has an entry for). */
interface Found {
  readonly entry: TocEntry;
  readonly layer: number;
}

const ROOT: TocEntry = { path: '', type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: 0, size: 0 };

export class LayeredTree implements FileTree {
  readonly #layers: readonly TreeLayer[];
  #indexes: readonly LayerIndex[] | undefined;
  readonly #floors = new Map<string, number>();
  readonly #digests = new Map<string, Digest>();
  readonly #subtrees = new Map<number, LayeredTree>();
  readonly #numbers = new Map<number, ReadonlyMap<TocEntry, number>>();

  /** `layers`: lowest first. */
  constructor(layers: readonly TreeLayer[]) {
    this.#layers = layers;
  }

  lstat(path: string): Entry | undefined {
    const found = this.#find(path);
    if (found === undefined) return undefined;
    const { entry } = this.#linked(found);
    return entry.path === path ? entry : { ...entry, path };
  }

  list(path: string): readonly string[] {
    if (this.#find(path)?.entry.type !== 'directory') return [];
    const indexes = this.#stack();
    const names = new Set<string>();
    const gone = new Set<string>();
    for (let layer = indexes.length - 1; layer >= this.#floor(path); layer--) {
      const index = indexes[layer];
      for (const name of index?.children(path) ?? []) if (!gone.has(name)) names.add(name);
      for (const name of index?.deletedChildren(path) ?? []) gone.add(name);
    }
    return [...names].sort();
  }

  content(path: string): FileContent {
    const { entry, layer } = this.#file(path);
    if (entry.size === 0) return { kind: 'bytes', bytes: Buffer.alloc(0) };
    const tarPath = this.#layers[layer]?.tarPath;
    if (tarPath === undefined || entry.offset === undefined)
      throw new BugError(`no bytes at hand for ${path}`);
    return { kind: 'range', path: toByteString(tarPath), offset: entry.offset, size: entry.size };
  }

  digest(path: string): Digest {
    const { entry, layer } = this.#file(path);
    if (entry.digest !== undefined) return entry.digest;
    const key = `${layer}:${entry.path}`;
    let digest = this.#digests.get(key);
    if (digest === undefined) {
      digest = hashContent(this.content(path));
      this.#digests.set(key, digest);
    }
    return digest;
  }

  async learn(path: string, signal: AbortSignal): Promise<void> {
    const { entry, layer } = this.#file(path);
    const key = `${layer}:${entry.path}`;
    if (entry.digest !== undefined || this.#digests.has(key)) return;
    this.#digests.set(key, await hashLargeContent(this.content(path), signal));
  }

  linkIdentity(path: string): string | undefined {
    const found = this.#find(path);
    if (found === undefined || found.entry.type === 'directory') return undefined;
    const { entry, layer } = this.#linked(found);
    const several =
      found.entry.type === 'hardlink' ||
      this.#stack().some((index, number) => number >= layer && index.linkTargets.has(entry.path));
    return several ? `${layer}:${entry.path}` : undefined;
  }

  ownTime(path: string): OwnTime {
    const found = this.#find(path);
    const { entry, layer } = found === undefined ? { entry: ROOT, layer: -1 } : this.#linked(found);
    const time = entry.mtime;
    const times = this.#layers[layer]?.times;
    if (times === undefined) return { time, origin: 'source' };
    const number = this.#numberOf(entry, layer);
    const isSure = times.until === undefined && number !== undefined;
    return isSure ? ownTime(times, number, time) : { time, origin: undefined };
  }

  /** Number of the layer that holds a file's bytes; undefined for what has none. */
  layerOf(path: string): number | undefined {
    const found = this.#find(path);
    const file = found === undefined ? undefined : this.#linked(found);
    return file?.entry.type === 'file' && file.entry.size > 0 ? file.layer : undefined;
  }

  #numberOf(entry: TocEntry, layer: number): number | undefined {
    let numbers = this.#numbers.get(layer);
    if (numbers === undefined) {
      numbers = new Map(this.#layers[layer]?.toc.entries.map((each, number) => [each, number]));
      this.#numbers.set(layer, numbers);
    }
    return numbers.get(entry);
  }

  #file(path: string): Found {
    const found = this.#find(path);
    const file = found === undefined ? undefined : this.#linked(found);
    if (file?.entry.type !== 'file') throw new BugError(`${path} is no file`);
    return file;
  }

  #find(path: string): Found | undefined {
    const indexes = this.#stack();
    const floor = path === '' ? 0 : this.#floor(parentOf(path));
    let implied = path === '';
    for (let layer = indexes.length - 1; layer >= floor; layer--) {
      const index = indexes[layer];
      const entry = index?.entry(path);
      if (entry !== undefined) {
        if (implied && entry.type !== 'directory') break;
        return { entry, layer };
      }
      implied ||= index?.implied.has(path) === true;
      if (index?.deleted.has(path) === true) break;
    }
    return implied ? { entry: path === '' ? ROOT : { ...ROOT, path }, layer: -1 } : undefined;
  }

  /** The lowest layer whose files show in a directory. */
  #floor(path: string): number {
    const known = this.#floors.get(path);
    if (known !== undefined) return known;
    const indexes = this.#stack();
    const parent = path === '' ? 0 : this.#floor(parentOf(path));
    let floor = parent;
    for (let layer = indexes.length - 1; layer >= parent; layer--) {
      const index = indexes[layer];
      const type = index?.entry(path)?.type;
      const covered = type !== undefined && type !== 'directory';
      if (!covered && index?.opaque.has(path) !== true && index?.deleted.has(path) !== true) continue;
      floor = covered ? layer + 1 : layer;
      break;
    }
    this.#floors.set(path, floor);
    return floor;
  }

  /** The file itself, when the entry is one more name of it: of the same layer first, else of those below. */
  #linked(found: Found): Found {
    let { entry } = found;
    const { layer } = found;
    for (let hops = 0; entry.type === 'hardlink' && hops < 40; hops++) {
      const target = this.#stack()[layer]?.entry(entry.linkTarget ?? '');
      if (target !== undefined) {
        entry = target;
        continue;
      }
      const below = this.#below(layer);
      const lower = below.#find(entry.linkTarget ?? '');
      if (lower === undefined) break;
      return below.#linked(lower);
    }
    return entry.type === 'hardlink'
      ? { entry: { ...entry, type: 'file', size: 0 }, layer }
      : { entry, layer };
  }

  /** The tree without this layer and those above. */
  #below(layer: number): LayeredTree {
    let tree = this.#subtrees.get(layer);
    if (tree === undefined) {
      tree = new LayeredTree(this.#layers.slice(0, layer));
      this.#subtrees.set(layer, tree);
    }
    return tree;
  }

  #stack(): readonly LayerIndex[] {
    this.#indexes ??= this.#layers.map(({ toc }, layer) => {
      const index = LayerIndex.of(toc);
      const led = [...index.implied].some((path) => this.#below(layer).lstat(path)?.type === 'symlink');
      return led ? LayerIndex.of(behindLinks(toc, this.#below(layer))) : index;
    });
    return this.#indexes;
  }
}

/**
 * A tar without its directories may put files where a layer below has a symlink to a directory: lib/x over
 * lib -> usr/lib. Those files are where the link leads, as unpacking puts them (`completeLayer`).
 */
function behindLinks(toc: LayerToc, below: FileTree): LayerToc {
  const own = LayerIndex.of(toc);
  const tree: FileTree = {
    lstat: (path) => (own.entry(path)?.type === 'directory' ? own.entry(path) : below.lstat(path)),
    list: () => [],
    content: below.content,
    digest: below.digest,
  };
  const behind = (path: string): string => {
    const parent = resolvePath(tree, parentOf(path), { followLast: true });
    const name = path.slice(path.lastIndexOf('/') + 1);
    return parent === '' ? name : `${parent}/${name}`;
  };
  const entries = toc.entries.map((entry) => {
    const linkTarget = entry.type === 'hardlink' ? behind(entry.linkTarget ?? '') : entry.linkTarget;
    const moved = { ...entry, path: entry.path === '' ? '' : behind(entry.path) };
    return linkTarget === undefined ? moved : { ...moved, linkTarget };
  });
  return { ...toc, entries };
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
