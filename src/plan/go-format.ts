/** Text as Go's fmt package prints it, because the history of images is written that way by every builder. */

const ESCAPES: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '"': '\\"',
  '\\': '\\\\',
};

/** %q of a string. */
function quote(text: string): string {
  const body = [...text].map((character) => {
    const known = ESCAPES[character];
    if (known !== undefined) return known;
    const code = character.codePointAt(0) ?? 0;
    return code < 0x20 || code === 0x7f ? `\\x${code.toString(16).padStart(2, '0')}` : character;
  });
  return `"${body.join('')}"`;
}

/** %q of a slice of strings: ["a" "b"]. */
export function quoteList(words: readonly string[]): string {
  return `[${words.map(quote).join(' ')}]`;
}

/** %v of a slice of strings: [a b]. */
export function plainList(words: readonly string[]): string {
  return `[${words.join(' ')}]`;
}

/** time.Duration's String(): 1m30s, 500ms, 0s. `nanoseconds` is a whole number. */
export function duration(nanoseconds: number): string {
  if (nanoseconds === 0) return '0s';
  if (nanoseconds < 1e3) return `${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${nanoseconds / 1e3}µs`;
  if (nanoseconds < 1e9) return `${nanoseconds / 1e6}ms`;
  const hours = Math.floor(nanoseconds / 3.6e12);
  const minutes = Math.floor((nanoseconds % 3.6e12) / 6e10);
  const seconds = Number(((nanoseconds % 6e10) / 1e9).toFixed(9));
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}s`;
}
