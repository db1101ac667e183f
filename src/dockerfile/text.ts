/**
 * Small text functions with Go's meaning of space, quote and boolean. BuildKit is written in Go and its
 * users' files depend on these meanings, which differ from JavaScript's in a few characters.
 */

/** unicode.IsSpace: without U+FEFF, with U+0085, unlike `\s` in JavaScript. */
const SPACE = '\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const ONE_SPACE = new RegExp(`^[${SPACE}]$`);
const LEADING = new RegExp(`^[${SPACE}]+`);
/** What separates arguments on one line; narrower than a space, as in BuildKit's line parsers. */
const SEPARATOR = /[\t\v\f\r ]+/;

/** True for one character that Go calls a space; false for the empty string. */
export function isSpace(character: string): boolean {
  return ONE_SPACE.test(character);
}

/** `text` without spaces at its start. */
export function trimStart(text: string): string {
  return text.replace(LEADING, '');
}

/** `text` without spaces at both ends. */
export function trimSpace(text: string): string {
  const start = trimStart(text);
  let end = start.length;
  // A regular expression would try every run of spaces inside, again from each of its characters.
  while (end > 0 && isSpace(start[end - 1] ?? '')) end--;
  return start.slice(0, end);
}

/** Splits at the first run of separators; the second part is undefined where there is none. */
export function cutAtSeparator(text: string): [string, string | undefined] {
  const match = SEPARATOR.exec(text);
  if (match === null) return [text, undefined];
  return [text.slice(0, match.index), text.slice(match.index + match[0].length)];
}

/** Splits at every run of separators; none for the empty string. */
export function splitAtSeparators(text: string): string[] {
  return text === '' ? [] : text.split(SEPARATOR);
}

/** Splits at the first `mark`; the second part is undefined where there is none. */
export function cut(text: string, mark: string): [string, string | undefined] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + mark.length)];
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};

/** `text` in double quotes as Go's `%q` prints it, so that messages agree with BuildKit's. */
export function quote(text: string): string {
  const inner = text.replaceAll(/["\\]|(?! )[\p{C}\p{Z}]/gu, (character) => {
    const known = ESCAPES[character];
    if (known !== undefined) return known;
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
    if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`;
    return `\\U${code.toString(16).padStart(8, '0')}`;
  });
  return `"${inner}"`;
}

/** strconv.ParseBool; undefined where Go reports an error. */
export function parseBool(text: string): boolean | undefined {
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(text)) return false;
  return undefined;
}
