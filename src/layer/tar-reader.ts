/**
 * Reads a tar fed in chunks: ustar, old V7, pax (local and global records), GNU long names and base-256 numbers.
 * Synchronous; nothing larger than a header is buffered. Throws LAYER_CORRUPT and LAYER_TRUNCATED.
 */
import { BuildError } from '../errors.ts';
import type { EntryType } from './entry.ts';
import { BLOCK, padding } from './tar-header.ts';

/** A header as the archive has it; names are byte strings, not yet made safe. */
export interface TarMember {
  readonly name: string;
  readonly type: Exclude<EntryType, 'whiteout' | 'opaque'>;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly size: number;
  readonly linkName: string;
  readonly devMajor: number;
  readonly devMinor: number;
  readonly xattrs: Readonly<Record<string, string>> | undefined;
  /** Where the member's bytes begin in the archive. */
  readonly offset: number;
}

export interface TarVisitor {
  member(member: TarMember): void;
  /** Bytes of the last member, in order. */
  data(chunk: Buffer): void;
  /** The last member's bytes are complete (also called for members without any). */
  end(): void;
}

/** Names and pax headers longer than this are an attack, not a name. */
const MAX_EXTENSION = 8 << 20;

const TYPES: Readonly<Record<string, TarMember['type']>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

const XATTR = 'SCHILY.xattr.';

type Target = 'member' | 'pax' | 'global' | 'longName' | 'longLink' | 'skip';

export class TarReader {
  readonly #visitor: TarVisitor;
  /** Bytes read so far. */
  #position = 0;
  #header = Buffer.alloc(BLOCK);
  #headerFill = 0;
  #remaining = 0;
  #padding = 0;
  #target: Target = 'member';
  #extension: Buffer[] = [];
  /** Records for the next member. */
  #pax: Records | undefined;
  /** Records for all members to come. */
  #global: Records | undefined;
  #longName: string | undefined;
  #longLink: string | undefined;
  #zeroBlocks = 0;
  #ended = false;

  constructor(visitor: TarVisitor) {
    this.#visitor = visitor;
  }

  /** Feeds the next bytes of the archive. */
  write(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#remaining > 0) at = this.#body(chunk, at);
      else if (this.#padding > 0) {
        const skip = Math.min(this.#padding, chunk.length - at);
        this.#padding -= skip;
        this.#position += skip;
        at += skip;
      } else at = this.#headerBytes(chunk, at);
    }
  }

