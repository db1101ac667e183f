/**
 * Steps that begin before their keys are known. A key over a context needs every byte of it; where the cache cannot have
 * the step anyway, its files are packed at the same time, and not after.
 */
import type { TransferSource, TransferStep } from '../plan/step.ts';
import type { SolverContext } from './solver-context.ts';
import type { StepRequest } from './step-request.ts';
import { matchesOf } from './step-sources.ts';

/** True for a step that may begin at once. What it names is found first. Throws COPY_SOURCE_NOT_FOUND. */
export async function beginsEarly(context: SolverContext, { step, stageOf }: StepRequest): Promise<boolean> {
  if (step.kind !== 'transfer' || !context.options.cannotHit(step)) return false;
  if (!step.sources.every(isLocal)) return false;
  await Promise.all(step.sources.map((source) => found(context, { step, source, stageOf })));
  return true;
}

/** True for a source that is at hand without asking a stage, an image or the network for it. */
function isLocal(source: TransferSource): boolean {
  if (source.kind !== 'tree') return source.kind === 'inline';
  return source.from === 'context' || source.from.kind === 'context';
}

async function found(
  context: SolverContext,
  request: Pick<StepRequest, 'stageOf'> & { readonly step: TransferStep; readonly source: TransferSource },
): Promise<void> {
  const { source } = request;
  if (source.kind === 'tree') await matchesOf(context, { ...request, source });
}
