/** What the command and the process inside the namespace say to each other over Node's IPC channel. */
import { BugError, BuildError, type ErrorCode, messageOf, type SourceLocation } from '../errors.ts';

/**
 * user: a user, mount and PID namespace. root: real root, so mount and PID namespace only.
 * none: root in a container that may make no namespace at all.
 */
export type NamespaceMode = 'user' | 'root' | 'none';

export interface NamespaceSetup {
  readonly mode: NamespaceMode;
  /** False where /proc is masked, so that no fresh one can be mounted for a PID namespace. */
  readonly pidNamespace: boolean;
}

/** An error as data. */
export interface WireError {
  readonly kind: 'build' | 'bug';
  readonly message: string;
  readonly stack?: string;
  readonly code?: ErrorCode;
  readonly suggestions?: readonly string[];
  readonly output?: readonly string[];
  readonly location?: SourceLocation;
}

export type ToChild =
  | { readonly type: 'start'; readonly setup: NamespaceSetup; readonly payload: unknown }
  | { readonly type: 'message'; readonly message: unknown }
  | { readonly type: 'abort' };

export type FromChild =
  /** Node is up and listens. */
  | { readonly type: 'ready' }
  | { readonly type: 'message'; readonly message: unknown }
  | { readonly type: 'result'; readonly value: unknown }
  | { readonly type: 'error'; readonly error: WireError }
  | { readonly type: 'aborted' }
  /** A fresh /proc was refused. `capable`: whether the process has CAP_SYS_ADMIN in its namespace. */
  | { readonly type: 'proc-refused'; readonly capable: boolean; readonly said: string };

/** Makes an error sendable; a BuildError keeps all of it, anything else is ours to answer for. */
export function toWireError(error: unknown): WireError {
  const stack = error instanceof Error ? error.stack : undefined;
  const base = { message: messageOf(error), ...(stack === undefined ? {} : { stack }) };
  if (!(error instanceof BuildError)) return { kind: 'bug', ...base };
  const { code, suggestions, output, location } = error;
  return {
    kind: 'build',
    ...base,
    code,
    suggestions,
    output,
    ...(location === undefined ? {} : { location }),
  };
}

/** The error again, on the other side. */
export function fromWireError(wire: WireError): Error {
  const error =
    wire.kind === 'build' && wire.code !== undefined
      ? new BuildError(wire.code, wire.message, {
          suggestions: wire.suggestions ?? [],
          output: wire.output ?? [],
          location: wire.location,
        })
      : new BugError(wire.message);
  if (wire.stack !== undefined) error.stack = wire.stack;
  return error;
}
