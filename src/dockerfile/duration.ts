/** Durations as Go writes them (`1m30s`, `1.5h`, `500ms`), read into nanoseconds as time.ParseDuration does. */
import { quote } from './text.ts';

const UNITS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

const PART = /^(\d*)(\.\d*)?([^\d.]*)/;

/** Nanoseconds of a Go duration; fractions of a nanosecond are dropped. Throws an Error with Go's text. */
export function parseDuration(text: string): number {
  const unsigned = text.replace(/^[+-]/, '');
  if (unsigned === '0') return 0;
  if (unsigned === '') throw new Error(`time: invalid duration ${quote(text)}`);
  let total = 0;
  for (let rest = unsigned; rest !== ''; ) {
    const [part = '', whole = '', fraction = '', unit = ''] = PART.exec(rest) ?? [];
    if (whole === '' && fraction.length < 2) throw new Error(`time: invalid duration ${quote(text)}`);
    if (unit === '') throw new Error(`time: missing unit in duration ${quote(text)}`);
    const factor = Object.hasOwn(UNITS, unit) ? UNITS[unit] : undefined;
    if (factor === undefined) throw new Error(`time: unknown unit ${quote(unit)} in duration ${quote(text)}`);
    total += Number(whole) * factor + Math.floor(Number(`0${fraction}`) * factor);
    if (total >= 2 ** 63) throw new Error(`time: invalid duration ${quote(text)}`);
    rest = rest.slice(part.length);
  }
  return text.startsWith('-') ? -total : total;
}
