/** What becomes of the layer a step makes, told from the plan: it decides in which forms the layer is packed. */
import type { Plan } from '../plan/plan.ts';
import { inputsOf, type StagePlan, type Step } from '../plan/step.ts';
import { lineage } from './lineage.ts';
import { needsLookup } from './owner.ts';

export interface LayerUse {
  /** It is one of the image's, so outputs will ask for it. */
  readonly ofImage: boolean;
  /** A later step of the build reads its bytes, which are quickest to read in a plain tar. */
  readonly isRead: boolean;
}

/** For layers that no output gets. */
export const INTERNAL: LayerUse = { ofImage: false, isRead: true };

/** The use of the layer of a stage's step; `number` counts the stage's steps from 0. */
export function layerUse(
  plan: Plan,
  { stage, number }: { readonly stage: StagePlan; readonly number: number },
): LayerUse {
  const image = lineage(plan, plan.target);
  const place = image.findIndex((each) => each.stage.index === stage.stage.index);
  if (place < 0) return INTERNAL;
  const above = image.slice(place);
  const read = new Set(
    plan.stages
      .flatMap(({ steps }) => steps.flatMap(inputsOf))
      .flatMap((input) => (input.kind === 'stage' ? [input.index] : [])),
  );
  if (above.some((each) => read.has(each.stage.index))) return { ofImage: true, isRead: true };
  const later = above.flatMap(({ steps }, index) => (index === 0 ? steps.slice(number + 1) : steps));
  // What a RUN leaves is a directory already, and the next RUN stands on that.
  const isDirectory = stage.steps[number]?.kind === 'run';
  return {
    ofImage: true,
    isRead: later.some((step) => readsAccounts(step) || (step.kind === 'run' && !isDirectory)),
  };
}

/** True for a step that looks names of users up in the image. */
function readsAccounts(step: Step): boolean {
  if (step.kind === 'transfer') return step.chown !== undefined && needsLookup(step.chown);
  return step.kind === 'workdir' && needsLookup(step.user);
}
