/**
 * Progress on a terminal: finished steps stay as one line each, running steps are shown below them with a spinner,
 * their time and the tail of their output. ora draws, erases, hides the cursor and gives it back at every exit.
 */
import type { Ora } from 'ora';
import type { BuildEvent, Reporter } from './event.ts';
import { LineTail } from './line-tail.ts';
import {
  ASCII_SYMBOLS,
  endRow,
  FRAME_INTERVAL,
  liveRows,
  type RunningStep,
  type Symbols,
  terminalText,
  UNICODE_SYMBOLS,
} from './live-view.ts';
import { oneLine, safeLines } from './printable.ts';
import { createStyle, type Paint, type Style } from './style.ts';
import { type TerminalSize, type TerminalStream, TerminalSurface } from './terminal-surface.ts';
import { clip, textWidth } from './text-width.ts';
import { amount, explanation, seconds, summaryLines, warningLine, warningSummary } from './units.ts';

type EventOf<T extends BuildEvent['type']> = Extract<BuildEvent, { type: T }>;

export interface TtyReporterOptions {
  readonly stream: TerminalStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A clock in milliseconds that never goes back. */
  readonly now: () => number;
  readonly color: boolean;
  /** Width when the stream does not know it. */
  readonly columns?: number | undefined;
}

/** A build faster than this needs no live view, and does not load ora for one (16 to 23 ms). */
const OPEN_DELAY = 150;
/** Output kept of a running step, printed whole if it fails. */
const RECENT_OUTPUT = { lines: 500, characters: 1 << 20 };

/** Draws the live view; see the top of this file. */
export class TtyReporter implements Reporter {
  readonly #options: TtyReporterOptions;
  readonly #style: Style;
  readonly #symbols: Symbols;
  readonly #running = new Map<string, RunningStep>();
  readonly #warnings: EventOf<'warning'>[] = [];
  /** A push or a pull has steps too, and is no build. */
  #title = 'Working';
  #finished = 0;
  #cached = 0;
  /** Build time minus clock time: turns the clock into time since the build began. */
  #offset: number;
  #closed = false;
  #live: { spinner: Ora; surface: TerminalSurface } | undefined;
  #opening: NodeJS.Timeout | undefined;
  #flushing: NodeJS.Timeout | undefined;
  #pending: string[] = [];

  constructor(options: TtyReporterOptions) {
    this.#options = options;
    this.#style = createStyle(options.color);
    this.#symbols = options.env['TERM'] === 'linux' ? ASCII_SYMBOLS : UNICODE_SYMBOLS;
    this.#offset = -options.now();
  }

