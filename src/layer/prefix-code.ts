/** Prefix codes of deflate (RFC 1951, 3.2.2): which lengths are best, and the codes that follow from them. */

/** More than there are symbols in any alphabet of deflate. */
const ALPHABET = 512;

/**
 * Lengths of the codes, in bits, that code symbols of these counts in the fewest bits when none is longer than `limit`.
 * 0 for symbols of no count. At least two symbols must have one, and not more than 2^limit.
 */
export function codeLengths(counts: Int32Array, limit: number): Uint8Array {
  const symbols = byCount(counts);
  const weights = symbols.map((symbol) => counts[symbol] ?? 0);
  const lists = mergedLists(weights, limit);
  // The cheapest of the last list make the code: a symbol's length is how often it is among them, packages opened.
  const lengths = new Uint8Array(counts.length);
  let taken = 2 * symbols.length - 2;
  for (const isPackage of lists.reverse()) {
    let packages = 0;
    for (let at = 0; at < taken; at++) packages += isPackage[at] ?? 0;
    for (const symbol of symbols.subarray(0, taken - packages)) lengths[symbol] = (lengths[symbol] ?? 0) + 1;
    taken = 2 * packages;
  }
  return lengths;
}

/** Symbols that occur, the rarest first, equal ones by number. */
function byCount(counts: Int32Array): Int32Array {
  const keys: number[] = [];
  counts.forEach((count, symbol) => {
    if (count > 0) keys.push(count * ALPHABET + symbol);
  });
  return Int32Array.from(Float64Array.from(keys).sort(), (key) => key % ALPHABET);
}

/**
 * The lists of package-merge (Larmore and Hirschberg), one for each bit of the limit: the symbols merged by weight with
 * packages of two neighbours each of the list before. Says of each item whether it is a package.
 */
function mergedLists(weights: Int32Array, limit: number): Uint8Array[] {
  const lists = [new Uint8Array(weights.length)];
  let before = Float64Array.from(weights);
  while (lists.length < limit) {
    const packages = before.length >> 1;
    const items = new Float64Array(weights.length + packages);
    const isPackage = new Uint8Array(items.length);
    for (let at = 0, symbol = 0, pair = 0; at < items.length; at++) {
      const single = weights[symbol] ?? Number.POSITIVE_INFINITY;
      const double =
        pair < packages ? (before[2 * pair] ?? 0) + (before[2 * pair + 1] ?? 0) : Number.POSITIVE_INFINITY;
      if (single <= double) symbol += 1;
      else pair += 1;
      items[at] = Math.min(single, double);
      isPackage[at] = single <= double ? 0 : 1;
    }
    lists.push(isPackage);
    before = items;
  }
  return lists;
}

/** The longest code of deflate. */
const MOST_BITS = 15;

/** Low bits of an entry that `codeTable` makes: the length of the code. The others are the code. */
export const LENGTH_BITS = 5;

/** The code of each symbol as it is written, first bit lowest, shifted by LENGTH_BITS, and its length. */
export function codeTable(lengths: Uint8Array): Int32Array {
  const next = firstCodes(lengths);
  return Int32Array.from(lengths, (length) => {
    if (length === 0) return 0;
    const code = next[length] ?? 0;
    next[length] = code + 1;
    return (reversed(code, length) << LENGTH_BITS) | length;
  });
}

/** Codes of a length follow each other, and those of the next length follow them, with a bit more. */
function firstCodes(lengths: Uint8Array): Int32Array {
  const first = new Int32Array(MOST_BITS + 1);
  for (const length of lengths) {
    for (let longer = length + 1; length > 0 && longer <= MOST_BITS; longer++) {
      first[longer] = (first[longer] ?? 0) + (1 << (longer - length));
    }
  }
  return first;
}

function reversed(code: number, length: number): number {
  let bits = 0;
  for (let bit = 0; bit < length; bit++) bits = (bits << 1) | ((code >>> bit) & 1);
  return bits;
}
