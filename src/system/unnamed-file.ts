/** A file that has no name until it is given one, and of which nothing stays without (O_TMPFILE, open(2)). */
import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { systemErrorCode } from '../errors.ts';
import { toByteString } from './byte-path.ts';
import { linkDescriptor } from './file-calls.ts';

/** Node has no name for the flag, which goes with that of directories. */
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

/** Set where names cannot be given: some security modules (AppArmor) refuse, and /proc may be missing. */
let isRefused = false;

export class UnnamedFile {
  readonly fd: number;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** An empty one in a directory, with a mode less the umask. Undefined where that cannot hold such files. */
  static in(directory: string, mode: number): UnnamedFile | undefined {
    if (isRefused) return undefined;
    try {
      return new UnnamedFile(openSync(directory, O_TMPFILE | constants.O_RDWR, mode));
    } catch {
      return undefined;
    }
  }

  /**
   * An empty one, readable by all, on the filesystem where a directory is, or will be made. Undefined where that cannot
   * hold such files.
   */
  static near(directory: string): UnnamedFile | undefined {
    let path = resolve(directory);
    while (!existsSync(path)) path = dirname(path);
    return UnnamedFile.in(path, 0o644);
  }

  /** Gives it a name, where there is nothing yet. False if that did not work, for whatever reason. */
  name(path: string): boolean {
    try {
      linkDescriptor(this.fd, toByteString(path));
      return true;
    } catch (error) {
      isRefused ||= !['EEXIST', 'EXDEV'].includes(systemErrorCode(error) ?? '');
      return false;
    }
  }

  /** Without a name, this is its end. */
  close(): void {
    closeSync(this.fd);
  }
}
