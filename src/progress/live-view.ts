/** What a terminal shows of a build: the rows of the running steps and the line a finished step leaves. */
import type { BuildEvent, StepLabel } from './event.ts';
import type { LineTail } from './line-tail.ts';
import { oneLine, stripControls } from './printable.ts';
import type { Paint, Style } from './style.ts';
import type { TerminalSize } from './terminal-surface.ts';
import { clip, padded, textWidth } from './text-width.ts';
import { seconds } from './units.ts';

/** A step that is under way. */
export interface RunningStep {
  readonly label: StepLabel;
  readonly startedAt: number;
  readonly output: LineTail;
  /** "12.3 MB / 40.1 MB". */
  progress?: string;
}

/** The signs of the view; a Linux console has no braille and no check mark. */
export interface Symbols {
  readonly frames: readonly string[];
  readonly done: string;
  readonly failed: string;
  readonly warning: string;
}

export const UNICODE_SYMBOLS: Symbols = {
  frames: ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'],
  done: '✔',
  failed: '✖',
  warning: '⚠',
};

export const ASCII_SYMBOLS: Symbols = {
  frames: ['-', '\\', '|', '/'],
  done: '+',
  failed: 'x',
  warning: '!',
};

/** Milliseconds between two frames, and between two redraws. */
export const FRAME_INTERVAL = 100;
const MAX_TAIL = 6;

export interface LiveViewOptions {
  readonly steps: readonly RunningStep[];
  /** Milliseconds since the build began. */
  readonly now: number;
  readonly size: TerminalSize;
  readonly style: Style;
  readonly symbols: Symbols;
}

/**
 * The rows below the status line: each running step and the last lines it printed. Rows never wrap and never fill
 * the screen: one row is left for the status line and one so that nothing scrolls.
 */
export function liveRows({ steps, now, size, style, symbols }: LiveViewOptions): string[] {
  const room = Math.max(1, size.rows - 2);
  const shown = steps.length <= room ? steps : steps.slice(0, room - 1);
  const tail = Math.min(MAX_TAIL, Math.floor((room - shown.length) / Math.max(1, shown.length)));
  const frame = symbols.frames[Math.floor(now / FRAME_INTERVAL) % symbols.frames.length] ?? '';
  const rows = shown.flatMap((step) => {
    const elapsed = seconds(now - step.startedAt);
    const right = step.progress === undefined ? elapsed : `${step.progress}  ${elapsed}`;
    const row = stepRow({ symbol: frame, label: step.label, right, columns: size.columns });
    return [
      row.paint(style.cyan, style.dim),
      ...tailRows(step.output.last(tail), size.columns).map(style.dim),
    ];
  });
  if (shown.length < steps.length) {
    rows.push(style.dim(clip(`  … and ${steps.length - shown.length} more`, size.columns - 1)));
  }
  return rows;
}

type EndEvent = Extract<BuildEvent, { type: 'step-finished' | 'step-failed' }>;

/** The line a step leaves when it ends: sign, name, and time or CACHED at the right edge. */
export function endRow(event: EndEvent, view: Omit<LiveViewOptions, 'steps' | 'now'>): string {
  const { style, symbols, size } = view;
  const failed = event.type === 'step-failed';
  const cached = event.type === 'step-finished' && event.outcome === 'cached';
  const right = cached ? 'CACHED' : seconds(event.duration);
  const note = event.type === 'step-finished' && event.note !== undefined ? `${oneLine(event.note)}  ` : '';
  const row = stepRow({
    symbol: failed ? symbols.failed : symbols.done,
    label: event.step,
    right: note + right,
    columns: size.columns,
  });
  if (failed) return row.paint(style.red, style.red);
  return row.paint(style.green, cached ? style.cyan : style.dim);
}

/** Lines of a step's output as rows of a terminal, cut to its width. */
function tailRows(lines: readonly string[], columns: number): string[] {
  return lines.map((line) => clip(`    ${terminalText(line)}`, columns - 1).trimEnd());
}

/** A line of output as a terminal can show it anywhere in a row: no control characters, no tabs. */
export function terminalText(line: string): string {
  return stripControls(line).replaceAll('\t', '    ');
}

interface StepRowOptions {
  readonly symbol: string;
  readonly label: StepLabel;
  readonly right: string;
  readonly columns: number;
}

function stepRow({ symbol, label, right, columns }: StepRowOptions): {
  paint(sign: Paint, time: Paint): string;
} {
  // The last column stays empty: some terminals wrap as soon as it is written.
  const width = columns - 1;
  const name = terminalText(oneLine(`${label.prefix} ${label.name}`));
  // When there is no room for both, the name matters more than what stands at the right.
  const edge = textWidth(right) + 24 > width ? clip(right.split('  ').at(-1) ?? '', width - 4) : right;
  const middle = padded(name, width - textWidth(symbol) - textWidth(edge) - 2);
  return { paint: (sign, time) => clipRow(`${sign(symbol)} ${middle} ${time(edge)}`, width) };
}

/** A terminal narrower than a few characters gets blank rows rather than wrapped ones. */
function clipRow(row: string, width: number): string {
  return width < 8 ? '' : row;
}
