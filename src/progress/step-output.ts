/** The bytes a process prints, as lines: for events while it runs, and for the message when it fails. */
import { StringDecoder } from 'node:string_decoder';
import { LineTail } from './line-tail.ts';
import { stripControls } from './printable.ts';

type StreamName = 'stdout' | 'stderr';

export interface LinesOptions {
  /** How many of the last lines `tail` gives. */
  readonly keep: number;
  /** Gets one or more whole lines, joined by newlines, as they come. */
  readonly emit: (stream: StreamName, text: string) => void;
  /** Applied to each line before it is passed on or kept. */
  readonly redact?: (line: string) => string;
  /** A clock in milliseconds that never goes back. */
  readonly now: () => number;
}

/** Takes a process's output and passes it on line by line. */
export interface OutputLines {
  write(stream: StreamName, chunk: Uint8Array): void;
  /** Passes on what has no newline yet. Nothing may be written after it. */
  end(): void;
  /** The last lines of both streams, in the order they came. */
  tail(): readonly string[];
}

/** A line longer than this is passed on in pieces, so that an endless one cannot fill the memory. */
const MAX_LINE = 1 << 20;
/** A progress bar redrawn with carriage returns is shown this often, in milliseconds; its last state always. */
const REDRAW_INTERVAL = 1000;
const TAIL_CHARACTERS = 1 << 18;

/** Turns chunks of bytes into whole lines; the lines of one chunk are emitted together. */
export function linesOf(options: LinesOptions): OutputLines {
  const { keep, emit, redact = (line) => line, now } = options;
  const tail = new LineTail({ lines: keep, characters: TAIL_CHARACTERS });
  const splitters = { stdout: new LineSplitter(now), stderr: new LineSplitter(now) };
  const pass = (stream: StreamName, lines: readonly Line[]): void => {
    if (lines.length === 0) return;
    const texts = lines.map(({ text }) => redact(text));
    texts.forEach((text, index) => {
      if (lines[index]?.isFinal) tail.push(text);
    });
    emit(stream, texts.join('\n'));
  };
  return {
    write: (stream, chunk) => pass(stream, splitters[stream].push(chunk)),
    end() {
      pass('stdout', splitters.stdout.end());
      pass('stderr', splitters.stderr.end());
    },
    tail: () => tail.lines,
  };
}

interface Line {
  readonly text: string;
  /** False for a state of a progress bar that a later one overwrites. */
  readonly isFinal: boolean;
}

/**
 * Splits one stream. A carriage return means that what follows overwrites the line: of the states a line goes
 * through, the last one counts, and those before it are only shown now and then, as a sign of life.
 */
class LineSplitter {
  readonly #decoder = new StringDecoder('utf8');
  readonly #now: () => number;
  /** What came since the last newline or carriage return. */
  #current = '';
  /** What a carriage return has ended and nothing has overwritten yet. */
  #overwritten: string | undefined;
  #shownAt: number;

  constructor(now: () => number) {
    this.#now = now;
    this.#shownAt = now();
  }

  push(chunk: Uint8Array): Line[] {
    return this.#split(this.#decoder.write(chunk));
  }

  end(): Line[] {
    const lines = this.#split(this.#decoder.end());
    if (`${this.#overwritten ?? ''}${this.#current}` !== '') this.#finishLine(lines);
    return lines;
  }

  #split(text: string): Line[] {
    const lines: Line[] = [];
    let start = 0;
    for (const { index, 0: mark } of text.matchAll(/[\r\n]/g)) {
      this.#append(text.slice(start, index), lines);
      start = index + 1;
      if (mark === '\n') this.#finishLine(lines);
      else this.#carriageReturn(lines);
    }
    this.#append(text.slice(start), lines);
    return lines;
  }

  #append(text: string, lines: Line[]): void {
    this.#current += text;
    while (this.#current.length > MAX_LINE) {
      // A piece must not end between the halves of a surrogate pair.
      const end = isHighSurrogate(this.#current, MAX_LINE - 1) ? MAX_LINE - 1 : MAX_LINE;
      lines.push({ text: this.#current.slice(0, end), isFinal: true });
      this.#current = this.#current.slice(end);
    }
  }

  #finishLine(lines: Line[]): void {
    // "text\r\n" and a bar that erases itself both leave nothing after the last carriage return.
    const overwrites = this.#overwritten === undefined || !isBlank(this.#current);
    const text = overwrites ? this.#current : (this.#overwritten ?? '');
    lines.push({ text, isFinal: true });
    this.#current = '';
    this.#overwritten = undefined;
  }

  #carriageReturn(lines: Line[]): void {
    if (this.#overwritten === undefined || !isBlank(this.#current)) {
      // The state before this one is overwritten for good now, and cannot turn out to be the last.
      if (this.#overwritten !== undefined) this.#show(this.#overwritten, lines);
      this.#overwritten = this.#current;
    }
    this.#current = '';
  }

  #show(text: string, lines: Line[]): void {
    const now = this.#now();
    if (now - this.#shownAt < REDRAW_INTERVAL || isBlank(text)) return;
    this.#shownAt = now;
    lines.push({ text, isFinal: false });
  }
}

function isBlank(text: string): boolean {
  return stripControls(text).trim() === '';
}

function isHighSurrogate(text: string, index: number): boolean {
  return (text.charCodeAt(index) & 0xfc00) === 0xd800;
}
