/**
 * File name patterns: `*`, `?`, `[a-z]`, `[^a]` and `\` as in Go's filepath.Match, and the `**` of ignore files as in
 * moby/patternmatcher. Both become regular expressions; patterns and names are text, with `/` between parts.
 */
import { BuildError } from '../errors.ts';

/** True when a COPY or ADD source has a wildcard outside an escape. */
export function hasWildcard(path: string): boolean {
  return /[*?[]/.test(path.replaceAll(/\\./gsu, ''));
}

function syntaxError(pattern: string): BuildError {
  return new BuildError('CONTEXT_PATTERN', `syntax error in pattern: ${pattern}`, {
    suggestions: ['Close every [ with ], put something between them, and do not end with a backslash.'],
  });
}

/** One character as a regular expression that matches it alone. */
function literal(character: string): string {
  return /[\p{L}\p{Nd}_/ -]/u.test(character) ? character : `\\u{${character.codePointAt(0)?.toString(16)}}`;
}

/** Reads a pattern's characters one by one. */
class PatternReader {
  readonly #pattern: string;
  readonly #characters: readonly string[];
  #at = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#characters = [...pattern];
  }

  peek(): string | undefined {
    return this.#characters[this.#at];
  }

  next(): string {
    const character = this.#characters[this.#at++];
    if (character === undefined) throw syntaxError(this.#pattern);
    return character;
  }

  /** Eats `expected` if it comes next. */
  eat(expected: string): boolean {
    if (this.peek() !== expected) return false;
    this.#at++;
    return true;
  }

  /** The rest of a class after its `[`, as a regular expression. A class may match a slash. */
  readClass(): string {
    const negated = this.eat('^');
    const ranges: string[] = [];
    while (ranges.length === 0 || !this.eat(']')) ranges.push(this.#readRange());
    const known = ranges.filter((range) => range !== '');
    if (known.length === 0) return negated ? '[^]' : '[]';
    return `[${negated ? '^' : ''}${known.join('')}]`;
  }

  /** A character or a range; a range that runs backwards is legal and matches nothing. */
  #readRange(): string {
    const low = this.#readMember();
    const high = this.eat('-') ? this.#readMember() : low;
    const from = low.codePointAt(0) ?? 0;
    const to = high.codePointAt(0) ?? 0;
    return from > to ? '' : `\\u{${from.toString(16)}}-\\u{${to.toString(16)}}`;
  }

  #readMember(): string {
    const character = this.next();
    if (character === '-' || character === ']') throw syntaxError(this.#pattern);
    const member = character === '\\' ? this.next() : character;
    if (this.peek() === undefined) throw syntaxError(this.#pattern);
    return member;
  }
}

/** What a plain part of a pattern means; undefined for `*`, which the two dialects read differently. */
function readPart(reader: PatternReader): string | undefined {
  const character = reader.next();
  if (character === '*') return undefined;
  if (character === '?') return '[^/]';
  if (character === '[') return reader.readClass();
  return literal(character === '\\' ? reader.next() : character);
}

/**
 * A pattern of Go's filepath.Match as a test: `*` and `?` stay within one part of a path, the whole name must match.
 * Throws CONTEXT_PATTERN for a malformed pattern.
 */
export function compileGlob(pattern: string): (name: string) => boolean {
  const reader = new PatternReader(pattern);
  let source = '';
  while (reader.peek() !== undefined) source += readPart(reader) ?? '[^/]*';
  const expression = new RegExp(`^${source}$`, 'u');
  return (name) => expression.test(name);
}

/** True when `name` matches `pattern` as in filepath.Match. Throws CONTEXT_PATTERN. */
export function matchPath(pattern: string, name: string): boolean {
  return compileGlob(pattern)(name);
}

/**
 * Splits a COPY or ADD source at its first part with a wildcard. Below `base`, BuildKit matches `pattern` against whole
 * relative paths and does not look inside a directory that matched. `pattern` is undefined without a wildcard.
 */
export function splitWildcard(path: string): { base: string; pattern: string | undefined } {
  const parts = path.split('/');
  const first = parts.findIndex(hasWildcard);
  if (first < 0) return { base: path, pattern: undefined };
  return { base: parts.slice(0, first).join('/'), pattern: parts.slice(first).join('/') };
}

/** `**` in the middle: any number of directories; it takes a slash after it along. */
function readDoubleStar(reader: PatternReader): string {
  reader.eat('/');
  return reader.peek() === undefined ? '[^]*' : '(?:[^]*/)?';
}

/**
 * A pattern of an ignore file, `--exclude` or `--parents` as a test on one path, parents not considered. `**` stands for
 * any number of directories; `a/**` is everything below `a` but not `a`. Throws CONTEXT_PATTERN.
 */
export function compileIgnorePattern(pattern: string): (path: string) => boolean {
  // Checked whole first: below, a `**` in front would hide what follows it.
  compileGlob(pattern);
  if (/^[^*?[\]\\]*$/.test(pattern)) return (path) => path === pattern;
  const suffix = pattern.startsWith('**') ? pattern.slice(2) : undefined;
  if (suffix !== undefined && !/[*?[\]\\]/.test(suffix)) {
    return (path) => path.endsWith(suffix) || (suffix.startsWith('/') && path === suffix.slice(1));
  }
  const reader = new PatternReader(pattern);
  let source = '';
  while (reader.peek() !== undefined) {
    source += readPart(reader) ?? (reader.eat('*') ? readDoubleStar(reader) : '[^/]*');
  }
  const expression = new RegExp(`^${source}$`, 'u');
  return (path) => expression.test(path);
}
