/** How often each byte occurs, and what coding bytes by that takes. */

/** Tables taken in turns: an increment need not wait for one of the same count just before it. */
const [A, B, C, D] = [new Int32Array(256), new Int32Array(256), new Int32Array(256), new Int32Array(256)];

/** Occurrences of the 256 bytes. */
export function countBytes(bytes: Uint8Array): Int32Array {
  for (const table of [A, B, C, D]) table.fill(0);
  countPart(bytes, 0, bytes.length);
  return counted();
}

/** Bytes of a part that is looked at, of as many parts as there are of them in a whole one. */
const SAMPLE = 1024;
const PART = 4 * SAMPLE;

/** Bytes that may be missing in samples for these to do. */
const MISSING = 4;

/**
 * About how often each byte occurs, told from a quarter of them where nearly all occur there. None is said not to occur
 * that does.
 */
export function estimateCounts(bytes: Uint8Array): Int32Array {
  for (const table of [A, B, C, D]) table.fill(0);
  // At another place in each part: what repeats every 4096 bytes is not always or never met.
  for (let part = 0, from = 0; from + PART <= bytes.length; part++, from += PART) {
    const start = from + (part & 3) * SAMPLE;
    countPart(bytes, start, start + SAMPLE);
  }
  const counts = counted();
  let missing = 0;
  for (let byte = 0; byte < counts.length; byte++) {
    if (counts[byte] === 0) missing += 1;
    counts[byte] = Math.max(1, (counts[byte] ?? 0) * (PART / SAMPLE));
  }
  return missing > MISSING ? countBytes(bytes) : counts;
}

function countPart(bytes: Uint8Array, from: number, to: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const whole = from + ((to - from) & ~3);
  for (let at = from; at < whole; at += 4) {
    const four = view.getInt32(at, true);
    count(A, four & 0xff);
    count(B, (four >>> 8) & 0xff);
    count(C, (four >>> 16) & 0xff);
    count(D, four >>> 24);
  }
  for (let at = whole; at < to; at++) count(A, bytes[at] ?? 0);
}

function counted(): Int32Array {
  // One new array and none between: memory for one of this size is asked of the system each time.
  const sum = new Int32Array(256);
  for (let byte = 0; byte < sum.length; byte++) {
    sum[byte] = (A[byte] ?? 0) + (B[byte] ?? 0) + (C[byte] ?? 0) + (D[byte] ?? 0);
  }
  return sum;
}

function count(table: Int32Array, byte: number): void {
  table[byte] = (table[byte] ?? 0) + 1;
}

/** Occurrences in two places together. */
export function added(one: Int32Array, other: Int32Array): Int32Array {
  const both = new Int32Array(one.length);
  for (let byte = 0; byte < both.length; byte++) both[byte] = (one[byte] ?? 0) + (other[byte] ?? 0);
  return both;
}

const LOG_BITS = 11;
const ONE_BIT = 1 << 16;

/** Binary logarithms, in 65536ths of a bit: whole numbers, so that every machine comes to the same result. */
const LOGARITHMS = Int32Array.from({ length: 1 << LOG_BITS }, (_, of) =>
  of === 0 ? 0 : Math.round(Math.log2(of) * ONE_BIT),
);

/** Bits that bytes of these counts take at least when each is coded by how often it occurs; a whole number. */
export function codedBits(counts: Int32Array): number {
  let total = 0;
  let saved = 0;
  for (let byte = 0; byte < counts.length; byte++) {
    const times = counts[byte] ?? 0;
    total += times;
    saved += times * logarithm(times);
  }
  return Math.ceil((total * logarithm(total) - saved) / ONE_BIT);
}

function logarithm(of: number): number {
  const shift = Math.max(0, 32 - LOG_BITS - Math.clz32(of));
  return (LOGARITHMS[of >>> shift] ?? 0) + shift * ONE_BIT;
}
