/**
 * Digests of files that were read before, remembered by path, size, mtime, ctime and inode, so that an unchanged file
 * costs one lstat. A change of content, mode, owner or attributes moves ctime. A file that changed within the clock's
 * grain of the moment it was read is never remembered: one more change in that tick would leave no trace.
 */
import { type Digest, isDigest } from '../image/descriptor.ts';
import { readTextIfExists, writeFileAtomic } from '../system/files.ts';

/**
 * What tells a file's state, as lstat gives it. Times in milliseconds with their nanoseconds as a fraction, of which a
 * number holds steps of 0.25 µs: finer than two changes can follow one another.
 */
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
/** Path, state, digest, attributes. */
const LINE = /^[^\0]*\0\d+ -?[\d.]+ -?[\d.]+ \d+\0[0-9a-f]{64}\0(.*)$/;

/** Clock grain of ordinary file systems is at most 10 ms; of those with whole seconds only (NFS servers, FAT) 2 s. */
const FINE_GRAIN_MS = 50;
const COARSE_GRAIN_MS = 2_000;

/** Files that a memory keeps in any case. */
const KEPT_UNUSED = 10_000;

/** Milliseconds until a file can no longer change without a trace; 0 when it cannot, or when that takes too long. */
export function timeUntilClean({ ctimeMs, mtimeMs }: FileIdentity, now: number): number {
  const age = now - ctimeMs;
  return isCoarse({ ctimeMs, mtimeMs }) || age < 0 || age >= FINE_GRAIN_MS ? 0 : FINE_GRAIN_MS - age;
}

function isCoarse({ ctimeMs, mtimeMs }: Pick<FileIdentity, 'ctimeMs' | 'mtimeMs'>): boolean {
  return mtimeMs % 1000 === 0 && ctimeMs % 1000 === 0;
}

export class DigestMemory {
  readonly #path: string;
  readonly #temporary: string;
  /** Of an earlier process, in the order it asked for files: most often that of this one, too. */
  readonly #lines: readonly string[];
  #next = 0;
  /** By path; made when a file is asked for out of turn. */
  #byPath: Map<string, string> | undefined;
  /** What this process has found valid or learned, in order. */
  readonly #used: string[] = [];
  readonly #learned = new Map<string, string>();

  private constructor(path: string, temporary: string, lines: readonly string[]) {
    this.#path = path;
    this.#temporary = temporary;
    this.#lines = lines;
  }

  /** Loads the memory at `path`; a missing or foreign file is an empty one. `temporary` is on the same filesystem. */
  static load(path: string, temporary: string): DigestMemory {
    const [format, ...lines] = (readTextIfExists(path) ?? '').split('\n');
    return new DigestMemory(path, temporary, format === FORMAT ? lines.filter((line) => line !== '') : []);
  }

  /** Whether the text of a memory is one, line by line. */
  static isIntact(text: string): boolean {
    const [format, ...lines] = text.split('\n');
    return (
      format === FORMAT && lines.every((line) => line === '' || isAttributes(LINE.exec(line)?.[1] ?? '!'))
    );
  }

  get(path: string, identity: FileIdentity): RememberedFile | undefined {
    const key = `${escapeName(path)}\0`;
    const line = this.#learned.get(key) ?? this.#recorded(key);
    if (line === undefined) return undefined;
    const state = `${key}${stampOf(identity)}`;
    if (!line.startsWith(state)) return undefined;
    const end = state.length + 64;
    const digest = `sha256:${line.slice(state.length, end)}`;
    const xattrs = line.slice(end + 1);
    // A damaged line is as good as none: the file is read again.
    if (!isDigest(digest) || !isAttributes(xattrs)) return undefined;
    this.#used.push(line);
    return { digest, xattrs };
  }

  #recorded(key: string): string | undefined {
    const line = this.#lines[this.#next];
    if (line?.startsWith(key) === true) {
      this.#next += 1;
      return line;
    }
    this.#byPath ??= new Map(this.#lines.map((each) => [keyOf(each), each]));
    return this.#byPath.get(key);
  }

  /** Remembers a file read at `now` (milliseconds), unless it may have changed since without a trace. */
  set(path: string, identity: FileIdentity, { now, file }: { now: number; file: RememberedFile }): void {
    const grain = isCoarse(identity) ? COARSE_GRAIN_MS : FINE_GRAIN_MS;
    if (now - identity.ctimeMs < grain || now - identity.mtimeMs < grain) return;
    const key = `${escapeName(path)}\0`;
    const line = `${key}${stampOf(identity)}${file.digest.slice(7)}\0${file.xattrs}`;
    this.#learned.set(key, line);
    this.#used.push(line);
  }

  /** Writes what was learned; nothing when nothing was. */
  save(): void {
    if (this.#learned.size === 0) return;
    const lines = new Map(this.#used.map((line) => [keyOf(line), line]));
    // What this build did not ask for may serve the next one; what none has asked for in a long time goes.
    const limit = KEPT_UNUSED + lines.size * 4;
    for (const line of this.#lines) {
      if (lines.size >= limit) break;
      if (!lines.has(keyOf(line))) lines.set(keyOf(line), line);
    }
    const body = [FORMAT, ...lines.values(), ''].join('\n');
    this.#learned.clear();
    writeFileAtomic(this.#path, body, { temporary: this.#temporary, flush: false });
  }
}

/** True for what is remembered of attributes: nothing, or JSON. */
function isAttributes(text: string): boolean {
  if (text === '') return true;
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}

/** The path as a line has it, with its end. */
function keyOf(line: string): string {
  return line.slice(0, line.indexOf('\0') + 1);
}

function stampOf({ size, mtimeMs, ctimeMs, ino }: FileIdentity): string {
  return `${size} ${mtimeMs} ${ctimeMs} ${ino}\0`;
}

/** Newlines are legal in names and separate records here. Byte strings stay ASCII-safe by JSON's escapes. */
function escapeName(path: string): string {
  return /[\n%\x80-\xff]/.test(path) ? encodeURIComponent(path) : path;
}
