/** The terminal as ora sees it. ora counts wrapped rows by itself and wrongly after a resize; this counts for it. */
import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import type { TextStream } from './plain-reporter.ts';
import { rowsTaken } from './text-width.ts';

/** A stream that may be a terminal; process.stderr is one. */
export interface TerminalStream extends TextStream {
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** Columns and rows of a terminal. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

export interface TerminalSurfaceOptions {
  readonly stream: TerminalStream;
  readonly size: () => TerminalSize;
  /** Whether the terminal wraps lines anew when it becomes narrower. */
  readonly reflows: boolean;
}

/**
 * Passes what ora writes to the terminal. It claims endless columns and no height, so that ora counts a row for a
 * row and never cuts; the view cuts rows itself. What it must know for that is told with `drawn`.
 */
export class TerminalSurface extends Writable {
  readonly isTTY = true;
  readonly columns = Number.POSITIVE_INFINITY;
  readonly #write: (text: string) => unknown;
  readonly #options: TerminalSurfaceOptions;
  #lines: readonly string[] = [];
  #columns = 0;

  constructor(options: TerminalSurfaceOptions) {
    super({ decodeStrings: false });
    this.#options = options;
    // Bound before ora hooks the stream: what passes here must not be taken for a stranger's write.
    this.#write = options.stream.write.bind(options.stream);
  }

  /** Says what is about to be drawn, line by line. */
  drawn(lines: readonly string[]): void {
    this.#lines = lines;
    this.#columns = this.#options.size().columns;
  }

  override _write(chunk: unknown, _encoding: BufferEncoding, done: () => void): void {
    this.#write(String(chunk));
    done();
  }

  /** ora calls this first when it erases a view: the moment to erase the rows that it does not know of. */
  cursorTo(): boolean {
    const extra = this.#rowsOnScreen() - this.#lines.length;
    this.#lines = [];
    this.#write(`\r${'\x1b[K\x1b[1A'.repeat(Math.max(0, extra))}`);
    return true;
  }

  /** ora moves up only, a row at a time. */
  moveCursor(): boolean {
    this.#write('\x1b[1A');
    return true;
  }

  clearLine(): boolean {
    this.#write('\x1b[K');
    return true;
  }

  /** Rows that the view takes now: more than it has lines when the terminal has become narrower. */
  #rowsOnScreen(): number {
    const columns = this.#options.reflows ? this.#options.size().columns : this.#columns;
    return this.#lines
      .map((line) => rowsTaken(stripVTControlCharacters(line), columns))
      .reduce((sum, rows) => sum + rows, 0);
  }
}
