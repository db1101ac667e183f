/**
 * Tables of contents on disk, column by column: numbers as they are in memory, all paths as one string, and what few
 * entries have as JSON. Reading one is a copy and a loop; tens of thousands of entries take a few milliseconds.
 *
 *   "kilntoc3"  CRC-32 of the rest (u32)  length of the head (u32)  head: JSON, padded with blanks to 8 bytes
 *   mtime, size, offset (f64 each), uid, gid, end of path (u32 each), mode (u16), type (u8), paths, rare (JSON)
 *
 * Little-endian, as every machine that kiln runs on.
 */
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { BuildError, messageOf } from '../errors.ts';
import type { DiffId } from '../image/descriptor.ts';
import { ByteText } from './byte-text.ts';
import type { LayerToc, TocEntry } from './entry.ts';
import { entryAt, putEntry, type RareFields, rareFields } from './entry-columns.ts';

const MAGIC = 'kilntoc3';
const FIXED = MAGIC.length + 8;

interface Head {
  readonly diffId: DiffId;
  readonly tarSize: number;
  readonly count: number;
  /** Bytes of all paths. */
  readonly paths: number;
}

/** Fields that few entries have, by the number of the entry. */
type Rare = [index: number, fields: RareFields & Pick<TocEntry, 'digest'>];

/** Numbers of entries, widest first: each column begins where its numbers may. */
class Columns {
  readonly mtime: Float64Array;
  readonly size: Float64Array;
  readonly offset: Float64Array;
  readonly uid: Uint32Array;
  readonly gid: Uint32Array;
  readonly pathEnd: Uint32Array;
  readonly mode: Uint16Array;
  readonly type: Uint8Array;

  static bytes(count: number): number {
    return count * (3 * 8 + 3 * 4 + 2 + 1);
  }

  constructor(count: number, buffer = new ArrayBuffer(Columns.bytes(count))) {
    this.mtime = new Float64Array(buffer, 0, count);
    this.size = new Float64Array(buffer, 8 * count, count);
    this.offset = new Float64Array(buffer, 16 * count, count);
    this.uid = new Uint32Array(buffer, 24 * count, count);
    this.gid = new Uint32Array(buffer, 28 * count, count);
    this.pathEnd = new Uint32Array(buffer, 32 * count, count);
    this.mode = new Uint16Array(buffer, 36 * count, count);
    this.type = new Uint8Array(buffer, 38 * count, count);
  }

  /** In the order of the file. */
  all(): readonly (Float64Array | Uint32Array | Uint16Array | Uint8Array)[] {
    const { mtime, size, offset, uid, gid, pathEnd, mode, type } = this;
    return [mtime, size, offset, uid, gid, pathEnd, mode, type];
  }
}

const FIRST_COUNT = 256;

/** A table of contents that is written down as the layer is: no object is kept of an entry. */
export class TocWriter {
  #columns = new Columns(FIRST_COUNT);
  #room = FIRST_COUNT;
  #count = 0;
  readonly #paths = new ByteText();
  readonly #rare: Rare[] = [];