  /** Says that there is no more. An archive without its two zero blocks is accepted if it ends between members. */
  finish(): void {
    if (this.#ended) return;
    const announced = this.#pax !== undefined || this.#longName !== undefined || this.#longLink !== undefined;
    if (this.#remaining > 0 || this.#padding > 0 || this.#headerFill > 0 || announced) {
      throw new BuildError(
        'LAYER_TRUNCATED',
        `the tar archive ends in the middle of a member, at byte ${this.#position}`,
        {
          suggestions: ['The archive or layer is incomplete: fetch or make it again.'],
        },
      );
    }
  }

  #body(chunk: Buffer, at: number): number {
    const count = Math.min(this.#remaining, chunk.length - at);
    const part = chunk.subarray(at, at + count);
    this.#remaining -= count;
    this.#position += count;
    if (this.#target === 'member') this.#visitor.data(part);
    else if (this.#target !== 'skip') this.#extension.push(Buffer.from(part));
    if (this.#remaining === 0) this.#bodyEnd();
    return at + count;
  }

  #bodyEnd(): void {
    const target = this.#target;
    this.#target = 'member';
    if (target === 'member') {
      this.#visitor.end();
      return;
    }
    const content = Buffer.concat(this.#extension);
    this.#extension = [];
    if (target === 'pax') this.#pax = parsePax(content, this.#pax);
    else if (target === 'global') this.#global = parsePax(content, this.#global);
    else if (target === 'longName') this.#longName = untilZero(content);
    else if (target === 'longLink') this.#longLink = untilZero(content);
  }

  #headerBytes(chunk: Buffer, at: number): number {
    if (this.#headerFill === 0 && chunk.length - at >= BLOCK) {
      this.#position += BLOCK;
      if (!this.#ended) this.#readHeader(chunk.subarray(at, at + BLOCK));
      return at + BLOCK;
    }
    const count = chunk.copy(this.#header, this.#headerFill, at, at + BLOCK - this.#headerFill);
    this.#headerFill += count;
    this.#position += count;
    if (this.#headerFill === BLOCK) {
      this.#headerFill = 0;
      if (!this.#ended) this.#readHeader(this.#header);
    }
    return at + count;
  }

  #readHeader(block: Buffer): void {
    if (block[0] === 0 && block.every((byte) => byte === 0)) {
      this.#zeroBlocks += 1;
      // Whatever follows two zero blocks is filling.
      if (this.#zeroBlocks >= 2) this.#ended = true;
      return;
    }
    this.#zeroBlocks = 0;
    if (checksumOf(block) === undefined)
      throw corrupt('a header whose checksum is wrong', this.#position - BLOCK);
    const flag = block.toString('latin1', 156, 157);
    const size = number(block, 124, 12);
    const target = extensionOf(flag);
    if (target !== undefined) {
      if (size > MAX_EXTENSION || size < 0)
        throw corrupt(`an extended header of ${size} bytes`, this.#position);
      this.#begin(target, size);
      return;
    }
    this.#member(block, { flag, size });
  }

  #begin(target: Target, size: number): void {
    this.#target = target;
    this.#remaining = size;
    this.#padding = padding(size);
    if (size === 0) this.#bodyEnd();
  }

  #member(block: Buffer, { flag, size }: { flag: string; size: number }): void {
    const pax = this.#records();
    const bytes = paxNumber(pax, 'size') ?? size;
    const name = pax?.get('path') ?? this.#longName ?? ustarName(block);
    const linkName = pax?.get('linkpath') ?? this.#longLink ?? field(block, 157, 100);
    this.#pax = undefined;
    this.#longName = undefined;
    this.#longLink = undefined;
    if (flag === 'S' || isSparse(pax))
      throw corrupt('a sparse member, which layers do not have', this.#position);
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw corrupt(`a size of ${bytes}`, this.#position);
    const type = TYPES[flag];
    // Kinds of other systems (volume labels and the like) carry nothing a layer can hold.
    if (type === undefined) {
      this.#begin('skip', bytes);
      return;
    }
    const special = type === 'char' || type === 'block';
    this.#visitor.member({
      name,
      // An old tar says "directory" by a slash at the end of a file's name.
      type: type === 'file' && name.endsWith('/') ? 'directory' : type,
      mode: number(block, 100, 8) & 0o7777,
      uid: paxNumber(pax, 'uid') ?? number(block, 108, 8),
      gid: paxNumber(pax, 'gid') ?? number(block, 116, 8),
      mtime: Math.floor(paxNumber(pax, 'mtime') ?? number(block, 136, 12)),
      // Some tars give links the size of their target; no bytes follow all the same.
      size: type === 'file' ? bytes : 0,
      linkName,
      devMajor: special ? number(block, 329, 8) : 0,
      devMinor: special ? number(block, 337, 8) : 0,
      xattrs: pax === undefined ? undefined : xattrsOf(pax),
      offset: this.#position,
    });
    if (type === 'file' && bytes > 0) this.#begin('member', bytes);
    else this.#visitor.end();
  }

  #records(): Records | undefined {
    if (this.#global === undefined || this.#pax === undefined) return this.#pax ?? this.#global;
    return new Map([...this.#global, ...this.#pax]);
  }
}

type Records = ReadonlyMap<string, string>;

/** A record as a number. An empty one counts as not there (POSIX pax). */
function paxNumber(pax: Records | undefined, key: string): number | undefined {
  const text = pax?.get(key);
  if (text === undefined) return undefined;
  const value = /^-?\d+(\.\d*)?$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) throw corrupt(`a pax record that says ${key} is "${printable(text)}"`, 0);
  return value;
}

function isSparse(pax: Records | undefined): boolean {
  if (pax === undefined) return false;
  for (const key of pax.keys()) if (key.startsWith('GNU.sparse.')) return true;
  return false;
}

function extensionOf(flag: string): Target | undefined {
  if (flag === 'x') return 'pax';
  if (flag === 'g') return 'global';
  if (flag === 'L') return 'longName';
  return flag === 'K' ? 'longLink' : undefined;
}

function field(block: Buffer, at: number, width: number): string {
  return untilZero(block.subarray(at, at + width));
}

function untilZero(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
}

function ustarName(block: Buffer): string {
  const name = field(block, 0, 100);
  const magic = block.toString('latin1', 257, 262);
  // GNU's own format uses the prefix field for other things and ends its magic in blanks.
  const prefix = magic === 'ustar' && block[262] === 0 ? field(block, 345, 155) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** An octal field, or GNU's base-256 form for what octal cannot hold. */
function number(block: Buffer, at: number, width: number): number {
  const first = block[at] ?? 0;
  if ((first & 0x80) !== 0) {
    let value = first === 0xff ? -1 : first & 0x7f;
    for (let i = at + 1; i < at + width; i++) value = value * 256 + (block[i] ?? 0);
    return value;
  }
  const text = field(block, at, width).trim();
  if (text === '') return 0;
  const value = /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
  if (Number.isNaN(value)) throw corrupt(`the number "${printable(text)}"`, at);
  return value;
}

/** The checksum of a header block; undefined when it is not the one the block says. */
export function checksumOf(block: Buffer): number | undefined {
  let sum = 8 * 0x20;
  let high = 0;
  for (let i = 0; i < BLOCK; i++) {
    if (i === 148) i = 156;
    const byte = block[i] ?? 0;
    sum += byte;
    high += byte >> 7;
  }
  const text = field(block, 148, 8).trim();
  if (!/^[0-7]+$/.test(text)) return undefined;
  const said = Number.parseInt(text, 8);
  // Some old tars summed signed bytes.
  return said === sum || said === sum - 256 * high ? sum : undefined;
}

/**
 * "LENGTH key=value\n" records, values as byte strings, laid over `before`. An empty value removes a record,
 * except that attributes may well be empty.
 */
function parsePax(content: Buffer, before: Records | undefined): Records {
  const records = new Map(before);
  let at = 0;
  while (at < content.length) {
    const space = content.indexOf(0x20, at);
    const digits = space < 0 ? '' : content.toString('latin1', at, space);
    const length = /^\d{1,8}$/.test(digits) ? Number(digits) : 0;
    const end = at + length - 1;
    if (end <= space || end >= content.length || content[end] !== 0x0a)
      throw corrupt('a damaged pax header', at);
    const record = content.toString('latin1', space + 1, end);
    const equals = record.indexOf('=');
    if (equals < 1) throw corrupt('a damaged pax header', at);
    const key = record.slice(0, equals);
    const value = record.slice(equals + 1);
    if (value === '' && !key.startsWith(XATTR)) records.delete(key);
    else records.set(key, value);
    at += length;
  }
  return records;
}

function xattrsOf(pax: Records): Record<string, string> | undefined {
  let xattrs: Record<string, string> | undefined;
  for (const [key, value] of pax) {
    if (!key.startsWith(XATTR)) continue;
    xattrs ??= {};
    xattrs[key.slice(XATTR.length)] = value;
  }
  return xattrs;
}

function printable(text: string): string {
  return text.slice(0, 40).replaceAll(/[^\x20-\x7e]/g, '?');
}

function corrupt(what: string, position: number): BuildError {
  return new BuildError('LAYER_CORRUPT', `the tar archive has ${what} near byte ${position}`, {
    suggestions: ['The archive or layer is damaged: fetch or make it again.'],
  });
}
