/** The lines of a Dockerfile around a place, marked as docker marks them. */
import type { SourceLocation } from '../errors.ts';
import { escapeControls } from './printable.ts';
import type { Style } from './style.ts';
import { textWidth } from './text-width.ts';

export interface CodeFrameOptions {
  readonly style: Style;
  /** Columns a row may take; longer lines are cut around the place. */
  readonly columns: number;
}

/** Lines shown before and after the place. */
const CONTEXT = 2;
/** An instruction of more lines than this is shown by its first and last ones. */
const MAX_MARKED = 8;
const HEAD = 5;
const TAIL = 2;
const MARK = '>>> ';
const NO_MARK = '    ';

/**
 * "Dockerfile:3", then the lines with their numbers:
 *
 *     2 |     FROM alpine
 *     3 | >>> RNU make
 *       |     ^^^
 */
export function codeFrame(location: SourceLocation, options: CodeFrameOptions): string[] {
  const { style } = options;
  const all = location.source.text.split(/\r?\n/);
  // The end of the last line's newline is no line.
  if (all.at(-1) === '') all.pop();
  const name = location.source.path === '-' ? 'Dockerfile on standard input' : location.source.path;
  const title = style.bold(`${escapeControls(name)}:${location.startLine}`);
  const numbers = shownLines(location, all.length);
  const gutter = String(numbers.at(-1) ?? 0).length + 2;
  const rows = numbers.flatMap((number, index) => {
    const gap = index > 0 && number - (numbers[index - 1] ?? 0) > 1;
    const row = frameLine({ location, number, line: all[number - 1] ?? '', gutter }, options);
    return gap ? [style.dim(`${' '.repeat(gutter)} | ${MARK}…`), ...row] : row;
  });
  return [title, ...rows];
}

/** Numbers of the lines to show: the place, shortened when it is long, and its surroundings. */
function shownLines({ startLine, endLine }: SourceLocation, count: number): number[] {
  const first = Math.max(1, startLine - CONTEXT);
  const last = Math.min(count, endLine + CONTEXT);
  const isLong = endLine - startLine + 1 > MAX_MARKED;
  const numbers: number[] = [];
  for (let number = first; number <= last; number += 1) {
    const isHidden = isLong && number >= startLine + HEAD && number <= endLine - TAIL;
    if (!isHidden) numbers.push(number);
  }
  return numbers;
}

interface FrameLine {
  readonly location: SourceLocation;
  readonly number: number;
  readonly line: string;
  readonly gutter: number;
}

function frameLine({ location, number, line, gutter }: FrameLine, options: CodeFrameOptions): string[] {
  const { style, columns } = options;
  const isMarked = number >= location.startLine && number <= location.endLine;
  const span = number === location.startLine ? underlined(location, line) : undefined;
  const room = Math.max(20, columns - gutter - ' | '.length - MARK.length - 1);
  const window = cutAround(line, span, room);
  const edge = `${String(number).padStart(gutter)} | `;
  const row = isMarked
    ? `${style.dim(edge)}${style.red(MARK)}${window.text}`
    : `${style.dim(edge)}${NO_MARK}${style.dim(window.text)}`;
  const rows = [row.trimEnd()];
  if (span !== undefined) {
    const carets = `${' '.repeat(window.before)}${style.red('^'.repeat(Math.max(1, window.inside)))}`;
    rows.push(`${style.dim(`${' '.repeat(gutter)} | `)}${NO_MARK}${carets}`);
  }
  return rows;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** What to underline of the first line, as offsets; undefined when the location has no columns. */
function underlined(location: SourceLocation, line: string): Span | undefined {
  const { startColumn, endColumn, startLine, endLine } = location;
  if (startColumn === undefined) return undefined;
  const start = Math.min(startColumn - 1, line.length);
  const lineEnd = line.trimEnd().length;
  // A place that goes on in the next lines is underlined to the end of this one.
  const end = startLine === endLine ? Math.min(endColumn ?? startColumn + 1, line.length + 1) - 1 : lineEnd;
  return { start, end: Math.max(start, end) };
}

interface Window {
  readonly text: string;
  /** Columns before the underlined part, and in it. */
  readonly before: number;
  readonly inside: number;
}

/** The line as it can be printed in `room` columns, cut so that the underlined part is seen. */
function cutAround(line: string, span: Span | undefined, room: number): Window {
  const { start, end } = span ?? { start: 0, end: 0 };
  const from =
    textWidth(visible(line.slice(0, end))) <= room - 1 ? 0 : Math.max(0, start - Math.floor(room / 3));
  const prefix = from > 0 ? '…' : '';
  let text = prefix;
  let before = textWidth(prefix);
  let inside = 0;
  let used = before;
  let offset = from;
  for (const character of line.slice(from)) {
    const shown = visible(character);
    const width = textWidth(shown);
    const isLast = offset + character.length >= line.length;
    if (used + width > room - (isLast ? 0 : 1)) {
      text += '…';
      break;
    }
    text += shown;
    used += width;
    if (offset < start) before += width;
    else if (offset < end) inside += width;
    offset += character.length;
  }
  return { text, before, inside };
}

/** Text of a Dockerfile as it can be printed. A tab is four spaces everywhere, so that carets stay below. */
function visible(text: string): string {
  return escapeControls(text).replaceAll('\t', '    ');
}
