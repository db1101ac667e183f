/** Standard input, output and error of a sandboxed process: listened to, or connected to the caller's. */
import type { TerminalSize } from '../system/terminal-calls.ts';

/** Descriptors for a child, and what becomes of them. */
export interface StepStreams {
  /** The child's 0, 1 and 2. Close them with `handedOver` when it runs. */
  readonly child: readonly [stdin: number | 'ignore', stdout: number | 'ignore', stderr: number | 'ignore'];
  /** Whether the child's descriptors are a terminal. */
  readonly terminal: boolean;
  /** Where a runtime is to hand over the terminal that it makes, if it is. */
  readonly consoleSocket?: string;
  /** Changes the size of the terminal. */
  resize?(size: TerminalSize): void;
  /** Gives up our copies of the child's descriptors, so that the streams end with the processes that hold theirs. */
  handedOver(): void;
  /** Resolves when everything written has been passed on. */
  drained(): Promise<void>;
  /** Stops listening whatever is still to come. */
  destroy(): void;
  /** Last line of stderr. */
  lastLine(): string;
}
