/**
 * A directory of this machine as a file tree: the build context, seen through its ignore patterns. Every file belongs
 * to root there, as the builder's user must not show in an image.
 */
import { createHash } from 'node:crypto';
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats } from 'node:fs';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import type { Digest } from '../image/descriptor.ts';
import type { Entry, EntryType } from '../layer/entry.ts';
import type { FileContent, FileTree } from '../layer/file-tree.ts';
import { toFsPath, toText } from '../system/byte-path.ts';
import { getXattr, listXattrs } from '../system/libc.ts';
import type { DigestMemory, RememberedFile } from './digest-memory.ts';

/** Which paths of the tree are not part of the context. Paths are text, relative to the root. */
export interface PathFilter {
  /** True when the path itself is excluded. */
  excludes(path: string): boolean;
  /** True when something below an excluded directory may still be included. */
  canContainException(path: string): boolean;
}

interface Node {
  readonly entry: Entry;
  readonly stats: Stats;
}

export interface DirectoryTreeOptions {
  readonly filter?: PathFilter | undefined;
  readonly memory?: DigestMemory | undefined;
  readonly clock: () => number;
}

/** Attributes of the host that say nothing about the file. */
const HOST_XATTRS =
  /^(?:security\.(?:selinux|ima|evm)|system\.|trusted\.|user\.overlay\.|user\.fuseoverlayfs\.)/;

export class DirectoryTree implements FileTree {
  readonly #root: string;
  readonly #options: DirectoryTreeOptions;
  readonly #nodes = new Map<string, Node | undefined>();
  readonly #lists = new Map<string, readonly string[]>();

  /** `root` is an absolute byte string. */
  constructor(root: string, options: DirectoryTreeOptions) {
    this.#root = root === '/' ? '' : root;
    this.#options = options;
  }

  lstat(path: string): Entry | undefined {
    return this.#visible(path) ? this.#node(path)?.entry : undefined;
  }

  list(path: string): readonly string[] {
    const known = this.#lists.get(path);
    if (known !== undefined) return known;
    const names = this.#node(path)?.entry.type === 'directory' ? this.#read(path) : [];
    const visible = names.filter((name) => this.#visible(path === '' ? name : `${path}/${name}`));
    this.#lists.set(path, visible);
    return visible;
  }

  content(path: string): FileContent {
    return { kind: 'file', path: this.#host(path) };
  }

  digest(path: string): Digest {
    return this.#remembered(path).digest;
  }

  /** Same for all names of one file that has several; undefined for a file with one name. */
  linkIdentity(path: string): string | undefined {
    const stats = this.#node(path)?.stats;
    return stats === undefined || stats.nlink < 2 || stats.isDirectory()
      ? undefined
      : `${stats.dev}:${stats.ino}`;
  }

  #host(path: string): string {
    return path === '' ? this.#root || '/' : `${this.#root}/${path}`;
  }

  #read(path: string): string[] {
    try {
      return readdirSync(toFsPath(this.#host(path)), { encoding: 'latin1' }).sort();
    } catch (error) {
      throw unreadable(path, error);
    }
  }

  #node(path: string): Node | undefined {
    if (this.#nodes.has(path)) return this.#nodes.get(path);
    const host = this.#host(path);
    let node: Node | undefined;
    try {
      const stats = lstatSync(toFsPath(host), { throwIfNoEntry: false });
      node = stats === undefined ? undefined : { stats, entry: this.#entry(path, stats) };
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOTDIR') throw unreadable(path, error);
    }
    this.#nodes.set(path, node);
    return node;
  }

  #entry(path: string, stats: Stats): Entry {
    const type = typeOf(stats, path);
    const readXattrs = (): Entry['xattrs'] => this.#xattrs(path);
    return {
      path,
      type,
      mode: stats.mode & 0o7777,
      uid: 0,
      gid: 0,
      mtime: Math.floor(stats.mtimeMs / 1000),
      size: type === 'file' ? stats.size : 0,
      ...(type === 'symlink'
        ? { linkTarget: readlinkSync(toFsPath(this.#host(path)), { encoding: 'latin1' }) }
        : {}),
      ...(type === 'char' || type === 'block' ? deviceNumbers(stats.rdev) : {}),
      get xattrs() {
        return readXattrs();
      },
    };
  }

  /** Not excluded, or a directory that leads to something that is not. */
  #visible(path: string): boolean {
    const { filter } = this.#options;
    if (filter === undefined || path === '') return true;
    const text = toText(path);
    if (!filter.excludes(text)) return true;
    if (this.#node(path)?.entry.type !== 'directory' || !filter.canContainException(text)) return false;
    return this.list(path).length > 0;
  }

  /** Attributes are read when they are asked for: they cost a system call that most look-ups do not need. */
  #xattrs(path: string): Entry['xattrs'] {
    const json = this.#remembered(path).xattrs;
    return json === '' ? undefined : (JSON.parse(json) as Record<string, string>);
  }

  #remembered(path: string): RememberedFile {
    const node = this.#node(path);
    if (node === undefined) {
      throw new BuildError('CONTEXT_FILE_VANISHED', `${toText(path)} vanished from the build context`);
    }
    const { memory, clock } = this.#options;
    const known = memory?.get(path, node.stats);
    if (known !== undefined) return known;
    const now = clock();
    const host = this.#host(path);
    const digest = node.entry.type === 'file' ? hashFile(host, path) : NO_DIGEST;
    const file = { digest, xattrs: xattrsOf(host) };
    memory?.set(path, node.stats, { now, file });
    return file;
  }
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

const CHUNK = 1 << 20;
let buffer: Buffer | undefined;

function hashFile(host: string, path: string): Digest {
  buffer ??= Buffer.allocUnsafe(CHUNK);
  const hash = createHash('sha256');
  try {
    const fd = openSync(toFsPath(host), 'r');
    try {
      for (;;) {
        const count = readSync(fd, buffer, 0, CHUNK, null);
        if (count === 0) break;
        hash.update(buffer.subarray(0, count));
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw unreadable(path, error);
  }
  return `sha256:${hash.digest('hex')}`;
}

function xattrsOf(host: string): string {
  const names = listXattrs(host).filter((name) => !HOST_XATTRS.test(name));
  if (names.length === 0) return '';
  return JSON.stringify(Object.fromEntries(names.sort().map((name) => [name, getXattr(host, name) ?? ''])));
}

function unreadable(path: string, error: unknown): unknown {
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
