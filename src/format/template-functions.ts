/** The functions of docker's templates, and of Go's own those that are of use on the command line. */
import { goString, isTrue, lengthOf } from './go-value.ts';

/** Takes evaluated arguments. Throws an Error that says what is wrong with them. */
type TemplateFunction = (...values: unknown[]) => unknown;

export const TEMPLATE_FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  json: (value) => JSON.stringify(value) ?? 'null',
  join: (list, separator) => listOf(list).map(goString).join(goString(separator)),
  split: (value, separator) => goString(value).split(goString(separator)),
  lower: (value) => goString(value).toLowerCase(),
  upper: (value) => goString(value).toUpperCase(),
  title: (value) =>
    goString(value).replaceAll(/(^|\s)(\p{Ll})/gu, (_, gap, letter) => gap + letter.toUpperCase()),
  pad: (value, before, after) => {
    const text = goString(value);
    return text === '' ? text : ' '.repeat(count(before)) + text + ' '.repeat(count(after));
  },
  truncate: (value, length) => [...goString(value)].slice(0, count(length)).join(''),
  len: (value) => {
    const length = lengthOf(value);
    if (length === undefined) throw new Error(`len: ${goString(value)} has no length`);
    return length;
  },
  index: (value, ...keys) => keys.reduce(item, value),
  print: (...values) => printed(values),
  println: (...values) => `${values.map(goString).join(' ')}\n`,
  printf: (format, ...values) => formatted(goString(format), values),
  and: (...values) => values.find((value) => !isTrue(value)) ?? values.at(-1),
  or: (...values) => values.find(isTrue) ?? values.at(-1),
  not: (value) => !isTrue(value),
  eq: (first, ...others) => others.some((other) => other === first),
  ne: (first, second) => first !== second,
  lt: (first, second) => compare(first, second) < 0,
  le: (first, second) => compare(first, second) <= 0,
  gt: (first, second) => compare(first, second) > 0,
  ge: (first, second) => compare(first, second) >= 0,
};

/** Functions that take any number of values beyond those they need. */
export const VARIADIC: ReadonlySet<string> = new Set([
  'index',
  'print',
  'println',
  'printf',
  'and',
  'or',
  'eq',
]);

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  throw new Error(`join: ${goString(value)} is no list`);
}

function count(value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value <= 10_000) return value;
  throw new Error(`${goString(value)} is no number of characters`);
}

function item(value: unknown, key: unknown): unknown {
  if (value === undefined || value === null) return undefined;
  if (Array.isArray(value)) {
    if (typeof key !== 'number')
      throw new Error(`index: a list is indexed by numbers, not by ${goString(key)}`);
    if (key < 0 || key >= value.length)
      throw new Error(`index: ${key} is out of range, the list has ${value.length} items`);
    return value[key];
  }
  if (typeof value !== 'object') throw new Error(`index: ${goString(value)} is no list and no map`);
  const name = goString(key);
  // A key that is not there is the empty value in Go.
  return Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : '';
}

/** fmt.Sprint: blanks between operands when neither is a string. */
function printed(values: readonly unknown[]): string {
  return values.reduce<string>((text, value, index) => {
    const before = values[index - 1];
    const gap = index > 0 && typeof value !== 'string' && typeof before !== 'string' ? ' ' : '';
    return text + gap + goString(value);
  }, '');
}

/** fmt.Sprintf with %s, %v, %d, %q and %%, widths and precisions. */
function formatted(format: string, values: readonly unknown[]): string {
  let next = 0;
  return format.replaceAll(/%(-?)(\d{0,3})(?:\.(\d{1,3}))?(.)/gs, (whole, left, width, precision, verb) => {
    if (verb === '%') return '%';
    if (!'svdq'.includes(verb))
      throw new Error(`printf: ${whole} is not supported (%s, %v, %d, %q and %% are)`);
    if (next >= values.length) throw new Error(`printf: there is no value for ${whole}`);
    let text = goString(values[next++]);
    if (precision !== undefined) text = [...text].slice(0, Number(precision)).join('');
    if (verb === 'q') text = JSON.stringify(text);
    return left === '-' ? text.padEnd(Number(width)) : text.padStart(Number(width));
  });
}

function compare(first: unknown, second: unknown): number {
  if (typeof first === 'number' && typeof second === 'number') return first - second;
  if (typeof first === 'string' && typeof second === 'string')
    return first < second ? -1 : first > second ? 1 : 0;
  throw new Error(`${goString(first)} and ${goString(second)} cannot be compared`);
}