  handle(event: BuildEvent): void {
    this.#offset = event.at - this.#options.now();
    switch (event.type) {
      case 'build-started':
        this.#title = 'Building';
        this.#openSoon();
        break;
      case 'step-started':
        this.#start(event);
        break;
      case 'step-output':
        this.#output(event);
        break;
      case 'step-progress':
        this.#progress(event);
        break;
      case 'step-finished':
      case 'step-failed':
        this.#end(event);
        break;
      case 'step-explained':
        this.#print([
          oneLine(`${event.step.prefix} ${event.step.name}`),
          this.#style.dim(`    cache ${oneLine(explanation(event))}`),
        ]);
        break;
      case 'warning':
        this.#warnings.push(event);
        this.#message(`${this.#symbols.warning} ${warningLine(event)}`, this.#style.yellow);
        break;
      case 'note':
        this.#message(event.message, this.#style.dim);
        break;
      case 'build-finished':
        this.#finish(event);
        break;
      case 'build-failed':
        this.#fail(event);
        break;
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#opening);
    this.#flush();
    this.#live?.spinner.stop();
    this.#live = undefined;
    this.#running.clear();
  }

  #start({ step, at }: EventOf<'step-started'>): void {
    this.#running.set(step.id, { label: step, startedAt: at, output: new LineTail(RECENT_OUTPUT) });
    this.#openSoon();
  }

  #output(event: EventOf<'step-output'>): void {
    const output = this.#running.get(event.step)?.output;
    for (const line of event.text.split('\n')) output?.push(line);
  }

  #progress(event: EventOf<'step-progress'>): void {
    const step = this.#running.get(event.step);
    if (step !== undefined) step.progress = amount(event);
  }

  #end(event: EventOf<'step-finished'> | EventOf<'step-failed'>): void {
    const step = this.#running.get(event.step.id);
    this.#running.delete(event.step.id);
    const row = endRow(event, { size: this.#size(), style: this.#style, symbols: this.#symbols });
    this.#print([row]);
    if (event.type === 'step-failed') {
      // Lines that stay may be as long as they are: the terminal wraps them, and they can be copied whole.
      this.#print((step?.output.lines ?? []).map((line) => `    ${terminalText(line)}`.trimEnd()));
      return;
    }
    this.#finished += 1;
    if (event.outcome === 'cached') this.#cached += 1;
  }

  #finish(event: EventOf<'build-finished'>): void {
    this.#warningSummary();
    const [first = '', ...rest] = summaryLines(event).flatMap(safeLines);
    this.#print([`${this.#style.green(this.#symbols.done)} ${first}`, ...rest.map((line) => `  ${line}`)]);
    this.close();
  }

  #fail(event: EventOf<'build-failed'>): void {
    this.#warningSummary();
    this.#message(`${this.#symbols.failed} failed after ${seconds(event.duration)}`, this.#style.red);
    this.close();
  }

  #warningSummary(): void {
    const line = warningSummary(this.#warnings);
    if (line !== undefined) this.#message(`${this.#symbols.warning} ${line}`, this.#style.yellow);
  }

  #message(text: string, paint: Paint): void {
    this.#print(safeLines(text).map(paint));
  }

  /** Prints lines that stay. Below a live view they wait for a moment, so that a burst costs one redraw. */
  #print(lines: readonly string[]): void {
    if (lines.length === 0) return;
    this.#pending.push(...lines);
    if (this.#live === undefined) this.#flush();
    else this.#flushing ??= setTimeout(() => this.#flush(), FRAME_INTERVAL);
  }

  #flush(): void {
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    if (this.#pending.length === 0) return;
    const text = `${this.#pending.join('\n')}\n`;
    this.#pending = [];
    // ora hooks the surface: it erases the view, lets the text through and draws the view below it.
    (this.#live?.surface ?? this.#options.stream).write(text);
  }

  #openSoon(): void {
    if (this.#closed || this.#opening !== undefined) return;
    // A live view that nothing waits for must not keep the process alive.
    this.#opening = setTimeout(() => void this.#open(), OPEN_DELAY).unref();
  }

  async #open(): Promise<void> {
    const { default: ora } = await import('ora');
    if (this.#closed) return;
    const surface = new TerminalSurface({
      stream: this.#options.stream,
      size: () => this.#size(),
      reflows: reflows(this.#options.env),
    });
    const spinner = ora({
      stream: surface,
      text: this.#title,
      suffixText: () => this.#frame(surface),
      spinner: { frames: [...this.#symbols.frames], interval: FRAME_INTERVAL },
      // Colour and liveliness are decided here, not by ora's own look at the environment.
      color: this.#options.color ? 'cyan' : false,
      isEnabled: true,
      // Raw mode would take Ctrl-C, Ctrl-Z and Ctrl-\ away from the user's shell.
      discardStdin: false,
    });
    this.#live = { spinner, surface };
    spinner.start();
  }

  /** The view after ora's spinner and title, asked for by ora at every redraw. */
  #frame(surface: TerminalSurface): string {
    const size = this.#size();
    const now = this.#options.now() + this.#offset;
    const title = `${this.#symbols.frames[0]} ${this.#title} `;
    const status = clip(this.#status(now), size.columns - 1 - textWidth(title));
    const steps = [...this.#running.values()];
    const rows = liveRows({ steps, now, size, style: this.#style, symbols: this.#symbols });
    surface.drawn([title + status, ...rows]);
    return [status, ...rows].join('\n');
  }

  #status(now: number): string {
    const cached = this.#cached === 0 ? '' : ` (${this.#cached} cached)`;
    return `${seconds(now)}, ${this.#finished} done${cached}, ${this.#running.size} running`;
  }

  #size(): TerminalSize {
    const { stream, columns } = this.#options;
    // A pty whose size nobody has set says 0.
    return { columns: stream.columns || columns || 80, rows: stream.rows || 24 };
  }
}

/** xterm, the Linux console and screen cut lines when they become narrower; every other terminal wraps them anew. */
function reflows(env: Readonly<Record<string, string | undefined>>): boolean {
  if (env['TMUX'] !== undefined) return true;
  return env['TERM'] !== 'linux' && env['XTERM_VERSION'] === undefined && env['STY'] === undefined;
}
