/** A stack of layers as one file tree, from their tables of contents: whiteouts applied, hard links followed. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { BugError } from '../errors.ts';
import type { Digest } from '../image/descriptor.ts';
import { toFsPath } from '../system/byte-path.ts';
import type { Entry, LayerToc, TocEntry } from './entry.ts';
import type { FileContent, FileTree } from './file-tree.ts';

export interface TreeLayer {
  readonly toc: LayerToc;
  /** The uncompressed tar; undefined when only names and attributes will be asked for. */
  readonly tarPath: string | undefined;
}

/** A name in the tree. The entry is shared by all names of one file. */
interface Node {
  entry: TocEntry;
  layer: number;
  /** Says which file it is, for files with several names. */
  link: string | undefined;
  children: Map<string, Node> | undefined;
}

const ROOT: TocEntry = { path: '', type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: 0, size: 0 };

export class LayeredTree implements FileTree {
  readonly #layers: readonly TreeLayer[];
  #root: Node | undefined;
  readonly #digests = new Map<string, Digest>();

  /** `layers`: lowest first. */
  constructor(layers: readonly TreeLayer[]) {
    this.#layers = layers;
  }

  lstat(path: string): Entry | undefined {
    const node = this.#find(path);
    return node === undefined ? undefined : node.entry.path === path ? node.entry : { ...node.entry, path };
  }

  list(path: string): readonly string[] {
    const children = this.#find(path)?.children;
    return children === undefined ? [] : [...children.keys()].sort();
  }

  content(path: string): FileContent {
    const node = this.#file(path);
    if (node.entry.size === 0) return { kind: 'bytes', bytes: Buffer.alloc(0) };
    const tarPath = this.#layers[node.layer]?.tarPath;
    if (tarPath === undefined || node.entry.offset === undefined)
      throw new BugError(`no bytes at hand for ${path}`);
    return { kind: 'range', path: tarPath, offset: node.entry.offset, size: node.entry.size };
  }

  digest(path: string): Digest {
    const node = this.#file(path);
    if (node.entry.digest !== undefined) return node.entry.digest;
    const key = `${node.layer}:${node.entry.path}`;
    let digest = this.#digests.get(key);
    if (digest === undefined) {
      digest = hashContent(this.content(path));
      this.#digests.set(key, digest);
    }
    return digest;
  }

  linkIdentity(path: string): string | undefined {
    return this.#find(path)?.link;
  }

  #file(path: string): Node {
    const node = this.#find(path);
    if (node?.entry.type !== 'file') throw new BugError(`${path} is no file`);
    return node;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#tree();
    if (path === '') return node;
    for (const name of path.split('/')) {
      node = node.children?.get(name);
      if (node === undefined) return undefined;
    }
    return node;
  }

  #tree(): Node {
    if (this.#root !== undefined) return this.#root;
    const root: Node = { entry: ROOT, layer: -1, link: undefined, children: new Map() };
    this.#layers.forEach(({ toc }, layer) => {
      // What a layer deletes, it deletes from the layers below, whatever the order in its tar.
      for (const entry of toc.entries)
        if (entry.type === 'whiteout' || entry.type === 'opaque') remove(root, entry);
      for (const entry of toc.entries)
        if (entry.type !== 'whiteout' && entry.type !== 'opaque') add(root, entry, layer);
    });
    this.#root = root;
    return root;
  }
}

function remove(root: Node, { path, type }: TocEntry): void {
  let node: Node | undefined = root;
  const parts = path === '' ? [] : path.split('/');
  const last = type === 'whiteout' ? parts.pop() : undefined;
  for (const part of parts) {
    node = node?.children?.get(part);
    if (node === undefined) return;
  }
  if (last === undefined) node.children?.clear();
  else node.children?.delete(last);
}

function add(root: Node, entry: TocEntry, layer: number): void {
  if (entry.path === '') {
    root.entry = entry;
    root.layer = layer;
    return;
  }
  const parts = entry.path.split('/');
  const name = parts.pop() ?? '';
  let parent = root;
  let walked = '';
  for (const part of parts) {
    walked = walked === '' ? part : `${walked}/${part}`;
    parent.children ??= new Map();
    let next = parent.children.get(part);
    if (next === undefined || next.entry.type !== 'directory') {
      // A parent the tar does not carry.
      next = { entry: { ...ROOT, path: walked }, layer, link: undefined, children: new Map() };
      parent.children.set(part, next);
    }
    parent = next;
  }
  parent.children ??= new Map();
  const existing = parent.children.get(name);
  parent.children.set(name, nodeOf(root, { entry, layer, existing }));
}

function nodeOf(
  root: Node,
  { entry, layer, existing }: { entry: TocEntry; layer: number; existing: Node | undefined },
): Node {
  if (entry.type === 'directory') {
    const children = existing?.entry.type === 'directory' ? existing.children : undefined;
    return { entry, layer, link: undefined, children: children ?? new Map() };
  }
  if (entry.type !== 'hardlink') return { entry, layer, link: undefined, children: undefined };
  const target = lookUp(root, entry.linkTarget ?? '');
  if (target === undefined)
    return { entry: { ...entry, type: 'file', size: 0 }, layer, link: undefined, children: undefined };
  target.link ??= `${target.layer}:${target.entry.path}`;
  return { entry: target.entry, layer: target.layer, link: target.link, children: undefined };
}

function lookUp(root: Node, path: string): Node | undefined {
  let node: Node | undefined = root;
  for (const part of path.split('/')) node = node?.children?.get(part);
  return node;
}

const CHUNK = 1 << 20;

/** sha256 of a file's bytes wherever they are. */
export function hashContent(content: FileContent): Digest {
  const hash = createHash('sha256');
  if (content.kind === 'bytes') return `sha256:${hash.update(content.bytes).digest('hex')}`;
  const fd = openSync(toFsPath(content.path), 'r');
  const buffer = Buffer.allocUnsafe(CHUNK);
  try {
    let position = content.kind === 'range' ? content.offset : 0;
    let left = content.kind === 'range' ? content.size : Number.POSITIVE_INFINITY;
    while (left > 0) {
      const count = readSync(fd, buffer, 0, Math.min(CHUNK, left), position);
      if (count === 0) break;
      hash.update(buffer.subarray(0, count));
      position += count;
      left -= count;
    }
  } finally {
    closeSync(fd);
  }
  return `sha256:${hash.digest('hex')}`;
}
