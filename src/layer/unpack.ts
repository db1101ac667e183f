/**
 * A layer blob into a directory in overlay form: whiteouts become character devices 0:0, opaque directories an xattr.
 * Nothing is ever written through a symlink or outside the directory, whatever the tar says.
 */
import {
  chmodSync,
  closeSync,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  futimesSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import { toFsPath, toText } from '../system/byte-path.ts';
import { diskError } from '../system/files.ts';
import { makeNode, setXattr } from '../system/libc.ts';
import type { TocEntry } from './entry.ts';
import { isWhiteout, lstatPath } from './host-entry.ts';
import { layerEntry } from './layer-entry.ts';
import { type LayerBlob, readLayerBlob } from './read-blob.ts';
import { resolvePath } from './resolve-path.ts';
import { type TarMember, TarReader } from './tar-reader.ts';
import { saveToc } from './toc-file.ts';

export interface UnpackRequest extends LayerBlob {
  /** Existing, empty directory (absolute). */
  readonly directory: string;
  /** File to write the table of contents to. */
  readonly toc: string;
}

export interface UnpackResult {
  /** Directories the tar needed but did not have, and links into lower layers: look them up there (`completeLayer`). */
  readonly incomplete: Incomplete;
  /** Device nodes that this user may not make; they stay in the table of contents. */
  readonly skippedDevices: readonly string[];
}

export interface Incomplete {
  readonly directories: readonly string[];
  readonly links: readonly TocEntry[];
}

const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;

/** Unpacks and checks the DiffID. On any failure the directory is emptied and the error thrown. */
export async function unpackLayer(request: UnpackRequest): Promise<UnpackResult> {
  const unpacker = new Unpacker(request.directory);
  const entries: TocEntry[] = [];
  let size = 0;
  const reader = new TarReader({
    member: (member) => {
      const entry = unpacker.member(member);
      if (entry !== undefined) entries.push(entry);
    },
    data: (chunk) => unpacker.data(chunk),
    end: () => unpacker.end(),
  });
  try {
    await readLayerBlob(request, (chunk) => {
      size += chunk.length;
      reader.write(chunk);
    });
    reader.finish();
    unpacker.finish();
  } catch (error) {
    unpacker.abandon();
    rmSync(request.directory, { recursive: true, force: true });
    throw diskError(error, request.directory);
  }
  saveToc(request.toc, { diffId: request.diffId, tarSize: size, entries });
  return unpacker.result();
}

/** Applies one layer's members to a directory. */
class Unpacker {
  readonly #root: string;
  readonly #umask = process.umask();
  readonly #own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  /** Directories known to be real ones of this layer. */
  readonly #real = new Set<string>(['']);
  readonly #implicit = new Set<string>();
  readonly #whiteouts = new Set<string>();
  readonly #links: TocEntry[] = [];
  readonly #skipped: string[] = [];
  readonly #directoryTimes = new Map<string, number>();
  #fd = -1;
  #current: TocEntry | undefined;
  #written = 0;

  constructor(root: string) {
    this.#root = root;
  }

  member(member: TarMember): TocEntry | undefined {
    const read = layerEntry(member);
    this.#current = read;
    if (read === undefined) return undefined;
    const entry = { ...read, path: this.#place(read) };
    this.#current = entry;
    this.#make(entry);
    return entry;
  }

  data(chunk: Buffer): void {
    if (this.#fd < 0) return;
    // Long runs of zeros become holes again.
    if (chunk.length >= 4096 && isZero(chunk)) {
      this.#written += chunk.length;
      return;
    }
    for (let at = 0; at < chunk.length; ) {
      const count = writeSync(this.#fd, chunk, at, chunk.length - at, this.#written);
      at += count;
      this.#written += count;
    }
  }

  end(): void {
    const entry = this.#current;
    if (this.#fd < 0 || entry === undefined) return;
    const fd = this.#fd;
    this.#fd = -1;
    try {
      if (entry.size > 0) ftruncateSync(fd, entry.size);
      if (entry.uid !== this.#own.uid || entry.gid !== this.#own.gid)
        this.#chown(entry, () => fchownSync(fd, entry.uid, entry.gid));
      if ((entry.mode & this.#umask) !== 0 || (entry.mode & 0o7000) !== 0) fchmodSync(fd, entry.mode);
      if (entry.xattrs !== undefined) this.#xattrs(entry);
      futimesSync(fd, entry.mtime, entry.mtime);
    } finally {
      closeSync(fd);
    }
  }

  finish(): void {
    for (const [path, mtime] of this.#directoryTimes) {
      utimesSync(this.#host(path), mtime, mtime);
    }
  }

  abandon(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  result(): UnpackResult {
    return {
      incomplete: { directories: [...this.#implicit], links: this.#links },
      skippedDevices: this.#skipped,
    };
  }

  #host(path: string): string | Buffer {
    return toFsPath(path === '' ? this.#root : `${this.#root}/${path}`);
  }

  #stat(path: string): ReturnType<typeof lstatPath> {
    return lstatPath(path === '' ? this.#root : `${this.#root}/${path}`);
  }

  /** The path with its parents made real: a symlink of this layer on the way is followed inside the root. */
  #place(entry: TocEntry): string {
    if (entry.type === 'opaque') return this.#directoryPath(entry.path);
    const slash = entry.path.lastIndexOf('/');
    if (slash < 0) return entry.path;
    const parent = this.#directoryPath(entry.path.slice(0, slash));
    return parent === '' ? entry.path.slice(slash + 1) : `${parent}/${entry.path.slice(slash + 1)}`;
  }

  #directoryPath(path: string): string {
    if (this.#real.has(path)) return path;
    const resolved = resolvePath(
      {
        lstat: (candidate) => {
          const stats = this.#real.has(candidate) ? undefined : this.#stat(candidate);
          return stats?.isSymbolicLink() === true ? this.#link(candidate) : undefined;
        },
        list: () => [],
        content: () => ({ kind: 'bytes', bytes: Buffer.alloc(0) }),
        digest: () => `sha256:`,
      },
      path,
      { followLast: true },
    );
    let made = '';
    for (const part of resolved.split('/')) {
      if (part === '') continue;
      made = made === '' ? part : `${made}/${part}`;
      if (!this.#real.has(made)) this.#ensure(made);
    }
    return resolved;
  }

  #link(path: string): TocEntry {
    const linkTarget = readlinkSync(this.#host(path), { encoding: 'latin1' });
    return { path, type: 'symlink', mode: 0o777, uid: 0, gid: 0, mtime: 0, size: 0, linkTarget };
  }

  #ensure(path: string): void {
    const stats = this.#stat(path);
    if (stats?.isDirectory() !== true) {
      if (stats !== undefined) rmSync(this.#host(path));
      mkdirSync(this.#host(path), 0o755);
      if (this.#whiteouts.has(path)) setXattr(`${this.#root}/${path}`, 'user.overlay.opaque', 'y');
      this.#implicit.add(path);
    }
    this.#real.add(path);
  }

  #make(entry: TocEntry): void {
    switch (entry.type) {
      case 'directory':
        return this.#directory(entry);
      case 'file':
        this.#clear(entry.path);
        this.#fd = openSync(this.#host(entry.path), 'wx', entry.mode & 0o777);
        this.#written = 0;
        if (entry.size === 0) this.end();
        return;
      case 'symlink':
        this.#clear(entry.path);
        symlinkSync(toFsPath(entry.linkTarget ?? ''), this.#host(entry.path));
        return this.#attributes(entry);
      case 'hardlink':
        return this.#hardLink(entry);
      case 'char':
      case 'block':
      case 'fifo':
        return this.#node(entry);
      case 'whiteout':
        return this.#whiteout(entry);
      case 'opaque':
        setXattr(entry.path === '' ? this.#root : `${this.#root}/${entry.path}`, 'user.overlay.opaque', 'y');
    }
  }

  #directory(entry: TocEntry): void {
    const { path } = entry;
    const stats = this.#stat(path);
    if (stats?.isDirectory() !== true) {
      if (stats !== undefined) this.#clear(path);
      mkdirSync(this.#host(path), entry.mode & 0o777);
      // A directory in place of what a whiteout of this layer took away begins empty.
      if (this.#whiteouts.has(path)) setXattr(`${this.#root}/${path}`, 'user.overlay.opaque', 'y');
    }
    this.#real.add(path);
    this.#implicit.delete(path);
    if (entry.uid !== this.#own.uid || entry.gid !== this.#own.gid || stats !== undefined) {
      this.#chown(entry, () => lchownSync(this.#host(path), entry.uid, entry.gid));
    }
    chmodSync(this.#host(path), entry.mode);
    if (entry.xattrs !== undefined) this.#xattrs(entry);
    this.#directoryTimes.set(path, entry.mtime);
  }

  #hardLink(entry: TocEntry): void {
    const target = entry.linkTarget ?? '';
    const slash = target.lastIndexOf('/');
    const parent = slash < 0 ? '' : target.slice(0, slash);
    const resolved = this.#real.has(parent) ? target : undefined;
    const stats = resolved === undefined ? undefined : this.#stat(resolved);
    this.#clear(entry.path);
    if (resolved === undefined || stats === undefined || isWhiteout(stats) || stats.isDirectory()) {
      this.#links.push(entry);
      return;
    }
    linkSync(this.#host(resolved), this.#host(entry.path));
  }

  #node(entry: TocEntry): void {
    this.#clear(entry.path);
    const kind = entry.type === 'fifo' ? S_IFIFO : entry.type === 'char' ? S_IFCHR : S_IFBLK;
    try {
      makeNode(
        `${this.#root}/${entry.path}`,
        kind | (entry.mode & 0o777),
        entry.devMajor ?? 0,
        entry.devMinor ?? 0,
      );
    } catch (error) {
      if (entry.type === 'fifo' || systemErrorCode(error) !== 'EPERM') throw error;
      this.#skipped.push(entry.path);
      return;
    }
    this.#attributes(entry);
    chmodSync(this.#host(entry.path), entry.mode);
  }

  #whiteout(entry: TocEntry): void {
    this.#whiteouts.add(entry.path);
    const stats = this.#stat(entry.path);
    // What this layer adds wins over what it deletes from below.
    if (stats !== undefined) {
      if (stats.isDirectory()) setXattr(`${this.#root}/${entry.path}`, 'user.overlay.opaque', 'y');
      return;
    }
    makeNode(`${this.#root}/${entry.path}`, S_IFCHR, 0, 0);
  }

  #attributes(entry: TocEntry): void {
    const host = this.#host(entry.path);
    this.#chown(entry, () => lchownSync(host, entry.uid, entry.gid));
    if (entry.xattrs !== undefined) this.#xattrs(entry);
    lutimesSync(host, entry.mtime, entry.mtime);
  }

  #chown(entry: TocEntry, call: () => void): void {
    try {
      call();
    } catch (error) {
      if (systemErrorCode(error) !== 'EINVAL') throw error;
      throw new BuildError(
        'LAYER_OWNER_UNMAPPED',
        `/${toText(entry.path)} belongs to ${entry.uid}:${entry.gid}, which is outside the subordinate IDs of this user`,
        {
          suggestions: [
            'Give the user a larger range: usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST NAME',
          ],
          cause: error,
        },
      );
    }
  }

  #xattrs(entry: TocEntry): void {
    const host = entry.path === '' ? this.#root : `${this.#root}/${entry.path}`;
    for (const [name, value] of Object.entries(entry.xattrs ?? {})) {
      try {
        setXattr(host, name, value);
      } catch (error) {
        const code = systemErrorCode(error);
        // Labels of the machine that made the image, and attributes this filesystem has no room for.
        if (name.startsWith('security.capability') || (code !== 'EPERM' && code !== 'EOPNOTSUPP')) {
          throw new BuildError(
            'LAYER_XATTR',
            `cannot set ${name} on /${toText(entry.path)}: ${messageOf(error)}`,
            {
              suggestions: [
                'Put the store (KILN_HOME) on a filesystem with extended attributes, such as ext4 or xfs.',
              ],
              cause: error,
            },
          );
        }
      }
    }
  }

  /** Removes what an earlier member of this layer left at a path. */
  #clear(path: string): void {
    if (path === '') throw new BuildError('LAYER_UNSAFE_PATH', 'the archive replaces its own root');
    const stats = this.#stat(path);
    if (stats === undefined) return;
    rmSync(this.#host(path), { recursive: true });
    for (const known of this.#real) {
      if (known !== path && !known.startsWith(`${path}/`)) continue;
      this.#real.delete(known);
      this.#directoryTimes.delete(known);
      this.#implicit.delete(known);
    }
  }
}

const ZEROS = Buffer.alloc(64 << 10);

function isZero(chunk: Buffer): boolean {
  if (chunk.readUInt32LE(0) !== 0) return false;
  for (let at = 0; at < chunk.length; at += ZEROS.length) {
    const part = chunk.subarray(at, at + ZEROS.length);
    if (part.compare(ZEROS, 0, part.length) !== 0) return false;
  }
  return true;
}
