/**
 * Digests of files that were read before, remembered by size, mtime, ctime and inode, so that an unchanged file costs
 * one lstat. A change of content, mode, owner or attributes moves ctime; a file that changed within the clock's grain
 * of the moment it was read is never remembered.
 */

import { type Digest, isDigest } from '../image/descriptor.ts';
import { readTextIfExists, writeFileAtomic } from '../system/files.ts';

/** What tells a file's state, as lstat gives it. Times in milliseconds with a fraction. */
export interface FileIdentity {
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly ino: number;
}

/** What is remembered of a file. */
export interface RememberedFile {
  readonly digest: Digest;
  /** Extended attributes, JSON; empty when there are none. */
  readonly xattrs: string;
}

const FORMAT = 'kiln-digests-1';

/** Clock grain of ordinary file systems is at most 10 ms; of those with whole seconds only (NFS servers, FAT) 2 s. */
const FINE_GRAIN_MS = 50;
const COARSE_GRAIN_MS = 2_000;

export class DigestMemory {
  readonly #path: string;
  readonly #temporary: string;
  readonly #lines: Map<string, string>;
  #changed = false;

  private constructor(path: string, temporary: string, lines: Map<string, string>) {
    this.#path = path;
    this.#temporary = temporary;
    this.#lines = lines;
  }

  /** Loads the memory at `path`; a missing or foreign file is an empty one. `temporary` is on the same filesystem. */
  static load(path: string, temporary: string): DigestMemory {
    const lines = new Map<string, string>();
    const text = readTextIfExists(path) ?? '';
    if (text.startsWith(`${FORMAT}\n`)) {
      for (const line of text.split('\n')) {
        const end = line.indexOf('\0');
        if (end > 0) lines.set(line.slice(0, end), line.slice(end + 1));
      }
    }
    return new DigestMemory(path, temporary, lines);
  }

  get(path: string, identity: FileIdentity): RememberedFile | undefined {
    const line = this.#lines.get(escapeName(path));
    if (line === undefined) return undefined;
    const stamp = stampOf(identity);
    if (!line.startsWith(stamp)) return undefined;
    const digest = `sha256:${line.slice(stamp.length, stamp.length + 64)}`;
    // A damaged line is as good as none: the file is read again.
    return isDigest(digest) ? { digest, xattrs: line.slice(stamp.length + 65) } : undefined;
  }

  /** Remembers a file read at `now` (milliseconds), unless it may have changed since without a trace. */
  set(path: string, identity: FileIdentity, { now, file }: { now: number; file: RememberedFile }): void {
    const coarse = identity.mtimeMs % 1000 === 0 && identity.ctimeMs % 1000 === 0;
    const grain = coarse ? COARSE_GRAIN_MS : FINE_GRAIN_MS;
    if (now - identity.ctimeMs < grain || now - identity.mtimeMs < grain) return;
    const line = `${stampOf(identity)}${file.digest.slice(7)}\0${file.xattrs}`;
    this.#lines.set(escapeName(path), line);
    this.#changed = true;
  }

  /** Writes what was learned; nothing when nothing was. */
  save(): void {
    if (!this.#changed) return;
    const body = [...this.#lines].map(([path, line]) => `${path}\0${line}`).join('\n');
    writeFileAtomic(this.#path, `${FORMAT}\n${body}\n`, { temporary: this.#temporary, flush: false });
    this.#changed = false;
  }
}

function stampOf({ size, mtimeMs, ctimeMs, ino }: FileIdentity): string {
  return `${size} ${mtimeMs} ${ctimeMs} ${ino}\0`;
}

/** Newlines are legal in names and separate records here. Byte strings stay ASCII-safe by JSON's escapes. */
function escapeName(path: string): string {
  return /[\n%\x80-\xff]/.test(path) ? encodeURIComponent(path) : path;
}
