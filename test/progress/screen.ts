/** A terminal small enough to read: what it shows after everything written to it. */
import { EventEmitter } from 'node:events';
import { textWidth } from '../../src/progress/text-width.ts';

const TOKEN = /\x1b\[(\??)([0-9;]*)([A-Za-z])|[\r\n]|[^\x1b\r\n]/gu;

/** Interprets what a reporter writes; throws at any sequence a reporter has no business writing. */
export class Screen extends EventEmitter {
  readonly isTTY = true;
  readonly columns: number;
  readonly rows: number;
  cursorVisible = true;
  /** Everything as written, in the order of the writes. */
  readonly writes: string[] = [];
  #lines: string[][] = [[]];
  #row = 0;
  #column = 0;
  /** How often a row was too long and went on in the next one. */
  wrapped = 0;

  constructor(columns = 80, rows = 24) {
    super();
    this.columns = columns;
    this.rows = rows;
  }

  /** The rows without trailing spaces, and without empty rows at the end. */
  get text(): string {
    return this.#lines
      .map((cells) => cells.join('').trimEnd())
      .join('\n')
      .trimEnd();
  }

  write(text: string): boolean {
    this.writes.push(text);
    let end = 0;
    for (const match of text.matchAll(TOKEN)) {
      if (match.index !== end) throw new Error(`not understood: ${JSON.stringify(text.slice(end))}`);
      end = match.index + match[0].length;
      this.#token(match[0], match);
    }
    if (end !== text.length) throw new Error(`not understood: ${JSON.stringify(text.slice(end))}`);
    return true;
  }

  #token(token: string, [, isPrivate, parameter, command]: RegExpMatchArray): void {
    if (token === '\r') this.#column = 0;
    else if (token === '\n') this.#newline();
    else if (command === undefined) this.#put(token);
    else if (isPrivate === '?' && parameter === '25') this.cursorVisible = command === 'h';
    else if (isPrivate === '?' && parameter === '2026') return;
    else if (command === 'm') return;
    else if (command === 'K') this.#lines[this.#row] = (this.#lines[this.#row] ?? []).slice(0, this.#column);
    else if (command === 'A') this.#up();
    else throw new Error(`not understood: ${JSON.stringify(token)}`);
  }

  #newline(): void {
    this.#row += 1;
    this.#column = 0;
    this.#lines[this.#row] ??= [];
  }

  #up(): void {
    this.#row -= 1;
    if (this.#row < 0) throw new Error('the cursor left the screen');
  }

  #put(character: string): void {
    const width = textWidth(character);
    if (this.#column + width > this.columns) {
      this.wrapped += 1;
      this.#newline();
    }
    const cells = this.#lines[this.#row] ?? [];
    while (cells.length < this.#column) cells.push(' ');
    if (width === 0) cells[this.#column - 1] = `${cells[this.#column - 1] ?? ''}${character}`;
    else cells.splice(this.#column, width, character, ...Array<string>(width - 1).fill(''));
    this.#column += width;
  }
}
