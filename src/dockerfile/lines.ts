/**
 * A Dockerfile as logical lines: continuations joined, comments and empty lines dropped, here-documents taken out.
 * Follows BuildKit's frontend/dockerfile/parser; lines may be longer than its 64 KiB.
 */
import { BuildError, type SourceFile, type SourceLocation } from '../errors.ts';
import { type Directives, withoutByteOrderMark } from './directives.ts';
import { heredocsOf } from './heredoc.ts';
import type { Heredoc } from './instruction.ts';
import { trimSpace, trimStart } from './text.ts';

/** One instruction as text. */
export interface LogicalLine {
  /** Continuations joined without a separator; only the first line loses its leading spaces. */
  readonly text: string;
  /** Lines from the first to the last one, heredoc bodies included. */
  readonly location: SourceLocation;
  /** Last line of the text itself, before any heredoc body. */
  readonly headEndLine: number;
  /** Comment lines directly above, without their `#`. */
  readonly comments: readonly string[];
  readonly heredocs: readonly Heredoc[];
  /** True when an empty line stands between continued lines. */
  readonly hasEmptyContinuation: boolean;
}

function isComment(line: string): boolean {
  return trimStart(line).startsWith('#');
}

function withoutNewline(line: string): string {
  let end = line.length;
  while (end > 0 && (line[end - 1] === '\n' || line[end - 1] === '\r')) end--;
  return line.slice(0, end);
}

/** Splits a file into its logical lines. */
export class LineSplitter {
  readonly #source: SourceFile;
  readonly #directives: Directives;
  readonly #continuation: RegExp;
  /** Physical lines with their line ends. */
  readonly #lines: readonly string[];
  /** Lines read so far, which is also the number of the line read last. */
  #read = 0;

  constructor(source: SourceFile, directives: Directives) {
    this.#source = source;
    this.#directives = directives;
    this.#lines = withoutByteOrderMark(source.text).match(/[^\n]*\n|[^\n]+$/g) ?? [];
    const token = `\\${directives.escape}`;
    // An escape before the last one makes both ordinary characters.
    this.#continuation = new RegExp(`(^|[^${token}])${token}[ \\t]*$`);
  }

  /** Number of physical lines. */
  get lineCount(): number {
    return this.#lines.length;
  }

  /** The logical lines in order. Throws DOCKERFILE_HEREDOC for a body without an end. */
  *split(): Generator<LogicalLine> {
    let comments: string[] = [];
    while (this.#read < this.#lines.length) {
      const raw = this.#next();
      if (isComment(raw)) {
        const comment = trimSpace(trimStart(raw).slice(1));
        if (comment === '') comments = [];
        else if (this.#read > this.#directives.lineCount) comments.push(comment);
        continue;
      }
      const first = trimStart(withoutNewline(raw));
      if (first === '') {
        comments = [];
        continue;
      }
      yield this.#readLogicalLine(first, comments);
      comments = [];
    }
  }

  #next(): string {
    return this.#lines[this.#read++] ?? '';
  }

  #readLogicalLine(first: string, comments: readonly string[]): LogicalLine {
    const startLine = this.#read;
    let hasEmptyContinuation = false;
    let text = '';
    let line = first;
    for (;;) {
      const joined = line.replace(this.#continuation, '$1');
      text += joined;
      if (joined === line) break;
      const following = this.#nextContinued();
      hasEmptyContinuation ||= following.skippedEmpty;
      if (following.line === undefined) break;
      line = following.line;
    }
    const headEndLine = this.#read;
    const heredocs = this.#readHeredocs(text, startLine);
    const location = { source: this.#source, startLine, endLine: this.#read };
    return { text, location, headEndLine, comments, heredocs, hasEmptyContinuation };
  }

  /** The next line of a continuation; comments and empty lines do not count. */
  #nextContinued(): { line: string | undefined; skippedEmpty: boolean } {
    let skippedEmpty = false;
    while (this.#read < this.#lines.length) {
      const line = withoutNewline(this.#next());
      if (isComment(line)) continue;
      if (trimStart(line) !== '') return { line, skippedEmpty };
      skippedEmpty = true;
    }
    return { line: undefined, skippedEmpty };
  }

  #readHeredocs(text: string, startLine: number): Heredoc[] {
    const headEnd = this.#read;
    let marks: ReturnType<typeof heredocsOf>;
    try {
      marks = heredocsOf(text, this.#directives.escape);
    } catch (error) {
      if (error instanceof BuildError) error.at({ source: this.#source, startLine, endLine: headEnd });
      throw error;
    }
    return marks.map((mark) => {
      const content = this.#readBody(mark.name, mark.stripTabs);
      if (content !== undefined) return { ...mark, content };
      throw new BuildError('DOCKERFILE_HEREDOC', 'unterminated heredoc', {
        suggestions: [`Add a line with nothing but ${mark.name} after the body.`],
        location: { source: this.#source, startLine, endLine: headEnd },
      });
    });
  }

  #readBody(name: string, stripTabs: boolean): string | undefined {
    let content = '';
    while (this.#read < this.#lines.length) {
      const raw = this.#next();
      const line = withoutNewline(raw);
      if ((stripTabs ? line.replace(/^\t+/, '') : line) === name) return content;
      content += raw;
    }
    return undefined;
  }
}
