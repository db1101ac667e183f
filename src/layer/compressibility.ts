/** Whether bytes are worth gzip's search, told from samples in a fraction of the time that the search would take. */

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
    const codes = codeLengths(sample);
    if (hasRepeats(sample, { codes, enough })) return 'full';
    const coded = sum(codes, sample);
    if (coded < 8 * SAMPLE_BYTES - enough) way = 'huffman';
  }
  return way;
}

/** Bits of each byte's code when it is coded by how often it occurs; no Huffman code is shorter than one. */
function codeLengths(bytes: Buffer): Float64Array {
  const counts = new Uint32Array(256);
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    counts[byte] = (counts[byte] ?? 0) + 1;
  }
  return Float64Array.from(counts, (count) =>
    count === 0 ? 0 : Math.max(1, Math.log2(bytes.length / count)),
  );
}

function sum(codes: Float64Array, bytes: Buffer): number {
  let bits = 0;
  for (let at = 0; at < bytes.length; at++) bits += codes[bytes[at] ?? 0] ?? 0;
  return bits;
}

/** Shortest repeat that is looked for. */
const SHORTEST = 4;
const HASH_BITS = 13;

/** True when saying repeats by reference saves more than `enough` bits over coding their bytes. */
function hasRepeats(
  bytes: Buffer,
  { codes, enough }: { readonly codes: Float64Array; readonly enough: number },
): boolean {
  /** Where four bytes with this hash were last seen, plus one. */
  const seen = new Uint16Array(1 << HASH_BITS);
  let saved = 0;
  let four = 0;
  let after = 0;
  for (let end = 0; end < bytes.length; end++) {
    // The last four bytes as a number, made from the one before.
    four = (four >>> 8) | ((bytes[end] ?? 0) << 24);
    const at = end - SHORTEST + 1;
    if (at < after) continue;
    const hash = Math.imul(four, 0x9e3779b1) >>> (32 - HASH_BITS);
    const before = (seen[hash] ?? 0) - 1;
    seen[hash] = at + 1;
    if (before < 0) continue;
    const length = repeatLength(bytes, before, at);
    if (length < SHORTEST) continue;
    saved += Math.max(0, sum(codes, bytes.subarray(at, at + length)) - referenceBits(at - before));
    if (saved > enough) return true;
    after = at + length;
  }
  return false;
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
