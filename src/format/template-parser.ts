/** Reads the tokens of a Go template into a tree: the part of text/template that docker's users write. */
import { type Token, templateError, tokenize } from './template-lexer.ts';

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly pipe: Pipe }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly pipe: Pipe;
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    };

/** `$x := .A | lower`: each command's value is the last argument of the next one. */
export interface Pipe {
  /** Variables it sets; two only in a range. */
  readonly variables: readonly string[];
  /** True for `=`, which sets a variable that is there already. */
  readonly assigns: boolean;
  readonly commands: readonly Command[];
  readonly at: number;
}

/** A value alone, or a function and its arguments. */
export type Command = readonly [Operand, ...Operand[]];

/** Something that has a value; `fields` are looked up in it one after the other. */
export interface Operand {
  readonly source:
    | { readonly kind: 'dot' }
    | { readonly kind: 'variable'; readonly name: string }
    | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
    | { readonly kind: 'function'; readonly name: string }
    | { readonly kind: 'pipe'; readonly pipe: Pipe };
  readonly fields: readonly string[];
  readonly at: number;
}

const BLOCKS = ['if', 'with', 'range'] as const;
type Block = (typeof BLOCKS)[number];
const REFUSED = ['template', 'define', 'block', 'break', 'continue'];
const CONSTANTS: Readonly<Record<string, boolean | null>> = { true: true, false: false, nil: null };

/** Parses a template. `functions` are the names that may be called. Throws USAGE_FORMAT. */
export function parseTemplate(template: string, functions: ReadonlySet<string>): readonly Node[] {
  return new Parser(template, functions).parse();
}

class Parser {
  readonly #template: string;
  readonly #functions: ReadonlySet<string>;
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(template: string, functions: ReadonlySet<string>) {
    this.#template = template;
    this.#functions = functions;
    this.#tokens = tokenize(template);
  }

  parse(): readonly Node[] {
    const nodes = this.#nodes();
    const token = this.#peek();
    if (token.kind !== 'end')
      throw this.#wrong(token, `{{${this.#peek(1).text}}} belongs to no {{if}}, {{with}} or {{range}}`);
    return nodes;
  }

