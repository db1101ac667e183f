/**
 * Go templates for --format, as docker's commands take them: fields, variables, pipelines, if, with, range, and the
 * functions of `template-functions.ts`. Pure: a template and a value give a text.
 */
import { goString, isTrue, sortedEntries } from './go-value.ts';
import { TEMPLATE_FUNCTIONS, VARIADIC } from './template-functions.ts';
import { templateError } from './template-lexer.ts';
import { type Command, type Node, type Operand, type Pipe, parseTemplate } from './template-parser.ts';

const FUNCTIONS = new Set(Object.keys(TEMPLATE_FUNCTIONS));

/** A variable's value, changed by `=`. */
interface Variable {
  value: unknown;
}

type Scope = ReadonlyMap<string, Variable>;

export class Template {
  readonly #text: string;
  readonly #nodes: readonly Node[];

  private constructor(text: string, nodes: readonly Node[]) {
    this.#text = text;
    this.#nodes = nodes;
  }

  /** Throws USAGE_FORMAT, which says where the template is wrong. */
  static parse(text: string): Template {
    return new Template(text, parseTemplate(text, FUNCTIONS));
  }

  /**
   * The text for one value. A field that the value itself does not have is an error (USAGE_FORMAT), for it is a
   * spelling mistake; further down, where most fields are optional, it prints as `<no value>` and counts as empty.
   */
  execute(data: unknown): string {
    return new Run(this.#text, data).nodes(this.#nodes, data, new Map([['$', { value: data }]]));
  }
}

class Run {
  readonly #text: string;
  readonly #root: unknown;

  constructor(text: string, root: unknown) {
    this.#text = text;
    this.#root = root;
  }

  nodes(nodes: readonly Node[], dot: unknown, outer: Scope): string {
    const scope = new Map(outer);
    return nodes.map((node) => this.#node(node, dot, scope)).join('');
  }

  #node(node: Node, dot: unknown, scope: Map<string, Variable>): string {
    if (node.kind === 'text') return node.text;
    if (node.kind === 'action') {
      const value = this.#pipe(node.pipe, dot, scope);
      return node.pipe.variables.length > 0 ? '' : goString(value);
    }
    const inner = new Map(scope);
    if (node.kind === 'range') return this.#range(node, dot, inner);
    const value = this.#pipe(node.pipe, dot, inner);
    if (!isTrue(value)) return this.nodes(node.otherwise, dot, inner);
    return this.nodes(node.body, node.kind === 'with' ? value : dot, inner);
  }

  #range(
    node: Extract<Node, { kind: 'if' | 'with' | 'range' }>,
    dot: unknown,
    scope: Map<string, Variable>,
  ): string {
    const { pipe, body, otherwise } = node;
    const items = this.#items(this.#value(pipe, dot, scope), pipe.at);
    if (items.length === 0) return this.nodes(otherwise, dot, scope);
    return items
      .map(([key, value]) => {
        const [first, second] = pipe.variables;
        if (second !== undefined && first !== undefined) {
          scope.set(first, { value: key });
          scope.set(second, { value });
        } else if (first !== undefined) scope.set(first, { value });
        return this.nodes(body, value, scope);
      })
      .join('');
  }

  #items(value: unknown, at: number): [unknown, unknown][] {
    if (value === undefined || value === null) return [];
    if (Array.isArray(value)) return [...value.entries()];
    if (typeof value === 'object') return sortedEntries(value);
    throw templateError(this.#text, at, `range needs a list or a map, not ${goString(value)}`);
  }

  /** A pipe's value; its variable, if it has one, is set. */
  #pipe(pipe: Pipe, dot: unknown, scope: Map<string, Variable>): unknown {
    const value = this.#value(pipe, dot, scope);
    for (const name of pipe.variables) {
      if (!pipe.assigns) scope.set(name, { value });
      else this.#variable(name, pipe.at, scope).value = value;
    }
    return value;
  }

  #value(pipe: Pipe, dot: unknown, scope: Map<string, Variable>): unknown {
    const [first, ...others] = pipe.commands;
    let value = this.#command(first as Command, [], dot, scope);
    for (const command of others) value = this.#command(command, [value], dot, scope);
    return value;
  }

  #command(command: Command, piped: readonly unknown[], dot: unknown, scope: Map<string, Variable>): unknown {
    const [first, ...rest] = command;
    if (first.source.kind !== 'function') {
      if (piped.length > 0) throw templateError(this.#text, first.at, 'only a function can stand behind |');
      return this.#operand(first, dot, scope);
    }
    const values = [...rest.map((operand) => this.#operand(operand, dot, scope)), ...piped];
    return this.#call(first.source.name, values, first.at);
  }

  #call(name: string, values: readonly unknown[], at: number): unknown {
    const work = TEMPLATE_FUNCTIONS[name];
    if (work === undefined) throw templateError(this.#text, at, `there is no function ${name}`);
    // A function's declared parameters are those it cannot do without.
    if (values.length < work.length || (values.length > work.length && !VARIADIC.has(name))) {
      throw templateError(this.#text, at, `${name} takes ${work.length} values and has ${values.length}`);
    }
    try {
      return work(...values);
    } catch (error) {
      throw templateError(this.#text, at, (error as Error).message);
    }
  }

  #operand({ source, fields, at }: Operand, dot: unknown, scope: Map<string, Variable>): unknown {
    let value: unknown;
    if (source.kind === 'dot') value = dot;
    else if (source.kind === 'literal') value = source.value;
    else if (source.kind === 'variable') ({ value } = this.#variable(source.name, at, scope));
    else if (source.kind === 'pipe') value = this.#pipe(source.pipe, dot, scope);
    else value = this.#call(source.name, [], at);
    for (const name of fields) value = this.#field(value, name, at);
    return value;
  }

  #variable(name: string, at: number, scope: Map<string, Variable>): Variable {
    const variable = scope.get(name);
    if (variable === undefined) throw templateError(this.#text, at, `there is no variable ${name}`);
    return variable;
  }

  #field(value: unknown, name: string, at: number): unknown {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      if (Object.hasOwn(value, name)) return (value as Record<string, unknown>)[name];
      if (value !== this.#root) return undefined;
      const known = Object.keys(value).join(', ');
      throw templateError(this.#text, at, `there is no field .${name} (there are ${known})`);
    }
    if (value === undefined || value === null) return undefined;
    throw templateError(this.#text, at, `${goString(value).slice(0, 40)} has no field .${name}`);
  }
}
