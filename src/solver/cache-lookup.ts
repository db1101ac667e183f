/**
 * Two questions to the cache for each step. First by definition: the same step on the same steps. Then by content: the
 * same step on the same bytes, whatever made them, so that a re-run producer with an equal result busts nothing.
 */

import type { CacheKey, KeyPart } from '../image/descriptor.ts';
import { keyOf, runKeyParts, transferKeyParts, workdirKeyParts } from '../plan/cache-key.ts';
import type { CacheRecord } from '../store/record-store.ts';
import { contentInputs, definitionInputs } from './key-inputs.ts';
import type { SolverContext } from './solver-context.ts';
import type { SettledLayer, StageState } from './step-layer.ts';
import type { StepRequest } from './step-request.ts';

export interface LookUpResult {
  /** Definition key: what the next step builds its own key on. */
  readonly key: CacheKey;
  /** Every key the result is to be recorded under, the definition key first. */
  readonly keys: readonly { readonly key: CacheKey; readonly parts: readonly KeyPart[] }[];
  /** The stage after the step, when the cache had it. */
  readonly hit?: Omit<StageState, 'key'>;
}

/** Computes a step's keys and asks the cache, unless the step is not to be taken from it. */
export async function lookUp(context: SolverContext, request: StepRequest): Promise<LookUpResult> {
  const { step, state } = request;
  const inputs = await definitionInputs(context, request);
  const parts = partsOf(request, { parent: state.key, inputs });
  const key = keyOf(parts);
  const record = step.noCache ? undefined : usable(context, context.store.records.get(key));
  if (record !== undefined) return { key, keys: [], hit: after(state, record) };
  // Only what is read from stages and images has a second, looser identity: its bytes.
  const byContent = await contentInputs(context, request);
  const contentParts = partsOf(request, { parent: state.key, inputs: byContent });
  const contentKey = keyOf(contentParts);
  if (contentKey === key) return { key, keys: [{ key, parts }] };
  const same = step.noCache ? undefined : usable(context, context.store.records.get(contentKey));
  if (same === undefined)
    return {
      key,
      keys: [
        { key, parts },
        { key: contentKey, parts: contentParts },
      ],
    };
  context.store.records.put({ key, parts, layer: same.layer });
  return { key, keys: [], hit: after(state, same) };
}

/** Records what a step gave under its keys; gives the layer back. */
export function remember(context: SolverContext, found: LookUpResult, layer: SettledLayer): SettledLayer {
  const { diffId, tarSize, created } = layer;
  for (const { key, parts } of found.keys) {
    context.store.records.put({ key, parts, layer: { diffId, tarSize, created } });
  }
  return layer;
}

/** A record counts only while its layer is still here. */
function usable(context: SolverContext, record: CacheRecord | undefined): CacheRecord | undefined {
  if (record === undefined) return undefined;
  const { diffId } = record.layer;
  return context.store.blobs.has(diffId) && context.store.layers.hasToc(diffId) ? record : undefined;
}

function after(state: StageState, { layer }: CacheRecord): Omit<StageState, 'key'> {
  return { layers: [...state.layers, { settled: Promise.resolve(layer) }] };
}

function partsOf(
  { step, plan }: StepRequest,
  { parent, inputs }: { parent: string; inputs: readonly KeyPart[] },
): KeyPart[] {
  const context = { parent, platform: plan.platform };
  switch (step.kind) {
    case 'run':
      return runKeyParts(step, { ...context, inputs });
    case 'transfer':
      return transferKeyParts(step, { ...context, inputs });
    case 'workdir':
      return workdirKeyParts(step, context);
  }
}
