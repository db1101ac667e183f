/**
 * Words of a Dockerfile: variables replaced, quotes and escapes removed, split where spaces stand outside
 * quotes. Follows BuildKit's frontend/dockerfile/shell (Lex), with one fault left out: a word that is split keeps the
 * text in front of a `${x-…}`.
 */
import { BuildError, messageOf } from '../errors.ts';
import { removePrefix, removeSuffix, replaceMatches } from './shell-pattern.ts';
import { isSpace, quote } from './text.ts';

/** The values of variables by name. */
export type Variables = ReadonlyMap<string, string>;

export interface ExpandOptions {
  /** The file's escape character. */
  readonly escape: '\\' | '`';
  /** Quotes are ordinary characters, as in the body of a COPY heredoc. */
  readonly keepQuotes?: boolean;
  /** Quotes still quote but stay in the result. */
  readonly rawQuotes?: boolean;
  /** Escapes still escape but stay in the result. */
  readonly rawEscapes?: boolean;
  /** Variables without a value stay as written. */
  readonly keepUnset?: boolean;
  /** Blanks after `<<` do not end the word, so that `<< EOF` is one heredoc word. */
  readonly joinHeredocs?: boolean;
}

/** Which variables a text named. */
interface Mentions {
  /** Variables that have a value. */
  readonly used: ReadonlySet<string>;
  /** Variables that have none, whatever default was then taken. */
  readonly unset: ReadonlySet<string>;
}

export interface ExpandedWord extends Mentions {
  readonly text: string;
}

export interface ExpandedWords extends Mentions {
  readonly words: readonly string[];
}

/** Both readings of a stretch of text: as one word and as several. */
interface Stretch {
  readonly text: string;
  readonly words: readonly string[];
}

/** Collects words; spaces that come from quotes or escapes do not separate. */
class WordList {
  readonly words: string[] = [];
  #word = '';

  add(text: string): void {
    for (const character of text) {
      if (!isSpace(character)) this.#word += character;
      else this.end();
    }
  }

  addQuoted(text: string): void {
    this.#word += text;
  }

  end(): void {
    if (this.#word !== '') this.words.push(this.#word);
    this.#word = '';
  }
}

const LETTER_OR_DIGIT = /^[\p{L}\p{Nd}_]$/u;
const DIGIT = /^\p{Nd}$/u;
const SPECIAL_PARAMETER = /^[@*#?\-$!]$/;

class WordLexer {
  readonly used = new Set<string>();
  readonly unset = new Set<string>();
  readonly #source: string;
  readonly #variables: Variables;
  readonly #options: ExpandOptions;
  #rawEscapes: boolean;
  #at = 0;

  constructor(source: string, variables: Variables, options: ExpandOptions) {
    this.#source = source;
    this.#variables = variables;
    this.#options = options;
    this.#rawEscapes = options.rawEscapes ?? false;
  }

  /** Reads to the end of the text. */
  readAll(): Stretch {
    return this.#readUntil('', this.#rawEscapes);
  }

  get #atEnd(): boolean {
    return this.#at >= this.#source.length;
  }

  /** The next character; the empty string at the end. */
  #peek(): string {
    const code = this.#source.codePointAt(this.#at);
    return code === undefined ? '' : String.fromCodePoint(code);
  }

