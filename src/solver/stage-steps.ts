/** How a stage begins, and which executor a step goes to. */
import { BugError } from '../errors.ts';
import type { InputRef } from '../plan/stage-graph.ts';
import { executeContextBase } from './context-base.ts';
import type { ImageLayer, ResolvedImage } from './image-resolver.ts';
import type { LayerUse } from './layer-use.ts';
import { executeRun } from './run-step.ts';
import type { SolverContext } from './solver-context.ts';
import type { SettledLayer, StageState, StepLayer } from './step-layer.ts';
import type { StepReporter } from './step-reporter.ts';
import type { StepRequest } from './step-request.ts';
import { executeTransfer, executeWorkdir } from './transfer-step.ts';

/** Runs a step that the cache did not have. */
export function executeStep(
  context: SolverContext,
  request: StepRequest & { readonly use: LayerUse; readonly reporter: StepReporter },
): Promise<StepLayer> {
  const { step } = request;
  switch (step.kind) {
    case 'run':
      return executeRun(context, { ...request, step });
    case 'transfer':
      return executeTransfer(context, { ...request, step });
    case 'workdir':
      return executeWorkdir(context, { ...request, step });
  }
}

/** An image, a context or scratch as the state of a stage. */
export async function imageState(context: SolverContext, input: InputRef): Promise<StageState> {
  switch (input.kind) {
    case 'scratch':
      return { layers: [], key: 'scratch' };
    case 'image': {
      const image = await context.options.resolver.resolve(input.reference, input.platform);
      return { layers: imageLayers(image), key: image.chain ?? 'scratch' };
    }
    case 'context':
      return executeContextBase(context, input.name);
    case 'stage':
      throw new BugError('a stage is not an input of its own');
  }
}

function imageLayers(image: ResolvedImage): StepLayer[] {
  const created = image.config.created ?? '1970-01-01T00:00:00Z';
  return image.layers.map((layer) => ({ settled: Promise.resolve(settledOf(layer, created)) }));
}

function settledOf(layer: ImageLayer, created: string): SettledLayer {
  // Its size unpacked is not known before it has been read.
  return { diffId: layer.diffId, tarSize: 0, created, image: layer };
}
