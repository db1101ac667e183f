/**
 * A directory of this machine as a file tree: the build context, seen through its ignore patterns. Every file belongs
 * to root there, as the builder's user must not show in an image.
 */
import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import type { IgnoreMatcher, IgnoreState } from '../dockerfile/ignore.ts';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import type { Digest } from '../image/descriptor.ts';
import type { Entry, EntryType } from '../layer/entry.ts';
import type { FileContent, FileTree } from '../layer/file-tree.ts';
import { toFsPath, toText } from '../system/byte-path.ts';
import { getXattr, listXattrs } from '../system/xattrs.ts';
import {
  type DigestMemory,
  type FileIdentity,
  type RememberedFile,
  timeUntilClean,
} from './digest-memory.ts';
import { hashFile, hashLargeFile } from './hash-file.ts';

/** A directory's names; with a filter, those it keeps as a set as well. */
interface Listing {
  readonly names: readonly string[];
  readonly kept: ReadonlySet<string> | undefined;
}

const SLEEP = new Int32Array(new SharedArrayBuffer(4));

interface Node {
  readonly entry: Entry;
  readonly identity: FileIdentity;
  /** Same for all names of one file; undefined for a file with one name. */
  readonly link: string | undefined;
  /** Digest and attributes, once they are known. */
  known: RememberedFile | undefined;
  /** Attributes that were read before the digest was. */
  xattrs?: string;
}

export interface DirectoryTreeOptions {
  /** Which paths of the tree are not part of the context. Paths are text, relative to the root. */
  readonly filter?: IgnoreMatcher | undefined;
  readonly memory?: DigestMemory | undefined;
  readonly clock: () => number;
}

/** Attributes of the host that say nothing about the file. */
const HOST_XATTRS =
  /^(?:security\.(?:selinux|ima|evm)|system\.|trusted\.|user\.overlay\.|user\.fuseoverlayfs\.)/;

export class DirectoryTree implements FileTree {
  /** A clone's own times say when it was cloned. */
  readonly origin = 'build';
  readonly #root: string;
  readonly #options: DirectoryTreeOptions;
  /** Null for what is not there. */
  readonly #nodes = new Map<string, Node | null>();
  readonly #lists = new Map<string, Listing>();
  /** What the filter's rules say of directories, for what is in them. */
  readonly #states = new Map<string, IgnoreState>();

  /** `root` is an absolute byte string. */
  constructor(root: string, options: DirectoryTreeOptions) {
    this.#root = root === '/' ? '' : root;
    this.#options = options;
  }

  lstat(path: string): Entry | undefined {
    return this.#isVisible(path) ? this.#node(path)?.entry : undefined;
  }