  #next(): string {
    const character = this.#peek();
    this.#at += character.length;
    return character;
  }

  /** Reads to `stop` (eaten), or to the end when `stop` is empty. */
  #readUntil(stop: string, rawEscapes: boolean): Stretch {
    const outer = this.#rawEscapes;
    this.#rawEscapes = rawEscapes;
    try {
      return this.#readStretch(stop);
    } finally {
      this.#rawEscapes = outer;
    }
  }

  #readStretch(stop: string): Stretch {
    const list = new WordList();
    let text = '';
    while (!this.#atEnd) {
      const character = this.#peek();
      if (character === stop) {
        this.#next();
        list.end();
        return { text, words: list.words };
      }
      if (character === '$') {
        const value = this.#readVariable();
        text += value;
        list.add(value);
      } else if (character === this.#options.escape || this.#isQuoting(character)) {
        const literal = this.#readLiteral(character);
        text += literal;
        list.addQuoted(literal);
      } else {
        this.#next();
        text += character;
        list.add(character);
      }
    }
    if (stop !== '') throw new Error(`unexpected end of statement while looking for matching ${stop}`);
    list.end();
    return { text, words: list.words };
  }

  /** True where spaces are part of the word: quotes, and `<<` when heredocs are looked for. */
  #isQuoting(character: string): boolean {
    if (character === "'" || character === '"') return this.#options.keepQuotes !== true;
    return character === '<' && this.#options.joinHeredocs === true;
  }

  #readLiteral(character: string): string {
    if (character === "'") return this.#readSingleQuoted();
    if (character === '"') return this.#readDoubleQuoted();
    if (character === '<') return this.#readHeredocMark();
    return this.#readEscape();
  }

  /** An escape outside quotes: the next character, whatever it is; nothing at the end. */
  #readEscape(): string {
    const token = this.#next();
    return (this.#rawEscapes ? token : '') + this.#next();
  }

  #readHeredocMark(): string {
    this.#next();
    if (this.#peek() !== '<') return '<';
    this.#next();
    let mark = '<<';
    while (this.#peek() === ' ' || this.#peek() === '\t') mark += this.#next();
    return mark;
  }

  #readSingleQuoted(): string {
    const mark = this.#options.rawQuotes === true ? "'" : '';
    const end = this.#source.indexOf("'", this.#at + 1);
    if (end < 0) {
      this.#at = this.#source.length;
      throw new Error('unexpected end of statement while looking for matching single-quote');
    }
    const text = this.#source.slice(this.#at + 1, end);
    this.#at = end + 1;
    return mark + text + mark;
  }

  #readDoubleQuoted(): string {
    const mark = this.#options.rawQuotes === true ? '"' : '';
    this.#next();
    let text = mark;
    while (!this.#atEnd) {
      const character = this.#peek();
      if (character === '$') {
        text += this.#readVariable();
        continue;
      }
      this.#next();
      if (character === '"') return text + mark;
      text += character === this.#options.escape ? this.#readQuotedEscape(character) : character;
    }
    throw new Error('unexpected end of statement while looking for matching double-quote');
  }

  /** Inside double quotes the escape only escapes a quote, a dollar and itself. */
  #readQuotedEscape(token: string): string {
    const raw = this.#rawEscapes ? token : '';
    const next = this.#peek();
    if (next === '') return raw;
    if (next === '"' || next === '$' || next === token) return raw + this.#next();
    return raw + token;
  }

  /** `$name`, `${name}` and `${name…}`. */
  #readVariable(): string {
    this.#next();
    if (this.#peek() !== '{') {
      const name = this.#readName();
      if (name === '') return '$';
      return this.#valueOf(name) ?? (this.#options.keepUnset === true ? `$${name}` : '');
    }
    this.#next();
    const first = this.#peek();
    if (first === '') throw new Error("syntax error: missing '}'");
    if (first === '{' || first === '}' || first === ':') throw new Error('syntax error: bad substitution');
    const name = this.#readName();
    const mark = this.#next();
    if (mark === '}') return this.#valueOf(name) ?? (this.#options.keepUnset === true ? `\${${name}}` : '');
    if (mark === '/') return this.#readReplacement(name);
    if (mark === ':') return this.#readModifier(name, `:${this.#next()}`);
    if (mark !== '' && '+-?#%'.includes(mark)) return this.#readModifier(name, mark);
    throw unsupported(mark === '' ? '\ufffd' : mark);
  }

  /** Letters, digits and `_`; or digits alone; or one special parameter such as `@`. */
  #readName(): string {
    const first = this.#peek();
    if (DIGIT.test(first)) return this.#readWhile(DIGIT);
    if (SPECIAL_PARAMETER.test(first)) return this.#next();
    return this.#readWhile(LETTER_OR_DIGIT);
  }

  #readWhile(accepted: RegExp): string {
    let text = '';
    while (accepted.test(this.#peek())) text += this.#next();
    return text;
  }

  #valueOf(name: string): string | undefined {
    const value = this.#variables.get(name);
    (value === undefined ? this.unset : this.used).add(name);
    return value;
  }

  /** `${name-word}` and its kin, after the modifier. */
  #readModifier(name: string, modifier: string): string {
    const kind = modifier.at(-1) ?? '';
    const isPattern = kind === '#' || kind === '%';
    if (isPattern && modifier.length > 1) throw unsupported(modifier);
    const word = this.#readPart('}', isPattern);
    const value = this.#valueOf(name);
    if (value === undefined && this.#options.keepUnset === true) return `\${${name}${modifier}${word}}`;
    const emptyIsUnset = modifier.length > 1;
    const missing = value === undefined || (emptyIsUnset && value === '');
    if (kind === '-') return missing ? word : value;
    if (kind === '+') return missing ? '' : word;
    if (kind === '?') {
      if (!missing) return value;
      const reason = value === undefined ? 'is not allowed to be unset' : 'is not allowed to be empty';
      throw new Error(`${name}: ${word === '' ? reason : word}`);
    }
    if (!isPattern) throw unsupported(modifier);
    const longest = word.startsWith(kind);
    const pattern = longest ? word.slice(1) : word;
    return (kind === '#' ? removePrefix : removeSuffix)(value ?? '', pattern, longest);
  }

  /** `${name/pattern/replacement}` and `${name//pattern/replacement}`, after the first slash. */
  #readReplacement(name: string): string {
    const all = this.#peek() === '/';
    if (all) this.#next();
    const pattern = this.#readPart('/', true);
    const replacement = this.#readPart('}', true);
    const value = this.#valueOf(name);
    if (value === undefined && this.#options.keepUnset === true)
      return `\${${name}${all ? '//' : '/'}${pattern}/${replacement}}`;
    return replaceMatches(value ?? '', { pattern, replacement, all });
  }

  /** A part of a substitution; when the text ends inside it, that is the error to report. */
  #readPart(stop: '}' | '/', rawEscapes: boolean): string {
    try {
      return this.#readUntil(stop, rawEscapes).text;
    } catch (error) {
      if (!this.#atEnd) throw error;
      throw new Error(stop === '}' ? "syntax error: missing '}'" : "syntax error: missing '/' in ${}");
    }
  }
}

