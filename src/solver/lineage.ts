/** Which stages an image consists of. */
import type { Plan } from '../plan/plan.ts';
import type { StagePlan } from '../plan/step.ts';

/** The stages an image is made of, from the one on the base image to the target. */
export function lineage(plan: Plan, target: StagePlan): StagePlan[] {
  const { base } = target.stage;
  if (base.kind !== 'stage') return [target];
  const parent = plan.stages.find(({ stage }) => stage.index === base.index);
  return parent === undefined ? [target] : [...lineage(plan, parent), target];
}
