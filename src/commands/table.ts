/** Tables and sizes as terminals show them. */

/** Columns aligned by two blanks; the last column is not padded. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, cell.length);
    });
  const line = (row: readonly string[]): string =>
    row.map((cell, index) => (index === row.length - 1 ? cell : cell.padEnd(widths[index] ?? 0))).join('   ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Bytes in powers of 1000 with three significant digits, as docker shows them: 12.3MB. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : Number(value.toPrecision(3))}${UNITS[unit]}`;
}

const SPANS: readonly (readonly [limit: number, seconds: number, name: string])[] = [
  [60, 1, 'second'],
  [3600, 60, 'minute'],
  [86400, 3600, 'hour'],
  [86400 * 30, 86400, 'day'],
  [86400 * 365, 86400 * 30, 'month'],
  [Number.POSITIVE_INFINITY, 86400 * 365, 'year'],
];

/** "3 hours ago". `time` is RFC 3339, `now` milliseconds. */
export function formatAge(time: string | undefined, now: number): string {
  const at = time === undefined ? Number.NaN : Date.parse(time);
  if (Number.isNaN(at)) return 'N/A';
  const seconds = Math.max(0, Math.floor((now - at) / 1000));
  const [, unit, name] = SPANS.find(([limit]) => seconds < limit) ?? [0, 1, 'second'];
  const count = Math.floor(seconds / unit);
  return `${count} ${name}${count === 1 ? '' : 's'} ago`;
}