  withXattrs(entry: Entry): Entry {
    if (entry.xattrs !== undefined) return entry;
    const xattrs = xattrsIn({ xattrs: this.#attributes(entry.path) });
    return xattrs === undefined ? entry : { ...entry, xattrs };
  }

  list(path: string): readonly string[] {
    const known = this.#lists.get(path);
    if (known !== undefined) return known.names;
    const all = this.#node(path)?.entry.type === 'directory' ? this.#read(path) : [];
    const { filter } = this.#options;
    const below = path === '' ? '' : `${path}/`;
    const names = filter === undefined ? all : all.filter((name) => this.#isKept(below + name, filter));
    this.#lists.set(path, { names, kept: filter === undefined ? undefined : new Set(names) });
    return names;
  }

  content(path: string): FileContent {
    const host = this.#host(path);
    const identity = this.#node(path)?.identity;
    if (identity === undefined) return { kind: 'file', path: host };
    return { kind: 'file', path: host, mtimeMs: identity.mtimeMs, ino: identity.ino };
  }

  digest(path: string): Digest {
    return this.#remembered(path).digest;
  }

  async learn(path: string, signal: AbortSignal): Promise<void> {
    const node = this.#node(path);
    if (node?.entry.type !== 'file' || node.known !== undefined) return;
    await setTimeout(this.#timeUntilClean(node));
    const now = this.#options.clock();
    const reading = hashLargeFile(this.#host(path), { identity: node.identity, signal });
    const digest = await reading.catch((error: unknown) => {
      throw signal.aborted ? error : unreadable(path, error);
    });
    node.known ??= this.#learned(path, node, { now, digest });
  }

  linkIdentity(path: string): string | undefined {
    return this.#node(path)?.link;
  }

  #host(path: string): string {
    return path === '' ? this.#root || '/' : `${this.#root}/${path}`;
  }

  #read(path: string): string[] {
    return readable(path, () => readdirSync(toFsPath(this.#host(path)), { encoding: 'latin1' }).sort());
  }

  #node(path: string): Node | undefined {
    const known = this.#nodes.get(path);
    if (known !== undefined) return known ?? undefined;
    const host = this.#host(path);
    let node: Node | null = null;
    try {
      const stats = lstatSync(toFsPath(host), { throwIfNoEntry: false });
      if (stats !== undefined) node = this.#makeNode(path, stats);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOTDIR') throw unreadable(path, error);
    }
    this.#nodes.set(path, node);
    return node ?? undefined;
  }

  #makeNode(path: string, stats: Stats): Node {
    const { size, mtimeMs, ctimeMs, ino } = stats;
    const identity = { size, mtimeMs, ctimeMs, ino };
    const known = this.#options.memory?.get(path, identity);
    return {
      entry: this.#entry(path, { stats, known }),
      identity,
      link: stats.nlink < 2 || stats.isDirectory() ? undefined : `${stats.dev}:${ino}`,
      known,
    };
  }

  #entry(path: string, { stats, known }: { stats: Stats; known: RememberedFile | undefined }): Entry {
    const type = typeOf(stats, path);
    const entry: Entry = {
      path,
      type,
      mode: stats.mode & 0o7777,
      uid: 0,
      gid: 0,
      mtime: Math.floor(stats.mtimeMs / 1000),
      size: type === 'file' ? stats.size : 0,
      xattrs: known === undefined || known.xattrs === '' ? undefined : xattrsIn(known),
    };
    if (type === 'symlink') {
      const linkTarget = readlinkSync(toFsPath(this.#host(path)), { encoding: 'latin1' });
      return { ...entry, linkTarget };
    }
    if (type === 'char' || type === 'block') {
      return { ...entry, ...deviceNumbers(stats.rdev) };
    }
    return entry;
  }

  #attributes(path: string): string {
    const node = this.#node(path);
    if (node === undefined) return '';
    node.xattrs ??= node.known?.xattrs ?? xattrsOf(this.#host(path));
    return node.xattrs;
  }

  #isVisible(path: string): boolean {
    const { filter } = this.#options;
    if (filter === undefined || path === '') return true;
    const parent = parentOf(path);
    const kept = this.#lists.get(parent)?.kept;
    if (kept === undefined) return this.#isKept(path, filter);
    return kept.has(parent === '' ? path : path.slice(parent.length + 1));
  }

  /** Not excluded, or a directory that leads to something that is not. */
  #isKept(path: string, filter: IgnoreMatcher): boolean {
    const text = toText(path);
    if (!filter.excludesChild(this.#stateOf(parentOf(path), filter), text)) return true;
    if (!filter.canContainException(text) || this.#node(path)?.entry.type !== 'directory') return false;
    return this.list(path).length > 0;
  }

  #stateOf(directory: string, filter: IgnoreMatcher): IgnoreState | undefined {
    if (directory === '') return undefined;
    let state = this.#states.get(directory);
    if (state === undefined) {
      ({ state } = filter.descend(this.#stateOf(parentOf(directory), filter), toText(directory)));
      this.#states.set(directory, state);
    }
    return state;
  }

  #remembered(path: string): RememberedFile {
    const node = this.#node(path);
    if (node === undefined) {
      throw new BuildError('CONTEXT_FILE_VANISHED', `${toText(path)} vanished from the build context`);
    }
    node.known ??= this.#examine(path, node);
    return node.known;
  }

  /** Reads a file that is not remembered. Throws COPY_FILE_CHANGED when it is not the one that was looked at. */
  #examine(path: string, node: Node): RememberedFile {
    const wait = this.#timeUntilClean(node);
    if (wait > 0) Atomics.wait(SLEEP, 0, 0, wait);
    const now = this.#options.clock();
    const host = this.#host(path);
    return this.#learned(path, node, {
      now,
      digest: node.entry.type === 'file' ? readable(path, () => hashFile(host, node.identity)) : NO_DIGEST,
    });
  }

  /** One more change in the clock tick of the last would leave no trace, so that tick has to be over first. */
  #timeUntilClean({ identity }: Node): number {
    const { memory, clock } = this.#options;
    return memory === undefined ? 0 : timeUntilClean(identity, clock());
  }

  /** What is known of a file that was read; no digest when it was another one. */
  #learned(
    path: string,
    { identity, xattrs: seen }: Node,
    { now, digest }: { readonly now: number; readonly digest: Digest | undefined },
  ): RememberedFile {
    if (digest === undefined) throw changed(path);
    const file = { digest, xattrs: xattrsOf(this.#host(path)) };
    // Read once more: what was read before may be of a tick in which a change left no trace.
    if (seen !== undefined && seen !== file.xattrs) throw changed(path);
    this.#options.memory?.set(path, identity, { now, file });
    return file;
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function xattrsIn({ xattrs }: Pick<RememberedFile, 'xattrs'>): Entry['xattrs'] {
  return xattrs === '' ? undefined : (JSON.parse(xattrs) as Record<string, string>);
}

/** Major and minor number as glibc packs them in the low 32 bits. */
function deviceNumbers(rdev: number): { devMajor: number; devMinor: number } {
  return { devMajor: (rdev >> 8) & 0xfff, devMinor: (rdev & 0xff) | ((rdev >> 12) & 0xfff00) };
}

function typeOf(stats: Stats, path: string): EntryType {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isFIFO()) return 'fifo';
  if (stats.isCharacterDevice()) return 'char';
  if (stats.isBlockDevice()) return 'block';
  throw new BuildError('CONTEXT_SOCKET', `${toText(path)} in the build context is a socket`, {
    suggestions: ['A socket cannot be copied: remove it, or name it in .dockerignore.'],
  });
}

/** Stands where a digest would, for what has no bytes. */
const NO_DIGEST: Digest = `sha256:${'0'.repeat(64)}`;

function changed(path: string): BuildError {
  return new BuildError('COPY_FILE_CHANGED', `${toText(path)} changed while it was being read`, {
    suggestions: ['Do not change files during a build; run the build again.'],
  });
}

function xattrsOf(host: string): string {
  const names = listXattrs(host).filter((name) => !HOST_XATTRS.test(name));
  if (names.length === 0) return '';
  return JSON.stringify(Object.fromEntries(names.sort().map((name) => [name, getXattr(host, name) ?? ''])));
}

function readable<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): unknown {
  if (error instanceof BuildError) return error;
  const code = systemErrorCode(error);
  const shown = toText(path) || '.';
  if (code === 'EACCES' || code === 'EPERM') {
    return new BuildError('CONTEXT_NO_ACCESS', `no permission to read ${shown} in the build context`, {
      suggestions: [`Make it readable, or name it in .dockerignore: ${shown}`],
      cause: error,
    });
  }
  if (code === 'ENOENT') {
    return new BuildError(
      'CONTEXT_FILE_VANISHED',
      `${shown} vanished from the build context while it was read`,
      {
        suggestions: ['Do not change the context during a build; run the build again.'],
        cause: error,
      },
    );
  }
  return new BuildError(
    'CONTEXT_UNREADABLE',
    `cannot read ${shown} in the build context: ${messageOf(error)}`,
    {
      cause: error,
    },
  );
}
