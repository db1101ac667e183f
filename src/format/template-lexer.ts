/** Splits a Go template (text/template) into text and the tokens of its actions. */
import { BuildError } from '../errors.ts';

export type TokenKind =
  /** Bytes between actions. */
  | 'text'
  /** `{{` and `}}`. */
  | 'open'
  | 'close'
  /** `.Name`; a lone dot is `dot`. */
  | 'field'
  | 'dot'
  /** `$` and `$name`. */
  | 'variable'
  /** Functions, keywords, true, false and nil. */
  | 'word'
  | 'string'
  | 'number'
  /** One of `|`, `(`, `)`, `,`, `:=` and `=`. */
  | 'mark'
  | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** Name without its dot, value of a string, or the characters themselves. */
  readonly text: string;
  /** Index of the first character in the template. */
  readonly at: number;
  /** Blanks stand before it, so that `.A .B` are two fields and `.A.B` is one path. */
  readonly spaced: boolean;
}

/** The error for a template that cannot be read or used; counts characters from 1. */
export function templateError(template: string, at: number, why: string): BuildError {
  const start = Math.max(0, at - 20);
  const near = template.slice(start, at + 20).replaceAll(/[\t\n\r]/g, ' ');
  const pointer = `${' '.repeat(Math.max(0, at - start))}^`;
  const place = at >= template.length ? 'at the end' : `at character ${at + 1}`;
  return new BuildError('USAGE_FORMAT', `--format: ${why}, ${place}:\n  ${near}\n  ${pointer}`, {
    suggestions: [
      'Write json, table, or a template such as "{{.ID}} {{json .Labels}}"; docs/format.md lists what it may hold.',
    ],
  });
}

/** Tokens of a whole template; the last one is `end`. Throws USAGE_FORMAT. */
export function tokenize(template: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  let trimNext = false;
  while (at < template.length) {
    const open = template.indexOf('{{', at);
    const stop = open < 0 ? template.length : open;
    const trimmed = /^\{\{-[ \t\r\n]/.test(template.slice(stop, stop + 4));
    let text = template.slice(at, stop);
    if (trimNext) text = text.replace(/^[ \t\r\n]+/, '');
    if (trimmed) text = text.replace(/[ \t\r\n]+$/, '');
    if (text !== '') tokens.push({ kind: 'text', text, at, spaced: false });
    if (open < 0) break;
    const inside = open + (trimmed ? 3 : 2);
    const comment = /^\s*\/\*.*?\*\/\s*(-?)\}\}/s.exec(template.slice(inside));
    if (comment !== null) {
      trimNext = comment[1] === '-';
      at = inside + comment[0].length;
      continue;
    }
    tokens.push({ kind: 'open', text: '{{', at: open, spaced: false });
    ({ at, trimNext } = readAction(template, inside, tokens));
  }
  tokens.push({ kind: 'end', text: '', at: template.length, spaced: false });
  return tokens;
}

const PATTERNS: readonly (readonly [kind: TokenKind, pattern: RegExp])[] = [
  ['field', /\.[\p{L}_][\p{L}\p{N}_]*/uy],
  ['number', /[+-]?(?:\d+\.\d+|\d+)(?![\p{L}\p{N}_.])/uy],
  ['dot', /\./y],
  ['variable', /\$[\p{L}\p{N}_]*/uy],
  ['word', /[\p{L}_][\p{L}\p{N}_]*/uy],
  ['string', /"(?:[^"\\\n]|\\.)*"|`[^`]*`/y],
  ['mark', /:=|[|(),=]/y],
];

/** Reads up to the action's end; says where the text after it begins. */
function readAction(template: string, start: number, tokens: Token[]): { at: number; trimNext: boolean } {
  let at = start;
  for (;;) {
    const blanks = /[ \t\r\n]*/y;
    blanks.lastIndex = at;
    const spaced = (blanks.exec(template)?.[0].length ?? 0) > 0;
    at += blanks.lastIndex - at;
    const close = spaced && template.startsWith('-}}', at) ? 3 : template.startsWith('}}', at) ? 2 : 0;
    if (close > 0) {
      tokens.push({ kind: 'close', text: '}}', at, spaced });
      return { at: at + close, trimNext: close === 3 };
    }
    if (at >= template.length) throw templateError(template, at, 'the action is not closed with }}');
    const token = readToken(template, at, spaced);
    tokens.push(token.value);
    at = token.next;
  }
}

function readToken(template: string, at: number, spaced: boolean): { value: Token; next: number } {
  for (const [kind, pattern] of PATTERNS) {
    pattern.lastIndex = at;
    const found = pattern.exec(template)?.[0];
    if (found === undefined) continue;
    const text = kind === 'field' ? found.slice(1) : kind === 'string' ? unquote(template, at, found) : found;
    return { value: { kind, text, at, spaced }, next: at + found.length };
  }
  const character = template.slice(at, at + 1);
  const why = /["`]/.test(character) ? 'the string is not closed' : `"${character}" is not understood here`;
  throw templateError(template, at, why);
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '\\': '\\',
  '"': '"',
  "'": "'",
};

function unquote(template: string, at: number, quoted: string): string {
  const body = quoted.slice(1, -1);
  if (quoted.startsWith('`')) return body;
  return body.replaceAll(/\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))/g, (whole, wide, narrow, short) => {
    const code: string | undefined = wide ?? narrow;
    if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16));
    const character = ESCAPES[short];
    if (character === undefined) throw templateError(template, at, `the escape ${whole} is not known`);
    return character;
  });
}
