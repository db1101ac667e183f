/** How a running step tells of itself. */
import type { StepLabel } from '../progress/event.ts';

/** Tells how a running step goes on. */
export interface StepReporter {
  readonly label: StepLabel;
  output(stream: 'stdout' | 'stderr', text: string): void;
  bytes(current: number, total: number | undefined): void;
}
