/** A step about to be looked up or run, with what it stands on. */
import type { InputRef } from '../plan/stage-graph.ts';
import type { StagePlan, Step } from '../plan/step.ts';
import type { StageState } from './step-layer.ts';

export interface StepRequest {
  readonly step: Step;
  readonly state: StageState;
  readonly plan: StagePlan;
  /** Key of something the step reads from; tells it without solving it where that can be known. */
  readonly keyOf: (input: InputRef) => Promise<string>;
  /** State of something the step reads from; waits until it is solved. */
  readonly stageOf: (input: InputRef) => Promise<StageState>;
}
