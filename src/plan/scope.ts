/** Variables visible at one place of a Dockerfile, and expansion in them. */
import { expandWord, expandWords } from '../dockerfile/expand.ts';
import { BuildError, messageOf, type SourceLocation } from '../errors.ts';

/** A variable that was used but is not set, for the UndefinedVar check. */
export interface UnsetUse {
  readonly name: string;
  readonly location: SourceLocation;
}

export class Scope {
  readonly variables: ReadonlyMap<string, string>;
  readonly #escape: '\\' | '`';
  readonly #unset: UnsetUse[];

  constructor(variables: ReadonlyMap<string, string>, escapeToken: '\\' | '`', unset: UnsetUse[] = []) {
    this.variables = variables;
    this.#escape = escapeToken;
    this.#unset = unset;
  }

  /** One word in, one word out: quotes removed, variables replaced. Throws DOCKERFILE_EXPANSION at `location`. */
  expand(word: string, location: SourceLocation): string {
    return this.#guard(location, () => {
      const result = expandWord(word, this.variables, { escape: this.#escape });
      this.#note(result.unset, location);
      return result.text;
    });
  }

  /** A word that may become several, as in EXPOSE. */
  expandToWords(word: string, location: SourceLocation): string[] {
    return this.#guard(location, () => {
      const result = expandWords(word, this.variables, { escape: this.#escape });
      this.#note(result.unset, location);
      return [...result.words];
    });
  }

  /** The body of an unquoted COPY or ADD heredoc: variables replaced, quotes kept. */
  expandBody(text: string, location: SourceLocation): string {
    return this.#guard(location, () => {
      const result = expandWord(text, this.variables, { escape: '\\', keepQuotes: true });
      this.#note(result.unset, location);
      return result.text;
    });
  }

  /** Text for the reader: known variables replaced, the rest as written. `masked` names are shown as asterisks. */
  show(text: string, masked: readonly string[] = []): string {
    const variables = new Map([...this.variables, ...masked.map((name) => [name, '****'] as const)]);
    const options = { escape: this.#escape, rawQuotes: true, rawEscapes: true, keepUnset: true };
    try {
      return expandWord(text, variables, options).text;
    } catch {
      return text; // Shell syntax that is no expansion of ours, such as ${x^^}.
    }
  }

  #note(names: Iterable<string>, location: SourceLocation): void {
    for (const name of names) this.#unset.push({ name, location });
  }

  #guard<T>(location: SourceLocation, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof BuildError) throw error.at(location);
      throw new BuildError('DOCKERFILE_EXPANSION', messageOf(error), { location, cause: error });
    }
  }
}
