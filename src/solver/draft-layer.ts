/**
 * A layer being put together on top of a file tree: what a COPY has placed so far, seen over what was there. Paths are
 * byte strings relative to the root.
 */
import { BuildError } from '../errors.ts';
import type { Entry } from '../layer/entry.ts';
import { type FileTree, withOwnTime } from '../layer/file-tree.ts';
import type { PackItem } from '../layer/pack-tree.ts';
import { type ResolveOptions, resolvePath } from '../layer/resolve-path.ts';
import { toText } from '../system/byte-path.ts';
import type { Owner } from './owner.ts';

export interface NewDirectories {
  readonly owner: Owner;
  /** 0755 unless --chmod says otherwise. */
  readonly mode?: number;
  /** Seconds since 1970. */
  readonly mtime: number;
}

export class DraftLayer {
  readonly #below: FileTree;
  readonly #items = new Map<string, PackItem>();
  /** Directories of the tree below that the layer touches: they are in the layer with their own attributes. */
  readonly #touched = new Set<string>();

  constructor(below: FileTree) {
    this.#below = below;
  }

  lstat(path: string): Entry | undefined {
    const placed = this.#items.get(path)?.entry;
    return placed ?? this.#below.lstat(path);
  }

  /** Follows symlinks inside the image, in what was placed and in what was there. */
  resolve(path: string, options: ResolveOptions): string {
    const tree: FileTree = {
      lstat: (candidate) => this.lstat(candidate),
      list: () => [],
      content: (candidate) => this.#below.content(candidate),
      digest: (candidate) => this.#below.digest(candidate),
    };
    return resolvePath(tree, path, options);
  }

  /** Makes sure a directory and its parents are there. `path` is resolved. Throws COPY_NOT_A_DIRECTORY. */
  ensureDirectory(path: string, made: NewDirectories): void {
    if (path === '') return;
    const { owner, mode = 0o755, mtime } = made;
    const slash = path.lastIndexOf('/');
    this.ensureDirectory(slash < 0 ? '' : path.slice(0, slash), made);
    const existing = this.lstat(path);
    if (existing === undefined) {
      const entry: Entry = { path, type: 'directory', mode, ...owner, mtime, size: 0 };
      this.#items.set(path, { entry, origin: 'build' });
    } else if (existing.type !== 'directory') {
      throw new BuildError(
        'COPY_NOT_A_DIRECTORY',
        `cannot create directory /${toText(path)}: it exists and is a ${existing.type}`,
        {
          suggestions: ['Copy to another path, or remove what is there in a RUN before.'],
        },
      );
    } else if (!this.#items.has(path)) this.#touched.add(path);
  }

  /** As `ensureDirectory`, but a directory that is there already leaves no trace in the layer. */
  makeDirectory(path: string, made: NewDirectories): void {
    if (this.lstat(path)?.type === 'directory' || path === '') return;
    this.ensureDirectory(path, made);
  }

  /** What has a path, with its own time. */
  #at(path: string): PackItem | undefined {
    const placed = this.#items.get(path);
    if (placed !== undefined) return placed;
    const entry = this.#below.lstat(path);
    return entry === undefined ? undefined : withOwnTime(this.#below, path, entry);
  }

  /** Gives a directory that is there another mode. */
  setMode(path: string, mode: number): void {
    const item = this.#at(path);
    if (item !== undefined) this.place({ ...item, entry: { ...item.entry, mode } });
  }

  /** Puts an entry in place of whatever has its path. Its parents must be there. */
  place({ entry, content, origin }: PackItem): void {
    this.#touched.delete(entry.path);
    if (entry.type !== 'directory' && this.#items.get(entry.path)?.entry.type === 'directory') {
      this.#dropBelow(entry.path);
    }
    this.#items.set(entry.path, content === undefined ? { entry, origin } : { entry, content, origin });
  }

  /**
   * Makes sure that a file is in this layer, so that a hard link can name it: what lies below is copied up.
   * False when there is no such file.
   */
  hold(path: string): boolean {
    const placed = this.#items.get(path)?.entry;
    const entry = placed ?? this.#below.lstat(path);
    if (entry === undefined || entry.type === 'directory') return false;
    if (placed === undefined) {
      this.ensureDirectory(path.slice(0, Math.max(0, path.lastIndexOf('/'))), {
        owner: { uid: 0, gid: 0 },
        mtime: entry.mtime,
      });
      const content = entry.type === 'file' ? this.#below.content(path) : undefined;
      this.place({ ...withOwnTime(this.#below, path, entry), content });
    }
    return true;
  }

  #dropBelow(path: string): void {
    for (const other of [...this.#items.keys(), ...this.#touched]) {
      if (!other.startsWith(`${path}/`)) continue;
      this.#items.delete(other);
      this.#touched.delete(other);
    }
  }

  /** Takes the layer's entries out: parents before children, names in byte order. */
  takeItems(): PackItem[] {
    const all = [...this.#items.values()];
    this.#items.clear();
    for (const path of this.#touched) {
      const entry = this.#below.lstat(path);
      if (entry !== undefined) all.push(withOwnTime(this.#below, path, entry));
    }
    return linksAfterTargets(all.sort((a, b) => comparePaths(a.entry.path, b.entry.path)));
  }
}

const SLASH = 47;

/** By their names from the root on: a slash comes before everything else. */
function comparePaths(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at++) {
    const [a, b] = [one.charCodeAt(at), other.charCodeAt(at)];
    if (a !== b) return (a === SLASH ? 0 : a) - (b === SLASH ? 0 : b);
  }
  return one.length - other.length;
}

/** A hard link must follow the file it names; sorting by path may have turned them round. */
function linksAfterTargets(items: PackItem[]): PackItem[] {
  const links = items.filter(({ entry }) => entry.type === 'hardlink');
  return links.length === 0 ? items : [...items.filter(({ entry }) => entry.type !== 'hardlink'), ...links];
}
