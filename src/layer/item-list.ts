/**
 * Items of a layer on their way to another thread: numbers in columns, names as one text, so that 100,000 of them are two
 * blocks of memory that change hands, and no object is made of one before its turn.
 */
import { ByteText } from './byte-text.ts';
import { entryAt, putEntry, type RareFields, rareFields } from './entry-columns.ts';
import type { FileContent } from './file-tree.ts';
import type { TimeOrigin } from './layer-times.ts';
import type { PackItem } from './pack-tree.ts';

/** Items as data. Both buffers may be transferred. */
export interface ItemList {
  readonly count: number;
  readonly numbers: ArrayBuffer;
  readonly names: Uint8Array<ArrayBuffer>;
  /** What few items have, by the number of the item; in their order. */
  readonly rare: readonly RareParts[];
}

interface RareParts {
  readonly index: number;
  readonly fields: RareFields | undefined;
  /** Content that is no part of a file. */
  readonly content: FileContent | undefined;
}

/** Kinds of content; 0 is none, or a rare one. SAME_RANGE is a part of the file that the part before was of. */
const FILE = 1;
const RANGE = 2;
const SAME_RANGE = 3;

const ORIGINS: readonly (TimeOrigin | undefined)[] = [undefined, 'build', 'source'];

/** Columns of numbers, widest first, so that each begins where its numbers may. */
class Columns {
  readonly mtime: Float64Array;
  readonly size: Float64Array;
  /** Of a file's content its mtimeMs and ino, NaN where they are not known; of a part of a file where it is. */
  readonly one: Float64Array;
  readonly other: Float64Array;
  readonly uid: Uint32Array;
  readonly gid: Uint32Array;
  readonly pathEnd: Uint32Array;
  readonly contentEnd: Uint32Array;
  readonly mode: Uint16Array;
  readonly type: Uint8Array;
  readonly content: Uint8Array;
  readonly origin: Uint8Array;

  static bytes(count: number): number {
    return count * (4 * 8 + 4 * 4 + 2 + 3);
  }

  constructor(buffer: ArrayBuffer, count: number) {
    this.mtime = new Float64Array(buffer, 0, count);
    this.size = new Float64Array(buffer, 8 * count, count);
    this.one = new Float64Array(buffer, 16 * count, count);
    this.other = new Float64Array(buffer, 24 * count, count);
    this.uid = new Uint32Array(buffer, 32 * count, count);
    this.gid = new Uint32Array(buffer, 36 * count, count);
    this.pathEnd = new Uint32Array(buffer, 40 * count, count);
    this.contentEnd = new Uint32Array(buffer, 44 * count, count);
    this.mode = new Uint16Array(buffer, 48 * count, count);
    this.type = new Uint8Array(buffer, 50 * count, count);
    this.content = new Uint8Array(buffer, 51 * count, count);
    this.origin = new Uint8Array(buffer, 52 * count, count);
  }
}

/** Items as data. */
export function encodeItems(items: readonly PackItem[]): ItemList {
  const numbers = new ArrayBuffer(Columns.bytes(items.length));
  const writer = new ItemWriter(new Columns(numbers, items.length));
  for (const [index, item] of items.entries()) writer.put(index, item);
  return { count: items.length, numbers, names: writer.names.bytes(), rare: writer.rare };
}

class ItemWriter {
  readonly names = new ByteText();
  readonly rare: RareParts[] = [];
  readonly #columns: Columns;
  /** The file that the last part was of. */
  #range: string | undefined;

  constructor(columns: Columns) {
    this.#columns = columns;
  }

  put(index: number, { entry, content, origin }: PackItem): void {
    const columns = this.#columns;
    this.names.append(entry.path);
    columns.pathEnd[index] = this.names.length;
    putEntry(columns, index, entry);
    columns.origin[index] = ORIGINS.indexOf(origin);
    const isRare = content !== undefined && !this.#putContent(index, content);
    columns.contentEnd[index] = this.names.length;
    const fields = rareFields(entry);
    if (isRare || fields !== undefined) {
      this.rare.push({ index, fields, content: isRare ? content : undefined });
    }
  }

  /** False for content that is no part of a file. */
  #putContent(index: number, content: FileContent): boolean {
    if (content.kind === 'bytes') return false;
    const { content: kinds, one, other } = this.#columns;
    if (content.kind === 'file') {
      kinds[index] = FILE;
      this.names.append(content.path);
      one[index] = content.mtimeMs ?? Number.NaN;
      other[index] = content.ino ?? Number.NaN;
      return true;
    }
    kinds[index] = content.path === this.#range ? SAME_RANGE : RANGE;
    if (content.path !== this.#range) this.names.append(content.path);
    this.#range = content.path;
    one[index] = content.offset;
    other[index] = content.size;
    return true;
  }
}

/** The items, each made when it is asked for. */
export function* decodeItems({ count, numbers, names, rare }: ItemList): Generator<PackItem> {
  const columns = new Columns(numbers, count);
  const text = Buffer.from(names.buffer, names.byteOffset, names.length);
  let start = 0;
  let nextRare = 0;
  let range = '';
  for (let index = 0; index < count; index++) {
    const [pathEnd, end] = [columns.pathEnd[index] ?? 0, columns.contentEnd[index] ?? 0];
    const entry = entryAt(columns, index, text.toString('latin1', start, pathEnd));
    const kind = columns.content[index];
    const place = text.toString('latin1', pathEnd, end);
    if (kind === RANGE) range = place;
    const content = contentAt(columns, index, { kind, path: kind === SAME_RANGE ? range : place });
    const origin = ORIGINS[columns.origin[index] ?? 0];
    start = end;
    const more = rare[nextRare];
    if (more?.index !== index) {
      yield { entry, content, origin };
      continue;
    }
    nextRare += 1;
    yield { entry: { ...entry, ...more.fields }, content: more.content ?? content, origin };
  }
}

function contentAt(
  columns: Columns,
  index: number,
  { kind, path }: { readonly kind: number | undefined; readonly path: string },
): FileContent | undefined {
  const [one, other] = [columns.one[index] ?? 0, columns.other[index] ?? 0];
  if (kind === RANGE || kind === SAME_RANGE) return { kind: 'range', path, offset: one, size: other };
  if (kind !== FILE) return undefined;
  const mtimeMs = Number.isNaN(one) ? {} : { mtimeMs: one };
  return { kind: 'file', path, ...mtimeMs, ...(Number.isNaN(other) ? {} : { ino: other }) };
}
