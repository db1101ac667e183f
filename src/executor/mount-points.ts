/**
 * Mount points in a root filesystem. What an image lacks (/proc, /etc/hosts, the target of a cache mount) is created
 * for the run and removed after it, parents' times restored, so that no layer shows it. Symlinks of the image are
 * followed inside the root only: `/etc -> /host` never leads to the host's files.
 */
import { chmodSync, lstatSync, mkdirSync, readlinkSync, rmdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { BuildError, systemErrorCode } from '../errors.ts';
import { toByteString, toFsPath, toText } from '../system/byte-path.ts';
import { setTimes } from '../system/file-calls.ts';

type Kind = 'directory' | 'file';

interface Created {
  readonly path: string;
  readonly parent: string;
  readonly kind: Kind;
  readonly before: Times;
  /** The parent's mtime right after: any other value later means that the step changed the directory too. */
  readonly after: bigint;
}

interface Times {
  readonly accessed: bigint;
  readonly modified: bigint;
}

/** As many as the kernel follows. */
const MAX_SYMLINKS = 40;

/** The mount points of one run. Paths inside are byte strings. */
export class MountPoints {
  readonly #root: string;
  readonly #created: Created[] = [];
  readonly #made: string[] = [];

  constructor(rootfs: string) {
    this.#root = toByteString(rootfs);
  }

  /** Resolves an absolute path of the image, creating what is missing. Returns the path inside, free of symlinks. */
  make(destination: string, kind: Kind): string {
    const resolved = this.#resolve(destination, kind);
    this.#made.push(resolved);
    return toText(resolved);
  }

  #resolve(destination: string, kind: Kind): string {
    const pending = splitPath(toByteString(destination));
    let current: string[] = [];
    let symlinks = 0;
    for (;;) {
      const part = pending.shift();
      const here = `/${current.join('/')}`;
      if (part === undefined) return here;
      // Below another mount of this run: the runtime makes the rest in there.
      if (this.#made.includes(here) && here !== '/') return [here, part, ...pending].join('/');
      if (part === '..') {
        current.pop();
        continue;
      }
      const path = `${here === '/' ? '' : here}/${part}`;
      const last = pending.length === 0;
      const found = this.#inspect(path);
      if (found === 'symlink') {
        symlinks += 1;
        if (symlinks > MAX_SYMLINKS) throw cannotMount(destination, 'it has too many symbolic links');
        const target = readlinkSync(this.#host(path), 'latin1');
        if (target.startsWith('/')) current = [];
        pending.unshift(...splitPath(target));
        continue;
      }
      if (found === undefined) this.#create(path, last ? kind : 'directory');
      else if (found !== (last ? kind : 'directory')) {
        throw cannotMount(destination, `${toText(path)} in the image is a ${found}`);
      }
      current.push(part);
    }
  }

  #host(path: string): string | Buffer {
    return toFsPath(this.#root + path);
  }

  #inspect(path: string): Kind | 'symlink' | undefined {
    const stat = lstatSync(this.#host(path), { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    if (stat.isSymbolicLink()) return 'symlink';
    return stat.isDirectory() ? 'directory' : 'file';
  }

  #times(path: string): Times {
    const stat = lstatSync(this.#host(path), { bigint: true });
    return { accessed: stat.atimeNs, modified: stat.mtimeNs };
  }

  #create(path: string, kind: Kind): void {
    const parent = path.slice(0, path.lastIndexOf('/')) || '/';
    const before = this.#times(parent);
    if (kind === 'directory') mkdirSync(this.#host(path));
    else writeFileSync(this.#host(path), '', { flag: 'wx' });
    // The umask of whoever called kiln must not decide who may enter.
    chmodSync(this.#host(path), kind === 'directory' ? 0o755 : 0o644);
    this.#created.push({ path, parent, kind, before, after: this.#times(parent).modified });
  }

  /** Removes what `make` created, unless the step put something there. */
  restore(): void {
    for (const created of this.#created.splice(0).reverse()) {
      const now = this.#times(created.parent);
      if (!this.#remove(created)) continue;
      const modified = now.modified === created.after ? created.before.modified : now.modified;
      setTimes(this.#root + created.parent, created.before.accessed, modified);
    }
  }

  #remove({ path, kind }: Created): boolean {
    try {
      if (kind === 'directory') rmdirSync(this.#host(path));
      else if (lstatSync(this.#host(path)).size === 0) unlinkSync(this.#host(path));
      else return false;
      return true;
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOENT' || code === 'ENOTDIR') return false;
      throw error;
    }
  }
}

function splitPath(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function cannotMount(destination: string, why: string): BuildError {
  return new BuildError('RUN_MOUNT_FAILED', `Nothing can be mounted at ${destination}: ${why}.`, {
    suggestions: ['Choose another target, or remove what is in the way in the image.'],
  });
}