  /** Up to the end, or to an {{else}} or {{end}}, which stays. */
  #nodes(): Node[] {
    const nodes: Node[] = [];
    for (;;) {
      const token = this.#peek();
      if (token.kind === 'text') {
        this.#take();
        // As docker does: a shell passes \t and \n on as two characters.
        const text = token.text.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
        nodes.push({ kind: 'text', text });
        continue;
      }
      if (token.kind !== 'open') return nodes;
      const word = this.#peek(1);
      if (word.kind === 'word' && (word.text === 'else' || word.text === 'end')) return nodes;
      this.#take();
      const block = BLOCKS.find((name) => word.kind === 'word' && word.text === name);
      if (block !== undefined) {
        this.#take();
        nodes.push(this.#block(block, word));
      } else nodes.push({ kind: 'action', pipe: this.#closedPipe() });
    }
  }

  /** The word was taken; reads its condition, its body and what follows {{else}}. */
  #block(kind: Block, word: Token): Node {
    const pipe = this.#closedPipe();
    const body = this.#nodes();
    const open = this.#take();
    if (open.kind !== 'open') throw this.#wrong(word, `{{${kind}}} has no {{end}}`);
    let otherwise: Node[] = [];
    if (this.#take().text === 'else') {
      const chained = this.#peek();
      if (chained.kind === 'word' && (chained.text === 'if' || chained.text === 'with')) {
        // {{else if}} shares the {{end}} of the first {{if}}.
        this.#take();
        return { kind, pipe, body, otherwise: [this.#block(chained.text, chained)] };
      }
      this.#expectClose();
      otherwise = this.#nodes();
      if (this.#take().kind !== 'open') throw this.#wrong(word, `{{${kind}}} has no {{end}}`);
      const end = this.#take();
      if (end.text !== 'end') throw this.#wrong(end, `{{${kind}}} has a second {{else}}`);
    }
    this.#expectClose();
    return { kind, pipe, body, otherwise };
  }

  #closedPipe(): Pipe {
    const pipe = this.#pipe();
    this.#expectClose();
    return pipe;
  }

  #pipe(): Pipe {
    const { at } = this.#peek();
    const { variables, assigns } = this.#declaration();
    const commands = [this.#command()];
    while (this.#peek().text === '|' && this.#peek().kind === 'mark') {
      this.#take();
      commands.push(this.#command());
    }
    return { variables, assigns, commands, at };
  }

  /** `$x :=`, `$x =` or `$i, $x :=` at the front of a pipe. */
  #declaration(): { variables: string[]; assigns: boolean } {
    const isMark = (ahead: number, text: string): boolean =>
      this.#peek(ahead).kind === 'mark' && this.#peek(ahead).text === text;
    const count =
      this.#peek().kind !== 'variable' ? 0 : isMark(1, ',') && this.#peek(2).kind === 'variable' ? 2 : 1;
    const after = count * 2 - 1;
    if (count === 0 || !(isMark(after, ':=') || isMark(after, '='))) return { variables: [], assigns: false };
    const variables = Array.from({ length: count }, () => {
      const name = this.#take().text;
      if (count === 2 && isMark(0, ',')) this.#take();
      return name;
    });
    return { variables, assigns: this.#take().text === '=' };
  }

  #command(): Command {
    const first = this.#operand();
    const rest: Operand[] = [];
    while (!['close', 'end'].includes(this.#peek().kind) && !this.#isMark('|') && !this.#isMark(')')) {
      rest.push(this.#operand());
    }
    const [argument] = rest;
    if (first.source.kind !== 'function' && argument !== undefined) {
      throw templateError(this.#template, argument.at, 'only a function takes arguments');
    }
    return [first, ...rest];
  }

  #operand(): Operand {
    const token = this.#take();
    const source = this.#source(token);
    const fields = token.kind === 'field' ? [token.text] : [];
    while (this.#peek().kind === 'field' && !this.#peek().spaced) fields.push(this.#take().text);
    return { source, fields, at: token.at };
  }

  #source(token: Token): Operand['source'] {
    const { kind, text } = token;
    if (kind === 'field' || kind === 'dot') return { kind: 'dot' };
    if (kind === 'variable') return { kind: 'variable', name: text };
    if (kind === 'string') return { kind: 'literal', value: text };
    if (kind === 'number') return { kind: 'literal', value: Number(text) };
    if (kind === 'word') return this.#word(token);
    if (kind === 'mark' && text === '(') {
      const pipe = this.#pipe();
      const close = this.#take();
      if (close.text !== ')') throw this.#wrong(close, 'a ) is missing');
      return { kind: 'pipe', pipe };
    }
    if (kind === 'close') throw this.#wrong(token, 'a value is missing');
    throw this.#wrong(token, `"${text}" is not understood here`);
  }

  #word(token: Token): Operand['source'] {
    const { text } = token;
    const constant = Object.hasOwn(CONSTANTS, text) ? CONSTANTS[text] : undefined;
    if (constant !== undefined) return { kind: 'literal', value: constant };
    if (this.#functions.has(text)) return { kind: 'function', name: text };
    if (REFUSED.includes(text)) throw this.#wrong(token, `{{${text}}} is not supported`);
    throw this.#wrong(
      token,
      `there is no function "${text}" (there are ${[...this.#functions].sort().join(', ')})`,
    );
  }

  #isMark(text: string): boolean {
    return this.#peek().kind === 'mark' && this.#peek().text === text;
  }

  #expectClose(): void {
    const token = this.#take();
    if (token.kind !== 'close') throw this.#wrong(token, `"${token.text}" is not understood here`);
  }

  #peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#next + ahead, this.#tokens.length - 1)] as Token;
  }

  #take(): Token {
    const token = this.#peek();
    this.#next += 1;
    return token;
  }

  #wrong(token: Token, why: string): Error {
    return templateError(this.#template, token.at, why);
  }
}
