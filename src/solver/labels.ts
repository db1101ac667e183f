/** How steps are named in events. */
import type { FromInstruction } from '../dockerfile/instruction.ts';
import { type InputRef, inputKey } from '../plan/stage-graph.ts';
import type { Step } from '../plan/step.ts';
import type { StepLabel } from '../progress/event.ts';

export function labelOf(step: Step): StepLabel {
  return { ...step.title, line: step.location.startLine };
}

/** Label of the step that brings a stage's base image. */
export function firstStepLabel({
  id,
  prefix,
  from,
  base,
}: {
  readonly id: string;
  readonly prefix: string;
  readonly from: FromInstruction;
  readonly base: InputRef;
}): StepLabel {
  const name = base.kind === 'image' ? base.reference : base.kind === 'context' ? base.name : inputKey(base);
  return { id: `${id}/1`, prefix, name: `FROM ${name}`, line: from.location.startLine };
}
