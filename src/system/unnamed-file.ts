/** A file that has no name until it is given one, and of which nothing stays without (O_TMPFILE, open(2)). */
import { closeSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { systemErrorCode } from '../errors.ts';
import { toByteString } from './byte-path.ts';
import { linkDescriptor } from './file-calls.ts';

/** O_DIRECTORY and the flag itself; Node has no name for it. */
const O_TMPFILE = 0o20200000;
const O_RDWR = 2;

export class UnnamedFile {
  readonly fd: number;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** An empty one in a directory, with a mode less the umask. Undefined where that cannot hold such files. */
  static in(directory: string, mode: number): UnnamedFile | undefined {
    try {
      return new UnnamedFile(openSync(directory, O_TMPFILE | O_RDWR, mode));
    } catch {
      return undefined;
    }
  }

  /**
   * An empty one, readable by all, on the filesystem where a directory is, or will be made. Undefined where that cannot
   * hold such files.
   */
  static near(directory: string): UnnamedFile | undefined {
    for (let path = resolve(directory); ; path = dirname(path)) {
      try {
        return new UnnamedFile(openSync(path, O_TMPFILE | O_RDWR, 0o644));
      } catch (error) {
        if (systemErrorCode(error) !== 'ENOENT' || path === dirname(path)) return undefined;
      }
    }
  }

  /** Gives it a name, where there is nothing yet. False if that did not work, for whatever reason. */
  name(path: string): boolean {
    try {
      linkDescriptor(this.fd, toByteString(path));
      return true;
    } catch {
      return false;
    }
  }

  /** Without a name, this is its end. */
  close(): void {
    closeSync(this.fd);
  }
}
