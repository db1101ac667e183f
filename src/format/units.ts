/** Sizes, ages and times as docker's lists show them. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Bytes in powers of 1000 with three significant digits: 12.3MB. */
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

/** "3 hours". Milliseconds; less than nothing counts as nothing. */
function formatSpan(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [, unit, name] = SPANS.find(([limit]) => seconds < limit) ?? [0, 1, 'second'];
  const count = Math.floor(seconds / unit);
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}

/** "3 hours ago". `time` is RFC 3339, `now` milliseconds. */
export function formatAge(time: string | undefined, now: number): string {
  const at = time === undefined ? Number.NaN : Date.parse(time);
  return Number.isNaN(at) ? 'N/A' : `${formatSpan(now - at)} ago`;
}

/** RFC 3339 as docker's lists write it, in UTC: "2026-01-31 12:00:00 +0000 UTC". */
export function formatTime(time: string | undefined): string {
  const at = time === undefined ? Number.NaN : Date.parse(time);
  if (Number.isNaN(at)) return 'N/A';
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} +0000 UTC`;
}
