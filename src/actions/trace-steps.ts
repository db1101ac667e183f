/** What the steps of a build gave, for who compares two builds. */
import { inputsOf } from '../plan/step.ts';
import type { SolvedStep } from '../solver/record-source.ts';
import type { TracedStep } from './build-request.ts';

/** Waits for every layer. */
export function traceOf(steps: readonly SolvedStep[]): Promise<TracedStep[]> {
  return Promise.all(steps.map(traced));
}

async function traced({ step, stage, layer }: SolvedStep): Promise<TracedStep> {
  const { id, prefix, name } = step.title;
  const from = inputsOf(step).flatMap((input) => (input.kind === 'stage' ? [input.index] : []));
  const line = step.location.startLine;
  return { id, name: `${prefix} ${name}`, line, stage, from, diffId: (await layer.settled).diffId };
}
