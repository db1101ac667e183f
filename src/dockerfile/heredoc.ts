/**
 * Which here-documents a line opens. Follows BuildKit's frontend/dockerfile/parser: only RUN, COPY and ADD (or
 * ONBUILD of them) in shell form, words such as `3<<-"EOF"`, always lexed with the backslash.
 */
import { BuildError } from '../errors.ts';
import { type ExpandOptions, expandWords } from './expand.ts';
import type { Heredoc } from './instruction.ts';
import { type Escape, parseJsonArray, splitHead } from './words.ts';

/** A here-document before its body is read. */
export type HeredocMark = Omit<Heredoc, 'content'>;

const HOLDERS = new Set(['RUN', 'COPY', 'ADD']);
const HEREDOC_WORD = /^(\d*)<<(-?)[\t\n\f\r ]*([^<]*)$/;
const LEXER: ExpandOptions = { escape: '\\', keepUnset: true };
const NO_VARIABLES: ReadonlyMap<string, string> = new Map();

function wordsOf(text: string, options: ExpandOptions): readonly string[] | undefined {
  try {
    return expandWords(text, NO_VARIABLES, options).words;
  } catch (error) {
    if (error instanceof BuildError) return undefined;
    throw error;
  }
}

function countQuotes(text: string): number {
  return text.match(/['"]/g)?.length ?? 0;
}

/** The heredoc a word opens; undefined for any other word. */
export function parseHeredocWord(word: string): HeredocMark | undefined {
  const match = HEREDOC_WORD.exec(word);
  const [, fd = '', dash = '', rest = ''] = match ?? [];
  if (rest === '') return undefined;
  const [name, ...others] = wordsOf(rest, LEXER) ?? [];
  if (name === undefined || others.length > 0) return undefined;
  const [raw = ''] = wordsOf(rest, { ...LEXER, rawQuotes: true }) ?? [];
  // An escaped quote is in both readings; one that quoted something only in the raw one.
  const expand = countQuotes(name) === countQuotes(raw);
  return { name, expand, stripTabs: dash === '-', fd: Number(fd) };
}

function mayHoldHeredocs(line: string, escapeToken: Escape): boolean {
  const head = splitHead(line, escapeToken);
  const keyword = head.keyword.toUpperCase();
  if (keyword === 'ONBUILD') return head.rest !== '' && mayHoldHeredocs(head.rest, escapeToken);
  return HOLDERS.has(keyword) && parseJsonArray(head.rest) === undefined;
}

/** The heredocs of a logical line, in order. Throws DOCKERFILE_SYNTAX for a JSON array of other than strings. */
export function heredocsOf(line: string, escapeToken: Escape): HeredocMark[] {
  if (!line.includes('<<') || !mayHoldHeredocs(line, escapeToken)) return [];
  const words = wordsOf(line, { ...LEXER, rawQuotes: true, rawEscapes: true, joinHeredocs: true }) ?? [];
  return words.flatMap((word) => parseHeredocWord(word) ?? []);
}

/** A body as `<<-` gives it: without the tabs at the start of each line. */
export function stripLeadingTabs(content: string): string {
  return content.replaceAll(/^\t+/gm, '');
}
