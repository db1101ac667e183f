/** Anything thrown, as people read it (DESIGN D10): what the step printed, the cause, the line, the way out. */
import { BugError, BuildError, messageOf, type SourceLocation, systemErrorCode } from '../errors.ts';
import { codeFrame } from './code-frame.ts';
import type { UntimedEvent } from './event.ts';
import { escapeControls, safeLines, stripControls } from './printable.ts';
import { createStyle, type Style } from './style.ts';

export interface ErrorReportOptions {
  readonly color?: boolean;
  /** Shows stacks and causes (KILN_DEBUG=1). */
  readonly debug?: boolean;
  /** Columns of the terminal; long lines of the Dockerfile are cut to it. */
  readonly columns?: number | undefined;
  /** False when the reader has just seen the step's output, as in the terminal view. */
  readonly output?: boolean;
}

/** A warning about a place in a Dockerfile. */
export interface ReportedWarning {
  readonly message: string;
  readonly rule?: string;
  readonly url?: string;
  readonly location?: SourceLocation | undefined;
}

/** Without a terminal, the width beyond which a line of a Dockerfile is no longer read but cut. */
const DEFAULT_COLUMNS = 160;
const BUG_CODE = 'INTERNAL';
const BUG_HELP = [
  'This is a bug in kiln. Please report it, with the Dockerfile and the output of: kiln doctor',
  'KILN_DEBUG=1 shows where it happened.',
];

interface Failure {
  readonly message: string;
  readonly code: string;
  readonly suggestions: readonly string[];
  readonly location: SourceLocation | undefined;
  readonly output: readonly string[];
}

/**
 * The report of an error, each line ended by a newline. The output of a failed step comes first and the cause and
 * the ways out last, for the end of a log is what is read first.
 */
export function renderError(error: unknown, options: ErrorReportOptions = {}): string {
  const style = createStyle(options.color ?? false);
  const { message, code, suggestions, location, output } = failureOf(error);
  const lines: string[] = [];
  if (options.output !== false && output.length > 0) lines.push(...outputLines(output, style), '');
  const [first = '', ...rest] = safeLines(message);
  lines.push(`${style.red(style.bold('error:'))} ${first} ${style.dim(`[${code}]`)}`, ...indented(rest));
  if (location !== undefined) lines.push('', ...frame(location, style, options));
  if (suggestions.length > 0) lines.push('', ...suggestions.flatMap((text) => helpLines(text, style)));
  if (options.debug === true) lines.push('', ...stackLines(error).map(style.dim));
  return `${lines.join('\n')}\n`;
}

/** A warning with its place, each line ended by a newline. */
export function renderWarning(warning: ReportedWarning, options: ErrorReportOptions = {}): string {
  const style = createStyle(options.color ?? false);
  const rule = warning.rule === undefined ? '' : `${escapeControls(warning.rule)}: `;
  const [first = '', ...rest] = safeLines(warning.message);
  const lines = [`${style.yellow(style.bold('warning:'))} ${rule}${first}`, ...indented(rest)];
  if (warning.url !== undefined) lines.push(style.dim(`  ${escapeControls(warning.url)}`));
  if (warning.location !== undefined) lines.push(...frame(warning.location, style, options));
  return `${lines.join('\n')}\n`;
}

/** Warnings below each other, in the order of their lines; empty when there are none. */
export function renderWarnings(
  warnings: readonly ReportedWarning[],
  options: ErrorReportOptions = {},
): string {
  const line = ({ location }: ReportedWarning) => location?.startLine ?? 0;
  return warnings
    .toSorted((a, b) => line(a) - line(b))
    .map((warning) => renderWarning(warning, options))
    .join('\n');
}

/** The event that ends a build which threw: what a program needs to say the same as `renderError`. */
export function failureEvent(error: unknown, duration: number): UntimedEvent {
  const { message, code, suggestions, location } = failureOf(error);
  return {
    type: 'build-failed',
    code,
    message,
    duration: Math.round(duration),
    ...(location === undefined ? {} : { line: location.startLine }),
    ...(suggestions.length === 0 ? {} : { suggestions }),
  };
}

function failureOf(error: unknown): Failure {
  if (error instanceof BuildError) return error;
  const isSystem = !(error instanceof BugError) && systemErrorCode(error) !== undefined;
  return {
    message: isSystem ? messageOf(error) : `unexpected error: ${messageOf(error)}`,
    code: BUG_CODE,
    suggestions: isSystem ? systemHelp(error) : BUG_HELP,
    location: undefined,
    output: [],
  };
}

/** A full disk can be met anywhere, and is nobody's bug. */
function systemHelp(error: unknown): readonly string[] {
  const code = systemErrorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return ['The disk or the quota is full: free space, or run kiln prune.'];
  }
  return BUG_HELP;
}

function frame(location: SourceLocation, style: Style, { columns }: ErrorReportOptions): string[] {
  return codeFrame(location, { style, columns: columns ?? DEFAULT_COLUMNS });
}

/** Each line has an edge, so that no line of a step can pass for one of kiln or command a CI system. */
function outputLines(output: readonly string[], style: Style): string[] {
  const title = output.length === 1 ? 'last line of output:' : `last ${output.length} lines of output:`;
  const lines = output.flatMap((line) => line.split(/\r?\n/));
  return [title, ...lines.map((line) => `${style.dim('  |')} ${stripControls(line)}`.trimEnd())];
}

function helpLines(text: string, style: Style): string[] {
  const [first = '', ...rest] = safeLines(text);
  return [`${style.cyan('help:')} ${first}`, ...rest.map((line) => `      ${line}`)];
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`.trimEnd());
}

/** The stack of an error and of what caused it. */
function stackLines(error: unknown): string[] {
  const lines: string[] = [];
  const seen = new Set<unknown>();
  let current = error;
  while (current instanceof Error && !seen.has(current)) {
    seen.add(current);
    const stack = current.stack ?? messageOf(current);
    lines.push(...safeLines(seen.size === 1 ? stack : `caused by: ${stack}`));
    current = current.cause;
  }
  return lines;
}
