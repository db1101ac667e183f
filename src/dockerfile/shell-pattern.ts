/**
 * The patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*` and `?`, no brackets, a backslash before `* ? \ } /`.
 * Follows BuildKit's frontend/dockerfile/shell, whose patterns always use the backslash.
 */

/** Characters that mean something in a regular expression but not in a pattern. */
const SPECIAL = /[[\]{}.+()|^$]/;

interface PatternOptions {
  readonly greedy: boolean;
  readonly anchored: boolean;
}

/** Throws an Error "invalid escape …" for a backslash before any other character. */
function toRegExp(pattern: string, { greedy, anchored }: PatternOptions): RegExp {
  const characters = [...pattern];
  let source = anchored ? '^' : '';
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? '';
    if (character === '*') source += greedy ? '[^\\n]*' : '[^\\n]*?';
    else if (character === '?') source += '[^\\n]';
    else if (character === '\\') {
      const next = characters[at + 1] ?? '\ufffd';
      // The escape in `\}` and `\/` only keeps the substitution from ending there.
      if (next === '}' || next === '/') continue;
      if (!'*?\\'.includes(next)) throw new Error(`invalid escape '\\${next}'`);
      source += `\\${next}`;
      at++;
    } else source += SPECIAL.test(character) ? `\\${character}` : character;
  }
  return new RegExp(source, 'u');
}

function compile(pattern: string, options: PatternOptions): RegExp {
  try {
    return toRegExp(pattern, options);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`invalid pattern (${pattern}) in substitution: ${reason}`);
  }
}

/** `value` without the shortest (or longest) start that matches. Throws for a bad pattern. */
export function removePrefix(value: string, pattern: string, longest: boolean): string {
  const match = compile(pattern, { greedy: longest, anchored: true }).exec(value);
  return match === null ? value : value.slice(match[0].length);
}

/** The pattern read from its end; an escape stays before the character it escapes. */
function reversePattern(pattern: string): string {
  return (pattern.match(/\\.|./gsu) ?? []).reverse().join('');
}

/** `value` without the shortest (or longest) end that matches. Throws for a bad pattern. */
export function removeSuffix(value: string, pattern: string, longest: boolean): string {
  // A regular expression cannot look for the shortest end, but it can for the shortest start of the mirror image.
  const mirrored = removePrefix([...value].reverse().join(''), reversePattern(pattern), longest);
  return [...mirrored].reverse().join('');
}

/** What a `${x/pattern/replacement}` does. */
export interface Replacement {
  readonly pattern: string;
  readonly replacement: string;
  /** True for `${x//…}`. */
  readonly all: boolean;
}

/** `value` with the first (or each) longest match replaced; the replacement is taken literally. Throws for a bad pattern. */
export function replaceMatches(value: string, { pattern, replacement, all }: Replacement): string {
  const expression = new RegExp(compile(pattern, { greedy: true, anchored: false }), 'gu');
  let result = '';
  let end = -1;
  let copied = 0;
  for (const match of value.matchAll(expression)) {
    // As in Go, an empty match right after another match is none.
    if (match[0] === '' && match.index === end) continue;
    result += value.slice(copied, match.index) + replacement;
    end = copied = match.index + match[0].length;
    if (!all) break;
  }
  return result + value.slice(copied);
}
