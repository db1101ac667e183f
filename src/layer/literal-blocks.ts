/**
 * Deflate of literals alone: every byte coded by how often it occurs, and no repeats. As small as what zlib makes with
 * Z_HUFFMAN_ONLY, and several times as fast.
 */
import { BitWriter } from './bit-writer.ts';
import { added, codedBits, countBytes, estimateCounts } from './byte-counts.ts';
import { codeLengths, codeTable } from './prefix-code.ts';

/** Bytes whose counts are taken together: where they change, a new block with a code of its own may begin. */
const PIECE = 32 << 10;

/** Deflate allows 15. With 12, the codes of two bytes and seven bits before them fit an integer. */
const LONGEST_CODE = 12;

const END_OF_BLOCK = 256;

/**
 * Bits that a block must save: about 800 for its head, and as many again because counts of a sample fit their sample
 * better than they fit what was not looked at.
 */
const HEAD_BITS = 1600;

/** How much longer than their estimate bytes may come out. No code of whole bits meets it. */
const WELL_ESTIMATED = 1.02;

interface Block {
  readonly from: number;
  readonly to: number;
  readonly counts: Int32Array;
  /** Of its literals, coded with these counts. */
  readonly bits: number;
}

/** Bytes that `codeLiterals` takes at worst for as many, before it finds a better way. */
export function literalRoom(length: number): number {
  return Math.ceil((length * LONGEST_CODE) / 8) + 320 * (Math.floor(length / PIECE) + 1);
}

/**
 * Writes bytes as deflate blocks into a buffer that has `literalRoom` for them, and returns the length of what it wrote.
 * It starts and stops at a byte boundary, as after a sync flush; no block is marked as the last one.
 */
export function codeLiterals(bytes: Uint8Array, into: Uint8Array): number {
  const estimated = blocksOf(bytes, estimateCounts);
  const length = writeBlocks(bytes, into, estimated);
  const expected = estimated.reduce((sum, { bits }) => sum + bits + HEAD_BITS, 0) / 8;
  // The samples were unlike the rest.
  return length > expected * WELL_ESTIMATED ? writeBlocks(bytes, into, blocksOf(bytes, countBytes)) : length;
}

function writeBlocks(bytes: Uint8Array, into: Uint8Array, blocks: readonly Block[]): number {
  const writer = new BitWriter(into);
  for (const { from, to, counts } of blocks) {
    const lengths = codeLengths(Int32Array.of(...counts, 1), LONGEST_CODE);
    const table = codeTable(lengths);
    writeHead(writer, lengths);
    // Many short calls: V8 makes fast code for the whole of what is called often, for a long loop only while it runs.
    for (let at = from; at < to; at += PIECE)
      writer.codes(bytes.subarray(at, Math.min(at + PIECE, to)), table);
    writer.code(table[END_OF_BLOCK] ?? 0);
  }
  return writer.syncFlush();
}

/** Neighbours share a block where codes of their own cost more than they save. */
function blocksOf(bytes: Uint8Array, countsOf: (piece: Uint8Array) => Int32Array): Block[] {
  const blocks: Block[] = [];
  for (let from = 0; from < bytes.length; from += PIECE) {
    const to = Math.min(from + PIECE, bytes.length);
    const counts = countsOf(bytes.subarray(from, to));
    const piece = { from, to, counts, bits: codedBits(counts) };
    const last = blocks.at(-1);
    const joined = last === undefined ? undefined : join(last, piece);
    if (last === undefined || joined === undefined || joined.bits > last.bits + piece.bits + HEAD_BITS) {
      blocks.push(piece);
    } else {
      blocks[blocks.length - 1] = joined;
    }
  }
  return blocks;
}

function join(one: Block, other: Block): Block {
  const counts = added(one.counts, other.counts);
  return { from: one.from, to: other.to, counts, bits: codedBits(counts) };
}

/** Symbols of the code of code lengths (RFC 1951, 3.2.7), beside the lengths 0 to 15 themselves. */
const SAME_AGAIN = 16;
const FEW_ZEROS = 17;
const MANY_ZEROS = 18;

/** The order in which lengths of that code are written. */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/** Nothing is ever said by distance, but some readers want a code for it, and a full one. */
const DISTANCES = [1, 1];

/** Head of a block with a code of its own (RFC 1951, 3.2.7), for the literals and the end of the block. */
function writeHead(writer: BitWriter, lengths: Uint8Array): void {
  const runs = runsOf([...lengths, ...DISTANCES]);
  const counts = new Int32Array(ORDER.length);
  for (const { symbol } of runs) counts[symbol] = (counts[symbol] ?? 0) + 1;
  const metaLengths = codeLengths(counts, 7);
  const table = codeTable(metaLengths);
  const written = 1 + ORDER.findLastIndex((symbol) => metaLengths[symbol] !== 0);
  writer.put(0, 1);
  writer.put(2, 2);
  writer.put(lengths.length - 257, 5);
  writer.put(DISTANCES.length - 1, 5);
  writer.put(written - 4, 4);
  for (const symbol of ORDER.slice(0, written)) writer.put(metaLengths[symbol] ?? 0, 3);
  for (const { symbol, extra, extraBits } of runs) {
    writer.code(table[symbol] ?? 0);
    writer.put(extra, extraBits);
  }
}

interface Run {
  readonly symbol: number;
  readonly extra: number;
  readonly extraBits: number;
}

/** Code lengths as symbols of the code of code lengths: runs of equal ones are said by their number. */
function runsOf(lengths: readonly number[]): Run[] {
  const runs: Run[] = [];
  for (let at = 0; at < lengths.length; ) {
    const length = lengths[at] ?? 0;
    let equal = 1;
    while (equal < 138 && lengths[at + equal] === length) equal += 1;
    if (length === 0 && equal > 10) {
      runs.push({ symbol: MANY_ZEROS, extra: equal - 11, extraBits: 7 });
    } else if (length === 0 && equal > 2) {
      runs.push({ symbol: FEW_ZEROS, extra: equal - 3, extraBits: 3 });
    } else if (equal > 2 && length === lengths[at - 1]) {
      equal = Math.min(equal, 6);
      runs.push({ symbol: SAME_AGAIN, extra: equal - 3, extraBits: 2 });
    } else {
      equal = 1;
      runs.push({ symbol: length, extra: 0, extraBits: 0 });
    }
    at += equal;
  }
  return runs;
}
