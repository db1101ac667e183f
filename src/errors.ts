/**
 * The two errors of the program. BuildError is for the reader: something they can act on.
 * BugError is a broken invariant of ours. Nothing else crosses a folder border.
 */

/** A text with a name, kept so that a message can show the line it speaks of. */
export interface SourceFile {
  /** Path as the user wrote it; "-" for standard input. */
  readonly path: string;
  readonly text: string;
}

/** A place in a source file. Lines count from 1, columns from 1; `endColumn` is exclusive. */
export interface SourceLocation {
  readonly source: SourceFile;
  readonly startLine: number;
  readonly endLine: number;
  readonly startColumn?: number;
  readonly endColumn?: number;
}

/** The part of kiln an error belongs to; DOCKERFILE_ and USAGE_ exit with 2, the rest with 1. */
type ErrorArea =
  | 'BASE_IMAGE'
  | 'CACHE'
  | 'CONTAINER'
  | 'CONTEXT'
  | 'COPY'
  | 'DOCKERFILE'
  | 'HOST'
  | 'IMAGE'
  | 'LAYER'
  | 'OUTPUT'
  | 'REGISTRY'
  | 'RUN'
  | 'STORE'
  | 'USAGE';

/** Stable name of a kind of error, such as RUN_FAILED. Each has an entry in docs/errors.md. */
export type ErrorCode = `${ErrorArea}_${string}`;

export interface BuildErrorOptions {
  /** Ways out, each one sentence or command the reader can act on. */
  readonly suggestions?: readonly string[];
  readonly location?: SourceLocation | undefined;
  readonly cause?: unknown;
  /** Last lines of a failed step's output, already redacted. */
  readonly output?: readonly string[];
}

/** An error the user can meet: what failed, where, and what to do about it (DESIGN D10). */
export class BuildError extends Error {
  readonly code: ErrorCode;
  readonly suggestions: readonly string[];
  readonly output: readonly string[];
  location: SourceLocation | undefined;

  constructor(code: ErrorCode, message: string, options: BuildErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'BuildError';
    this.code = code;
    this.suggestions = options.suggestions ?? [];
    this.output = options.output ?? [];
    this.location = options.location;
  }

  /** 2 for wrong usage or a wrong Dockerfile, 1 for a build that failed. */
  get exitStatus(): 1 | 2 {
    return this.code.startsWith('DOCKERFILE_') || this.code.startsWith('USAGE_') ? 2 : 1;
  }

  /** The same error with a place in the Dockerfile, unless it has one already. */
  at(location: SourceLocation | undefined): this {
    this.location ??= location;
    return this;
  }
}

/** What was thrown, with a place in the Dockerfile where it is an error for the reader that has none yet. */
export function located(error: unknown, location: SourceLocation | undefined): unknown {
  return error instanceof BuildError ? error.at(location) : error;
}

/** A state that kiln itself must never reach; its message asks for a report. */
export class BugError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BugError';
  }
}

/** The `code` of a Node system error such as ENOENT, or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
