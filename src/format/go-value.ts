/** Values of JSON as Go's templates see them: printed by %v, true or false, of a length. */

/** As fmt prints with %v: maps by sorted key, lists in brackets. */
export function goString(value: unknown): string {
  if (value === undefined) return '<no value>';
  if (value === null) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(goString).join(' ')}]`;
  if (typeof value === 'object') {
    return `map[${sortedEntries(value)
      .map(([key, item]) => `${key}:${goString(item)}`)
      .join(' ')}]`;
  }
  return String(value);
}

/** False for false, 0, "", nil and what is empty (text/template, "if"). */
export function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

/** Characters, items or keys; what is not there has none. Undefined for what has no length. */
export function lengthOf(value: unknown): number | undefined {
  if (value === undefined || value === null) return 0;
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  return typeof value === 'object' ? Object.keys(value).length : undefined;
}

/** Keys and values in the order of the keys. */
export function sortedEntries(value: object): [string, unknown][] {
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}
