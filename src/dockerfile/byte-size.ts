/** Sizes as docker reads them (units.RAMInBytes): a number and an optional unit, all of them powers of 1024. */

/** Bytes; undefined for what is no size. */
export function parseByteSize(text: string): number | undefined {
  const match = /^(\d+\.?\d*|\.\d+) ?(?:([kmgtp])(?:i?b)?|b)?$/i.exec(text);
  if (match === null) return undefined;
  const power = ' kmgtp'.indexOf(match[2]?.toLowerCase() ?? ' ');
  return Math.floor(Number(match[1]) * 1024 ** power);
}
