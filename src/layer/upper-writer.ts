/**
 * Entries of a layer made as files below an empty directory, in overlay form. The directory belongs to nobody else
 * meanwhile, so what is in it is known without asking the file system.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import { toFsPath, toText } from '../system/byte-path.ts';
import { makeNode } from '../system/file-calls.ts';
import { setXattr } from '../system/xattrs.ts';
import type { TocEntry } from './entry.ts';
import { SparseFile } from './sparse-file.ts';

/** What a layer's tar left to the layers below. */
export interface Incomplete {
  readonly directories: readonly string[];
  readonly links: readonly TocEntry[];
}

/** What is at a path of the directory. */
type Made = 'directory' | 'whiteout' | 'file';

const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;
const S_ISGID = 0o2000;

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

export class UpperWriter {
  /** Device nodes that this user may not make. */
  readonly skippedDevices: string[] = [];
  readonly #root: string;
  readonly #umask = process.umask();
  readonly #uid = process.geteuid?.() ?? 0;
  /** Group of new files; -1 when it is not the process's, because the directory hands its own on. */
  readonly #gid: number;
  readonly #made = new Map<string, Made>([['', 'directory']]);
  /** Directories with an entry. Attributes come last: setgid and default ACLs would pass to what is made inside. */
  readonly #directories = new Map<string, TocEntry>();
  readonly #implicit = new Set<string>();
  readonly #deleted = new Set<string>();
  readonly #links: TocEntry[] = [];
  #file: { readonly entry: TocEntry; readonly fd: number; readonly content: SparseFile } | undefined;

  /** `root`: byte path of an existing, empty directory. */
  constructor(root: string) {
    this.#root = root;
    const { mode, gid } = statSync(toFsPath(root));
    const own = process.getegid?.() ?? 0;
    this.#gid = (mode & S_ISGID) !== 0 && gid !== own ? -1 : own;
  }

  /** Makes an entry; the bytes of a file follow by `data`, then `end`. */
  begin(entry: TocEntry): void {
    const { path, type } = entry;
    if (type === 'opaque') this.#opaque(path);
    else if (type === 'directory') this.#directory(entry);
    else if (path === '') throw new BuildError('LAYER_UNSAFE_PATH', 'the archive replaces its own root');
    else if (type === 'whiteout') this.#whiteout(path);
    else if (type === 'hardlink') this.#hardLink(entry);
    else {
      this.#clear(path);
      if (type === 'file') this.#open(entry);
      else if (type === 'symlink') this.#symlink(entry);
      else this.#node(entry);
    }
  }

  /** Bytes of the file that was begun. */
  data(chunk: Buffer): void {
    this.#file?.content.write(chunk);
  }

