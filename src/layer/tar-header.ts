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
export function tarName({ path, type }: Pick<Entry, 'path' | 'type'>): string {
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
  const link = entry.linkTarget ?? '';
  const records: [string, string][] = [];
  const split = splitName(name);
  if (split === undefined || NON_ASCII.test(name)) records.push(['path', name]);
  if (link.length > 100 || NON_ASCII.test(link)) records.push(['linkpath', link]);
  if (entry.size > MAX_OCTAL_11) records.push(['size', String(entry.size)]);
  if (entry.uid > MAX_OCTAL_7) records.push(['uid', String(entry.uid)]);
  if (entry.gid > MAX_OCTAL_7) records.push(['gid', String(entry.gid)]);
  if (entry.mtime < 0 || entry.mtime > MAX_OCTAL_11) records.push(['mtime', String(entry.mtime)]);
  for (const [key, value] of Object.entries(entry.xattrs ?? {})) records.push([`SCHILY.xattr.${key}`, value]);
  const header = ustar(entry, split ?? { prefix: '', name: name.slice(0, 100) });
  return records.length === 0 ? header : Buffer.concat([...paxBlocks(records, name), header]);
}

/** Splits a long name at a slash into ustar's prefix (155) and name (100); undefined when it cannot be. */
function splitName(name: string): { prefix: string; name: string } | undefined {
  if (name.length <= 100) return { prefix: '', name };
  if (name.length > 256) return undefined;
  const slash = name.indexOf('/', name.length - 101);
  if (slash <= 0 || slash > 155 || slash === name.length - 1) return undefined;
  return { prefix: name.slice(0, slash), name: name.slice(slash + 1) };
}

function octal(block: Buffer, value: number, { at, width }: { at: number; width: number }): void {
  const clamped = value < 0 || value > 8 ** (width - 1) - 1 ? 0 : value;
  block.write(clamped.toString(8).padStart(width - 1, '0'), at, width - 1, 'latin1');
}

function ustar(
  entry: Entry,
  { prefix, name }: { prefix: string; name: string },
  flag = TYPE_FLAG[entry.type],
): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0, 100, 'latin1');
  octal(block, entry.mode & 0o7777, { at: 100, width: 8 });
  octal(block, entry.uid, { at: 108, width: 8 });
  octal(block, entry.gid, { at: 116, width: 8 });
  octal(block, entry.type === 'file' ? entry.size : 0, { at: 124, width: 12 });
  octal(block, entry.mtime, { at: 136, width: 12 });
  block.write(flag, 156, 1, 'latin1');
  block.write((entry.linkTarget ?? '').slice(0, 100), 157, 100, 'latin1');
  block.write('ustar\x0000', 257, 8, 'latin1');
  if (entry.type === 'char' || entry.type === 'block') {
    octal(block, entry.devMajor ?? 0, { at: 329, width: 8 });
    octal(block, entry.devMinor ?? 0, { at: 337, width: 8 });
  }
  block.write(prefix, 345, 155, 'latin1');
  seal(block);
  return block;
}

/** Writes the checksum: the sum of all bytes with the checksum field as blanks. */
function seal(block: Buffer): void {
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += block[i] ?? 0;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1');
}

function paxBlocks(records: readonly [string, string][], name: string): Buffer[] {
  records = [...records].sort(([a], [b]) => (a < b ? -1 : 1));
  const body = Buffer.from(records.map(([key, value]) => paxRecord(key, value)).join(''), 'latin1');
  const shown = `PaxHeaders.0/${name.replace(/\/$/, '').slice(-80)}`.replaceAll(/[^\x20-\x7e]/g, '_');
  const entry: Entry = { path: '', type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: 0, size: body.length };
  return [
    ustar(entry, { prefix: '', name: shown.slice(0, 100) }, 'x'),
    body,
    Buffer.alloc(padding(body.length)),
  ];
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
