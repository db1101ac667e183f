/** Whether bytes are worth gzip's search, told from samples in a fraction of the time that the search would take. */
import { countBytes } from './byte-counts.ts';

/** Parts of a unit that are looked at: as many, each of this many bytes. */
const SAMPLES = 4;
const SAMPLE_BYTES = 16 << 10;

/** What a sample must save, of its size, for the dearer way to be taken. */
const WORTHWHILE = 0.02;

/** `stored` for archives, images and noise; `huffman` for uneven bytes that never repeat; `full` for the rest. */
export type Way = 'stored' | 'huffman' | 'full';

/**
 * The cheapest way to compress a unit that loses next to nothing. A search for repeats takes three times as long as the
 * coding alone, and where there are none it makes nothing smaller. All samples must agree that there are none.
 */
export function cheapestWay(unit: Buffer): Way {
  if (unit.length < 2 * SAMPLES * SAMPLE_BYTES) return 'full';
  const stride = Math.floor(unit.length / SAMPLES);
  const enough = 8 * SAMPLE_BYTES * WORTHWHILE;
  let way: Way = 'stored';
  for (let index = 0; index < SAMPLES; index++) {
    const start = index * stride + ((stride - SAMPLE_BYTES) >> 1);
    const sample = unit.subarray(start, start + SAMPLE_BYTES);
    const counts = countBytes(sample);
    const codes = bitsEach(counts, sample.length);
    if (hasRepeats(sample, { codes, enough })) return 'full';
    const coded = codes.reduce((bits, code, byte) => bits + code * (counts[byte] ?? 0), 0);
    if (coded < 8 * SAMPLE_BYTES - enough) way = 'huffman';
  }
  return way;
}

/** Bits of each byte's code when it is coded by how often it occurs; no Huffman code is shorter than one. */
function bitsEach(counts: Int32Array, total: number): Float64Array {
  const codes = new Float64Array(counts.length);
  for (let byte = 0; byte < codes.length; byte++) {
    const count = counts[byte] ?? 0;
    if (count > 0) codes[byte] = Math.max(1, Math.log2(total / count));
  }
  return codes;
}

/** Shortest repeat that is looked for. */
const SHORTEST = 4;
const HASH_BITS = 13;

/** Where four bytes with this hash were last seen in a sample; its start until they were. */
const seen = new Uint16Array(1 << HASH_BITS);

/** True when saying repeats by reference saves more than `enough` bits over coding their bytes. */
function hasRepeats(
  bytes: Buffer,
  { codes, enough }: { readonly codes: Float64Array; readonly enough: number },
): boolean {
  seen.fill(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let saved = 0;
  for (let at = 1; at <= bytes.length - SHORTEST; ) {
    const four = view.getInt32(at, true);
    const hash = Math.imul(four, 0x9e3779b1) >>> (32 - HASH_BITS);
    const before = seen[hash] ?? 0;
    seen[hash] = at;
    if (view.getInt32(before, true) !== four) {
      at += 1;
      continue;
    }
    const repeat = bytes.subarray(at, at + repeatLength(bytes, before, at));
    saved += Math.max(0, sum(codes, repeat) - referenceBits(at - before));
    if (saved > enough) return true;
    at += repeat.length;
  }
  return false;
}

function sum(codes: Float64Array, bytes: Buffer): number {
  let bits = 0;
  for (let at = 0; at < bytes.length; at++) bits += codes[bytes[at] ?? 0] ?? 0;
  return bits;
}

/** What deflate takes, about, for a length and a distance: two codes, and more bits the farther it is. */
function referenceBits(distance: number): number {
  return 6 + Math.log2(distance);
}

function repeatLength(bytes: Buffer, before: number, at: number): number {
  let length = 0;
  while (at + length < bytes.length && bytes[before + length] === bytes[at + length]) length += 1;
  return length;
}
