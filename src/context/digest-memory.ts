/**
 * Digests of files that were read before, remembered by path, size, mtime, ctime and inode, so that an unchanged file
 * costs one lstat. A change of content, mode, owner or attributes moves ctime. A file that changed within the clock's
 * grain of the moment it was read is never remembered: one more change in that tick would leave no trace.
 */
import { hash } from 'node:crypto';
import { type Digest, hexOf } from '../image/descriptor.ts';
import { ByteText } from '../layer/byte-text.ts';
import { readBytesIfExists, writeFileAtomic } from '../system/files.ts';

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

const FORMAT = 'kiln-digests-2';

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

/** Numbers of a file's state, and the bytes they take in the file: doubles, so that none is printed or parsed. */
const NUMBERS = 4;
const STATE_BYTES = NUMBERS * Float64Array.BYTES_PER_ELEMENT;

const DIGEST_LENGTH = 64;

/** What an earlier process has written, in the order it asked for files: most often that of this one, too. */
interface Recorded {
  /** Per file: its digest's hex digits, its path, a zero byte, its attributes. */
  readonly lines: readonly string[];
  /** Per file: size, mtime, ctime, inode. */
  readonly states: Float64Array;
}

const NOTHING: Recorded = { lines: [], states: new Float64Array() };

/** What this process has learned, as it will be written: objects for 100,000 files would take several times as much. */
class LearnedFiles {
  /** By path as a line has it; a file that was learned twice has the later one. */
  readonly #numbers = new Map<string, number>();
  readonly #text = new ByteText();
  readonly #ends: number[] = [];
  #states = new Float64Array(64 * NUMBERS);

  get states(): Float64Array {
    return this.#states;
  }

