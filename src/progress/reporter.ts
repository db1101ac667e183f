/** Chooses how a build reports (DESIGN D11), and gives work the function it reports to. */
import type { BuildEvent, Emit, Reporter } from './event.ts';
import { createJsonReporter } from './json-reporter.ts';
import { PlainReporter } from './plain-reporter.ts';
import { sectionMarks } from './sections.ts';
import type { TerminalStream } from './terminal-surface.ts';
import { TtyReporter } from './tty-reporter.ts';

/** The values of `--progress`, and `quiet` for `-q`. */
export type ProgressMode = 'auto' | 'tty' | 'plain' | 'json' | 'quiet';

type Environment = Readonly<Record<string, string | undefined>>;

/** The stream a reporter writes to, and what is known of it. */
export interface ProgressTarget {
  readonly isTTY: boolean;
  readonly env: Environment;
}

export interface ReporterOptions extends ProgressTarget {
  readonly mode: ProgressMode;
  /** Where progress goes (stderr). On a terminal its `columns` and `rows` are read before every redraw. */
  readonly stream: TerminalStream;
  /** Width of the terminal when the stream does not know it. */
  readonly columns?: number | undefined;
  /** A clock in milliseconds that never goes back; its zero does not matter. */
  readonly now: () => number;
  /** Milliseconds since 1970, for the sections of GitLab's log viewer. */
  readonly wallClock?: () => number;
}

/** The mode that `auto` stands for here; `tty` without a terminal is `plain`, for there is no cursor to move. */
export function resolveMode(
  mode: ProgressMode,
  { isTTY, env }: ProgressTarget,
): Exclude<ProgressMode, 'auto'> {
  if (mode === 'tty') return isTTY ? 'tty' : 'plain';
  if (mode !== 'auto') return mode;
  return isTTY && !isSet(env['CI']) && env['TERM'] !== 'dumb' ? 'tty' : 'plain';
}

/** Whether text for this stream may be coloured: a terminal that can, and a reader who has not refused. */
export function wantsColor({ isTTY, env }: ProgressTarget): boolean {
  return isTTY && env['TERM'] !== 'dumb' && (env['NO_COLOR'] ?? '') === '';
}

/** The reporter of a build. Close it in a `finally`: a live view must give the terminal back. */
export function createReporter(options: ReporterOptions): Reporter {
  const { stream, env, now } = options;
  switch (resolveMode(options.mode, options)) {
    case 'tty':
      return new TtyReporter({ stream, env, now, color: wantsColor(options), columns: options.columns });
    case 'plain':
      return new PlainReporter({
        stream,
        sections: sectionMarks({ env, wallClock: options.wallClock ?? Date.now }),
      });
    case 'json':
      return createJsonReporter(stream);
    case 'quiet':
      return { handle() {}, close() {} };
  }
}

export interface EmitterOptions {
  readonly reporter: Reporter;
  /** A clock in milliseconds that never goes back; the build begins when the emitter is made. */
  readonly now: () => number;
}

/** The function work reports to: adds the time since the build began. All times become whole milliseconds. */
export function createEmitter({ reporter, now }: EmitterOptions): Emit {
  const start = now();
  return (event) => {
    const whole = 'duration' in event ? { ...event, duration: Math.round(event.duration) } : event;
    const timed: BuildEvent = { at: Math.round(now() - start), ...whole };
    reporter.handle(timed);
  };
}

/** A variable such as CI counts as set unless it says no. */
function isSet(value: string | undefined): boolean {
  return value !== undefined && !['', '0', 'false', 'no'].includes(value.toLowerCase());
}