  add(entry: TocEntry): void {
    if (this.#count === this.#room) this.#grow();
    const [columns, index] = [this.#columns, this.#count++];
    // Byte strings hold characters up to U+00FF only, so latin1 keeps them as they are.
    this.#paths.append(entry.path);
    columns.pathEnd[index] = this.#paths.length;
    columns.offset[index] = entry.offset ?? 0;
    putEntry(columns, index, entry);
    const { digest } = entry;
    const fields = rareFields(entry);
    // JSON leaves out what is undefined.
    if (fields !== undefined || digest !== undefined)
      this.#rare.push([index, { ...fields, digest } as Rare[1]]);
  }

  /** Writes the file. It is whole or the call throws. */
  save(path: string, { diffId, tarSize }: Pick<LayerToc, 'diffId' | 'tarSize'>): void {
    const paths = this.#paths.bytes();
    const head: Head = { diffId, tarSize, count: this.#count, paths: paths.length };
    const text = JSON.stringify(head);
    const padded = text.padEnd(Math.ceil((FIXED + text.length) / 8) * 8 - FIXED);
    const columns = this.#columns.all().map((column) => column.subarray(0, this.#count));
    const rare = Buffer.from(JSON.stringify(this.#rare), 'latin1');
    const body = [Buffer.from(padded, 'latin1'), ...columns.map(bytesOf), paths, rare];
    const fixed = Buffer.alloc(FIXED);
    fixed.write(MAGIC, 'latin1');
    fixed.writeUInt32LE(
      body.reduce((sum, part) => crc32(part, sum), 0),
      MAGIC.length,
    );
    fixed.writeUInt32LE(padded.length, MAGIC.length + 4);
    const fd = openSync(path, 'w');
    try {
      for (const part of [fixed, ...body]) writeFileSync(fd, part);
    } finally {
      closeSync(fd);
    }
  }

  #grow(): void {
    this.#room *= 2;
    const larger = new Columns(this.#room);
    const full = this.#columns.all();
    for (const [number, column] of larger.all().entries()) column.set(full[number] ?? []);
    this.#columns = larger;
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: NodeJS.ArrayBufferView): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Writes a table of contents. The file is whole or the call throws. */
export function saveToc(path: string, { entries, ...toc }: LayerToc): void {
  const writer = new TocWriter();
  for (const entry of entries) writer.add(entry);
  writer.save(path, toc);
}

/** Reads a table of contents; `diffId` is the layer that it must be of. Throws STORE_CORRUPT_TOC. */
export function loadToc(path: string, diffId?: DiffId): LayerToc {
  try {
    const toc = parse(readFileSync(path));
    if (diffId !== undefined && toc.diffId !== diffId) throw new Error(`it is of layer ${toc.diffId}`);
    return toc;
  } catch (error) {
    throw new BuildError('STORE_CORRUPT_TOC', `${path} is not a table of contents: ${messageOf(error)}`, {
      suggestions: ['Remove the file; it is made again from the layer.'],
      cause: error,
    });
  }
}

function parse(file: Buffer): LayerToc {
  if (file.toString('latin1', 0, MAGIC.length) !== MAGIC) throw new Error('unknown format');
  if (crc32(file.subarray(FIXED)) !== file.readUInt32LE(MAGIC.length)) throw new Error('wrong checksum');
  const columnsAt = FIXED + file.readUInt32LE(MAGIC.length + 4);
  const { diffId, tarSize, count, paths } = JSON.parse(file.toString('latin1', FIXED, columnsAt)) as Head;
  const pathsAt = columnsAt + Columns.bytes(count);
  // A copy, because views of numbers must be aligned in memory.
  const numbers = new Uint8Array(file.subarray(columnsAt, pathsAt)).buffer;
  const names = file.toString('latin1', pathsAt, pathsAt + paths);
  const rare = JSON.parse(file.toString('latin1', pathsAt + paths)) as Rare[];
  return { diffId, tarSize, entries: entriesOf(new Columns(count, numbers), names, rare) };
}

function entriesOf(columns: Columns, names: string, rare: readonly Rare[]): TocEntry[] {
  const { mtime, offset, pathEnd } = columns;
  const entries: TocEntry[] = new Array(mtime.length);
  let start = 0;
  for (let i = 0; i < entries.length; i++) {
    const end = pathEnd[i] ?? 0;
    const entry = entryAt(columns, i, names.slice(start, end));
    entries[i] = entry.size > 0 ? { ...entry, offset: offset[i] ?? 0 } : entry;
    start = end;
  }
  for (const [index, fields] of rare) {
    const entry = entries[index];
    if (entry !== undefined) entries[index] = { ...entry, ...fields };
  }
  return entries;
}
