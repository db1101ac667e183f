/**
 * One logical line taken apart: keyword, flags, arguments, and the shapes arguments come in (JSON array, words
 * with quotes, plain list). Follows BuildKit's frontend/dockerfile/parser. Nothing here knows an instruction.
 */
import { BuildError } from '../errors.ts';
import { cutAtSeparator, isSpace, trimSpace, trimStart } from './text.ts';

/** The escape character of a file. */
export type Escape = '\\' | '`';

/** A logical line as BuildKit's parser cuts it. */
export interface Head {
  /** First word, in the case it was written. */
  readonly keyword: string;
  /** Leading words that begin with `--`, quotes and escapes removed. */
  readonly flags: readonly string[];
  /** What follows the flags, trimmed. */
  readonly rest: string;
}

/** Cuts a line into keyword, flags and the rest. A bare `--` ends the flags and is dropped. */
export function splitHead(line: string, escapeToken: Escape): Head {
  const [keyword, afterKeyword] = cutAtSeparator(trimSpace(line));
  if (afterKeyword === undefined) return { keyword, flags: [], rest: '' };
  const flags: string[] = [];
  let at = 0;
  for (;;) {
    while (at < afterKeyword.length && isSpace(afterKeyword[at] ?? '')) at++;
    if (!afterKeyword.startsWith('--', at)) break;
    const { word, end } = readFlag(afterKeyword, at, escapeToken);
    at = end;
    if (word === '--') break;
    flags.push(word);
  }
  return { keyword, flags, rest: trimSpace(afterKeyword.slice(at)) };
}

/** A flag up to the next space outside quotes; open quotes reach to the end, as BuildKit lets them. */
function readFlag(text: string, start: number, escapeToken: Escape): { word: string; end: number } {
  let word = '';
  let open = '';
  let at = start;
  for (; at < text.length; at++) {
    const character = text[at] ?? '';
    if (open === '' && isSpace(character)) break;
    if (character === escapeToken) word += text[++at] ?? '';
    else if (open === '' && (character === '"' || character === "'")) open = character;
    else if (character === open) open = '';
    else word += character;
  }
  return { word, end: Math.min(at, text.length) };
}

/**
 * The strings of a JSON array; undefined when the text is none, which makes it shell form or a plain list.
 * Throws DOCKERFILE_SYNTAX for a well-formed array with anything but strings in it.
 */
export function parseJsonArray(text: string): string[] | undefined {
  const json = trimStart(text);
  if (!json.startsWith('[')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  return value.map((item: unknown) => {
    if (typeof item === 'string') return item.toWellFormed();
    throw new BuildError(
      'DOCKERFILE_SYNTAX',
      'when using JSON array syntax, arrays must be comprised of strings only',
      { suggestions: ['Put every element of the array in double quotes.'] },
    );
  });
}

/** Words separated by spaces outside quotes. Quotes and escapes stay; a lone escape at the end is dropped. */
export function splitQuotedWords(text: string, escapeToken: Escape): string[] {
  const words: string[] = [];
  let word = '';
  let open = '';
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? '';
    if (open === '' && isSpace(character)) {
      if (word !== '') words.push(word);
      word = '';
      continue;
    }
    if (character === escapeToken && open !== "'") {
      if (at + 1 < text.length) word += character + (text[++at] ?? '');
      continue;
    }
    if (character === open) open = '';
    else if (open === '' && (character === '"' || character === "'")) open = character;
    word += character;
  }
  if (word !== '') words.push(word);
  return words;
}