  /** The entry's bytes are complete. */
  end(): void {
    if (this.#file === undefined) return;
    const { entry, fd, content } = this.#file;
    content.end();
    if (this.#foreign(entry)) this.#chown(entry, () => fchownSync(fd, entry.uid, entry.gid));
    // A change of owner takes setuid away, so the mode comes after it.
    if ((entry.mode & (this.#umask | 0o7000)) !== 0) fchmodSync(fd, entry.mode);
    this.#xattrs(entry);
    futimesSync(fd, entry.mtime, entry.mtime);
    this.#file = undefined;
    closeSync(fd);
  }

  /** Gives directories their attributes; nothing may follow. */
  finish(): void {
    for (const entry of this.#directories.values()) {
      const host = this.#host(entry.path);
      if (entry.path === '' || this.#foreign(entry)) {
        this.#chown(entry, () => lchownSync(host, entry.uid, entry.gid));
      }
      const special = (entry.mode & (this.#umask | 0o7000)) !== 0;
      if (entry.path === '' || special || this.#gid < 0) chmodSync(host, entry.mode);
      this.#xattrs(entry);
    }
    // Times after everything: making a file in a directory is a change of the directory.
    for (const { path, mtime } of this.#directories.values()) utimesSync(this.#host(path), mtime, mtime);
    for (const path of this.#implicit) utimesSync(this.#host(path), 0, 0);
  }

  /** Closes what is open, for a layer that failed. */
  abandon(): void {
    if (this.#file !== undefined) closeSync(this.#file.fd);
    this.#file = undefined;
  }

  /** What has to be looked up in the layers below. */
  incomplete(): Incomplete {
    return { directories: [...this.#implicit], links: this.#links };
  }

  #host(path: string): string | Buffer {
    return toFsPath(this.#bytes(path));
  }

  #bytes(path: string): string {
    return path === '' ? this.#root : `${this.#root}/${path}`;
  }

  /** True for an owner that a new file does not have by itself. */
  #foreign({ uid, gid }: TocEntry): boolean {
    return uid !== this.#uid || gid !== this.#gid;
  }

  #open(entry: TocEntry): void {
    const fd = openSync(this.#host(entry.path), CREATE, entry.mode & 0o777);
    this.#made.set(entry.path, 'file');
    this.#file = { entry, fd, content: new SparseFile(fd) };
  }

  #symlink(entry: TocEntry): void {
    const host = this.#host(entry.path);
    symlinkSync(toFsPath(entry.linkTarget ?? ''), host);
    this.#made.set(entry.path, 'file');
    if (this.#foreign(entry)) this.#chown(entry, () => lchownSync(host, entry.uid, entry.gid));
    this.#xattrs(entry);
    lutimesSync(host, entry.mtime, entry.mtime);
  }

  #node(entry: TocEntry): void {
    const { path, type, mode, devMajor = 0, devMinor = 0 } = entry;
    const kind = type === 'fifo' ? S_IFIFO : type === 'char' ? S_IFCHR : S_IFBLK;
    // Character device 0:0 is overlayfs's whiteout: a tar must not delete by way of it.
    if (kind === S_IFCHR && devMajor === 0 && devMinor === 0) return void this.skippedDevices.push(path);
    try {
      makeNode(this.#bytes(path), kind | (mode & 0o777), devMajor, devMinor);
    } catch (error) {
      if (type === 'fifo' || systemErrorCode(error) !== 'EPERM') throw error;
      this.skippedDevices.push(path);
      return;
    }
    this.#made.set(path, 'file');
    const host = this.#host(path);
    if (this.#foreign(entry)) this.#chown(entry, () => lchownSync(host, entry.uid, entry.gid));
    if ((mode & (this.#umask | 0o7000)) !== 0) chmodSync(host, mode);
    this.#xattrs(entry);
    lutimesSync(host, entry.mtime, entry.mtime);
  }

  /** A link to a path that this layer has not made is one into the layers below. */
  #hardLink(entry: TocEntry): void {
    const target = entry.linkTarget ?? '';
    if (target === entry.path) {
      throw new BuildError('LAYER_UNSAFE_PATH', `/${toText(target)} is a hard link to itself`, {
        suggestions: ['The archive is hostile or broken: do not use it.'],
      });
    }
    this.#clear(entry.path);
    if (this.#made.get(target) !== 'file') {
      this.#links.push(entry);
      return;
    }
    linkSync(this.#host(target), this.#host(entry.path));
    this.#made.set(entry.path, 'file');
  }

  #directory(entry: TocEntry): void {
    const { path } = entry;
    if (this.#made.get(path) !== 'directory') {
      this.#clear(path);
      this.#makeDirectory(path, entry.mode & 0o777);
    } else if (path !== '' && (this.#implicit.has(path) || this.#directories.has(path))) {
      // Made before with other permissions; special bits have to wait.
      chmodSync(this.#host(path), entry.mode & 0o777);
    }
    this.#implicit.delete(path);
    this.#directories.set(path, entry);
  }

  #makeDirectory(path: string, mode: number): void {
    mkdirSync(this.#host(path), mode);
    this.#made.set(path, 'directory');
    // A directory in place of what a whiteout of this layer took away begins empty.
    if (this.#deleted.has(path)) this.#markOpaque(path);
  }

  /** A whiteout works on the layers below only: what this layer adds at its path stays. */
  #whiteout(path: string): void {
    this.#deleted.add(path);
    const made = this.#made.get(path);
    if (made === 'directory') this.#markOpaque(path);
    if (made !== undefined) return;
    this.#parents(path);
    makeNode(this.#bytes(path), S_IFCHR, 0, 0);
    this.#made.set(path, 'whiteout');
  }

  #opaque(path: string): void {
    if (this.#made.get(path) !== 'directory') {
      this.#clear(path);
      this.#makeDirectory(path, 0o755);
      this.#implicit.add(path);
    }
    this.#markOpaque(path);
  }

  #markOpaque(path: string): void {
    setXattr(this.#bytes(path), 'user.overlay.opaque', 'y');
  }

  /** Makes the parents that the tar does not have; a file in their place gives way. */
  #parents(path: string): void {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    if (this.#made.get(parent) === 'directory') return;
    this.#clear(parent);
    this.#makeDirectory(parent, 0o755);
    this.#implicit.add(parent);
  }

  /** Makes sure a path has its parents and nothing else is there. */
  #clear(path: string): void {
    const made = this.#made.get(path);
    if (made === undefined) {
      this.#parents(path);
      return;
    }
    rmSync(this.#host(path), { recursive: true });
    for (const known of made === 'directory' ? [...this.#made.keys()] : [path]) {
      if (known !== path && !known.startsWith(`${path}/`)) continue;
      this.#made.delete(known);
      this.#directories.delete(known);
      this.#implicit.delete(known);
    }
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

  #xattrs({ path, xattrs }: TocEntry): void {
    if (xattrs === undefined) return;
    for (const [name, value] of Object.entries(xattrs)) {
      try {
        setXattr(this.#bytes(path), name, value);
      } catch (error) {
        const code = systemErrorCode(error);
        // Labels of the machine that made the image, and attributes this filesystem has no room for.
        if (name !== 'security.capability' && (code === 'EPERM' || code === 'EOPNOTSUPP')) continue;
        throw new BuildError('LAYER_XATTR', `cannot set ${name} on /${toText(path)}: ${messageOf(error)}`, {
          suggestions: [
            'Put the store (KILN_HOME) on a filesystem with extended attributes, such as ext4 or xfs.',
          ],
          cause: error,
        });
      }
    }
  }
}