function unsupported(modifier: string): Error {
  return new Error(`unsupported modifier (${modifier}) in substitution`);
}

/** Longer words are heredoc bodies; the message then shows their start. */
const LONGEST_IN_MESSAGE = 200;

function failure(word: string, error: unknown): BuildError {
  const shown = word.length > LONGEST_IN_MESSAGE ? `${word.slice(0, LONGEST_IN_MESSAGE)}…` : word;
  return new BuildError('DOCKERFILE_EXPANSION', `failed to process ${quote(shown)}: ${messageOf(error)}`, {
    suggestions: ['Write \\$ for a dollar sign that is not a variable, and close every quote and brace.'],
    cause: error,
  });
}

const NOTHING: ReadonlySet<string> = new Set();

/** True when nothing in the word can be expanded or removed, which is the usual case. */
function isPlain(word: string, options: ExpandOptions): boolean {
  return !/[$'"]/.test(word) && !word.includes(options.escape);
}

/**
 * One word in, one word out: variables replaced, quotes and escapes removed, spaces kept.
 * Throws DOCKERFILE_EXPANSION, without a location, for open quotes, bad substitutions and `${x:?}`.
 */
export function expandWord(word: string, variables: Variables, options: ExpandOptions): ExpandedWord {
  if (isPlain(word, options)) return { text: word, used: NOTHING, unset: NOTHING };
  const lexer = new WordLexer(word, variables, options);
  try {
    return { text: lexer.readAll().text, used: lexer.used, unset: lexer.unset };
  } catch (error) {
    throw failure(word, error);
  }
}

/**
 * As expandWord, then split at spaces that are neither quoted nor escaped; values of variables are split as well.
 * Throws DOCKERFILE_EXPANSION.
 */
export function expandWords(text: string, variables: Variables, options: ExpandOptions): ExpandedWords {
  const lexer = new WordLexer(text, variables, options);
  try {
    return { words: lexer.readAll().words, used: lexer.used, unset: lexer.unset };
  } catch (error) {
    throw failure(text, error);
  }
}
