/**
 * Tar headers as kiln writes them: ustar, with a pax header before it only for what ustar cannot hold (POSIX.1-2001;
 * SCHILY.xattr.* as in image-spec, layer.md, "File Attributes"). The bytes are a pure function of the entry.
 */
import type { Entry, EntryType } from './entry.ts';

export const BLOCK = 512;

const TYPE_FLAG: Readonly<Record<EntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
  whiteout: '0',
  opaque: '0',
};

/** image-spec, layer.md, "Whiteouts". */
export const WHITEOUT_PREFIX = '.wh.';
export const OPAQUE_NAME = '.wh..wh..opq';

/** Largest numbers that ustar's octal fields hold. */
const MAX_OCTAL_7 = 0o7777777;
const MAX_OCTAL_11 = 0o77777777777;

const NON_ASCII = /[^\x00-\x7f]/;

/** The name an entry has in the tar: whiteouts get theirs, directories a trailing slash. */
function tarName({ path, type }: Pick<Entry, 'path' | 'type'>): string {
  if (type === 'directory') return path === '' ? './' : `${path}/`;
  if (type === 'whiteout') {
    const slash = path.lastIndexOf('/') + 1;
    return `${path.slice(0, slash)}${WHITEOUT_PREFIX}${path.slice(slash)}`;
  }
  if (type === 'opaque') return path === '' ? OPAQUE_NAME : `${path}/${OPAQUE_NAME}`;
  return path;
}

/** The header blocks of an entry: pax records where needed, then the ustar header. */
export function encodeHeader(entry: Entry): Buffer {
  const name = tarName(entry);
  const records = paxRecords(entry, name);
  const block = Buffer.allocUnsafe(BLOCK);
  writeUstar(entry, { block, at: 0, name, flag: TYPE_FLAG[entry.type] });
  return records.length === 0 ? block : Buffer.concat([...paxBlocks(records, name), block]);
}

/**
 * Writes the header of an entry that needs no pax records straight into `block` (512 bytes from `at`). False, with
 * nothing written, for an entry that needs them.
 */
export function writeHeader(entry: Entry, block: Buffer, at: number): boolean {
  const name = tarName(entry);
  if (entry.xattrs !== undefined || name.length > 100 || paxRecords(entry, name).length > 0) return false;
  writeUstar(entry, { block, at, name, flag: TYPE_FLAG[entry.type] });
  return true;
}

const NO_RECORDS: readonly [string, string][] = [];

/** What ustar's fields cannot hold. */
function paxRecords(entry: Entry, name: string): readonly [string, string][] {
  const { linkTarget: link = '', uid, gid, mtime, size, xattrs } = entry;
  const longName = NON_ASCII.test(name) || (name.length > 100 && splitName(name) === undefined);
  const longLink = link !== '' && (link.length > 100 || NON_ASCII.test(link));
  const largeId = uid > MAX_OCTAL_7 || gid > MAX_OCTAL_7;
  const largeNumber = size > MAX_OCTAL_11 || mtime < 0 || mtime > MAX_OCTAL_11;
  if (!longName && !longLink && !largeId && !largeNumber && xattrs === undefined) return NO_RECORDS;
  const records: [string, string][] = [];
  if (longName) records.push(['path', name]);
  if (longLink) records.push(['linkpath', link]);
  if (size > MAX_OCTAL_11) records.push(['size', String(size)]);
  if (uid > MAX_OCTAL_7) records.push(['uid', String(uid)]);
  if (gid > MAX_OCTAL_7) records.push(['gid', String(gid)]);
  if (mtime < 0 || mtime > MAX_OCTAL_11) records.push(['mtime', String(mtime)]);
  for (const [key, value] of Object.entries(xattrs ?? {})) records.push([`SCHILY.xattr.${key}`, value]);
  return records;
}

/** Splits a long name at a slash into ustar's prefix (155) and name (100); undefined when it cannot be. */
function splitName(name: string): { prefix: string; name: string } | undefined {
  if (name.length <= 100) return { prefix: '', name };
  if (name.length > 256) return undefined;
  const slash = name.indexOf('/', name.length - 101);
  if (slash <= 0 || slash > 155 || slash === name.length - 1) return undefined;
  return { prefix: name.slice(0, slash), name: name.slice(slash + 1) };
}

/** Writes `width - 1` octal digits; the zero byte after them is there already. 0 for what does not fit: pax has it. */
function octal(block: Buffer, value: number, { at, width }: { at: number; width: number }): void {
  let rest = value < 0 || value > 8 ** (width - 1) - 1 ? 0 : value;
  for (let i = at + width - 2; i >= at; i--) {
    block[i] = 0x30 + (rest % 8);
    rest = Math.floor(rest / 8);
  }
}

interface HeaderPlace {
  readonly block: Buffer;
  readonly at: number;
  readonly name: string;
  readonly flag: string;
}

function writeUstar(entry: Entry, { block, at, name, flag }: HeaderPlace): void {
  const { prefix, name: base } =
    name.length <= 100 ? { prefix: '', name } : (splitName(name) ?? { prefix: '', name: name.slice(0, 100) });
  block.fill(0, at, at + BLOCK);
  block.write(base, at, 100, 'latin1');
  octal(block, entry.mode & 0o7777, { at: at + 100, width: 8 });
  octal(block, entry.uid, { at: at + 108, width: 8 });
  octal(block, entry.gid, { at: at + 116, width: 8 });
  octal(block, entry.type === 'file' ? entry.size : 0, { at: at + 124, width: 12 });
  octal(block, entry.mtime, { at: at + 136, width: 12 });
  block.write(flag, at + 156, 1, 'latin1');
  if (entry.linkTarget !== undefined) block.write(entry.linkTarget, at + 157, 100, 'latin1');
  block.write('ustar\x0000', at + 257, 8, 'latin1');
  if (entry.type === 'char' || entry.type === 'block') {
    octal(block, entry.devMajor ?? 0, { at: at + 329, width: 8 });
    octal(block, entry.devMinor ?? 0, { at: at + 337, width: 8 });
  }
  if (prefix !== '') block.write(prefix, at + 345, 155, 'latin1');
  seal(block, at);
}

/** Writes the checksum: the sum of all bytes with the checksum field as blanks. */
function seal(block: Buffer, at: number): void {
  let sum = 8 * 0x20;
  for (let i = at; i < at + BLOCK; i++) sum += block[i] ?? 0;
  octal(block, sum, { at: at + 148, width: 7 });
  block[at + 155] = 0x20;
}

function paxBlocks(records: readonly [string, string][], name: string): Buffer[] {
  const sorted = [...records].sort(([a], [b]) => (a < b ? -1 : 1));
  const body = Buffer.from(sorted.map(([key, value]) => paxRecord(key, value)).join(''), 'latin1');
  const shown = `PaxHeaders.0/${name.replace(/\/$/, '').slice(-80)}`.replaceAll(/[^\x20-\x7e]/g, '_');
  const entry: Entry = { path: '', type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: 0, size: body.length };
  const block = Buffer.allocUnsafe(BLOCK);
  writeUstar(entry, { block, at: 0, name: shown, flag: 'x' });
  return [block, body, Buffer.alloc(padding(body.length))];
}

/** "LENGTH key=value\n", where LENGTH counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

/** Zero bytes between the end of `size` bytes and the next block. */
export function padding(size: number): number {
  const rest = size % BLOCK;
  return rest === 0 ? 0 : BLOCK - rest;
}