  /** Numbers of all files. */
  get numbers(): readonly number[] {
    return [...this.#numbers.values()];
  }

  find(path: string): number | undefined {
    return this.#numbers.get(path);
  }

  add(path: string, { size, mtimeMs, ctimeMs, ino }: FileIdentity, line: string): void {
    const number = this.#ends.length;
    this.#text.append(line);
    this.#ends.push(this.#text.length);
    if ((number + 1) * NUMBERS > this.#states.length) {
      const larger = new Float64Array(2 * this.#states.length);
      larger.set(this.#states);
      this.#states = larger;
    }
    this.#states.set([size, mtimeMs, ctimeMs, ino], number * NUMBERS);
    this.#numbers.set(path, number);
  }

  line(number: number): string {
    return this.#text.bytes().toString('latin1', this.#ends[number - 1] ?? 0, this.#ends[number]);
  }
}

export class DigestMemory {
  readonly #path: string;
  readonly #temporary: string;
  readonly #recorded: Recorded;
  #next = 0;
  /** Numbers of records by path; made when a file is asked for out of turn. */
  #byPath: Map<string, number> | undefined;
  /** Numbers of records that this process has found valid, in order. */
  readonly #used: number[] = [];
  #learned = new LearnedFiles();

  private constructor(path: string, temporary: string, recorded: Recorded) {
    this.#path = path;
    this.#temporary = temporary;
    this.#recorded = recorded;
  }

  /** Loads the memory at `path`; a missing, foreign or damaged file is an empty one. `temporary` is on the same filesystem. */
  static load(path: string, temporary: string): DigestMemory {
    const bytes = readBytesIfExists(path);
    return new DigestMemory(path, temporary, (bytes && decode(bytes)) ?? NOTHING);
  }

  /** Whether the bytes of a memory's file are one. */
  static isIntact(bytes: Buffer): boolean {
    return decode(bytes) !== undefined;
  }

  get(path: string, identity: FileIdentity): RememberedFile | undefined {
    const learned = this.#learned.find(escapeName(path));
    if (learned !== undefined) {
      if (!isSame(this.#learned.states, learned, identity)) return undefined;
      return fileOf(this.#learned.line(learned), path);
    }
    const number = this.#find(path);
    if (number === undefined || !isSame(this.#recorded.states, number, identity)) return undefined;
    this.#used.push(number);
    return fileOf(this.#recorded.lines[number] ?? '', path);
  }

  #find(path: string): number | undefined {
    const { lines } = this.#recorded;
    if (isOf(lines[this.#next], path)) {
      this.#next += 1;
      return this.#next - 1;
    }
    this.#byPath ??= new Map(lines.map((line, number) => [pathOf(line), number]));
    return this.#byPath.get(escapeName(path));
  }

  /** Remembers a file read at `now` (milliseconds), unless it may have changed since without a trace. */
  set(path: string, identity: FileIdentity, { now, file }: { now: number; file: RememberedFile }): void {
    const grain = isCoarse(identity) ? COARSE_GRAIN_MS : FINE_GRAIN_MS;
    if (now - identity.ctimeMs < grain || now - identity.mtimeMs < grain) return;
    this.#learned.add(escapeName(path), identity, lineOf(path, file));
  }

  /** Writes what was learned; nothing when nothing was. */
  save(): void {
    const learned = this.#learned;
    const { numbers } = learned;
    if (numbers.length === 0) return;
    const { lines, states } = this.#recorded;
    const line = (number: number): string => lines[number] ?? '';
    const isLeft = lines.map((text) => learned.find(pathOf(text)) === undefined);
    const take = (number: number): boolean => {
      const left = isLeft[number] === true;
      isLeft[number] = false;
      return left;
    };
    const used = this.#used.filter(take);
    // What this build did not ask for may serve the next one; what none has asked for in a long time goes.
    const limit = KEPT_UNUSED + (numbers.length + used.length) * 3;
    const rest = lines.flatMap((_, number) => (isLeft[number] === true ? [number] : [])).slice(0, limit);
    const bytes = encode([
      { numbers: used, line, states },
      { numbers, line: (number) => learned.line(number), states: learned.states },
      { numbers: rest, line, states },
    ]);
    this.#learned = new LearnedFiles();
    writeFileAtomic(this.#path, bytes, { temporary: this.#temporary, flush: false });
  }
}

/** Some of the files that are at hand. */
interface Files {
  readonly numbers: readonly number[];
  readonly line: (number: number) => string;
  readonly states: Float64Array;
}

/** A first line with the format, the number of files and the SHA-256 of what follows: states, then lines. */
function encode(files: readonly Files[]): Buffer {
  const count = files.reduce((sum, { numbers }) => sum + numbers.length, 0);
  const head = (digest: string): string => `${FORMAT} ${count} ${digest}\n`;
  const start = head('0'.repeat(DIGEST_LENGTH)).length;
  let at = start + count * STATE_BYTES;
  // No line end stands after the last line.
  let size = at - 1;
  for (const { numbers, line } of files) for (const number of numbers) size += line(number).length + 1;
  // Of many files this is large, so it is made once and in its place.
  const bytes = Buffer.alloc(size);
  const states = new Float64Array(count * NUMBERS);
  let place = 0;
  for (const { numbers, line, states: from } of files) {
    for (const number of numbers) {
      for (let field = 0; field < NUMBERS; field++) {
        states[place * NUMBERS + field] = from[number * NUMBERS + field] ?? 0;
      }
      place += 1;
      at += bytes.write(place < count ? `${line(number)}\n` : line(number), at, 'latin1');
    }
  }
  Buffer.from(states.buffer).copy(bytes, start);
  bytes.write(head(hash('sha256', bytes.subarray(start))), 'latin1');
  return bytes;
}

function decode(bytes: Buffer): Recorded | undefined {
  const end = bytes.indexOf('\n');
  const [format, count, digest] = bytes.toString('latin1', 0, Math.max(0, end)).split(' ');
  const body = bytes.subarray(end + 1);
  const size = Number(count) * STATE_BYTES;
  if (format !== FORMAT || hash('sha256', body) !== digest || !(size <= body.length)) return undefined;
  // Copied: a view of doubles must begin where a double may.
  const states = new Float64Array(Uint8Array.from(body.subarray(0, size)).buffer);
  const text = body.toString('latin1', size);
  const lines = text === '' ? [] : text.split('\n');
  return lines.length === Number(count) ? { states, lines } : undefined;
}

function isSame(states: Float64Array, number: number, identity: FileIdentity): boolean {
  const at = number * NUMBERS;
  return (
    states[at] === identity.size &&
    states[at + 1] === identity.mtimeMs &&
    states[at + 2] === identity.ctimeMs &&
    states[at + 3] === identity.ino
  );
}

function lineOf(path: string, { digest, xattrs }: RememberedFile): string {
  return `${hexOf(digest)}${escapeName(path)}\0${xattrs}`;
}

/** True for the line of a path. */
function isOf(line: string | undefined, path: string): boolean {
  const name = escapeName(path);
  return line?.startsWith(name, DIGEST_LENGTH) === true && line.charCodeAt(DIGEST_LENGTH + name.length) === 0;
}

/** The path as a line has it. */
function pathOf(line: string): string {
  return line.slice(DIGEST_LENGTH, line.indexOf('\0'));
}

function fileOf(line: string, path: string): RememberedFile {
  const end = DIGEST_LENGTH + escapeName(path).length + 1;
  return { digest: `sha256:${line.slice(0, DIGEST_LENGTH)}`, xattrs: line.slice(end) };
}

/** Newlines are legal in names and separate records here. */
function escapeName(path: string): string {
  return path.includes('\n') || path.includes('%') ? encodeURIComponent(path) : path;
}
