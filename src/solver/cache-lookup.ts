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
  /** What the next step builds its own key on: the content key where there is one, else the definition key. */
  readonly key: CacheKey;
  /** Every key the result is to be recorded under. */
  readonly records: readonly Omit<CacheRecord, 'layer'>[];
  /** The stage after the step, when the cache had it. */
  readonly hit?: Omit<StageState, 'key'>;
}

/** Computes a step's keys and asks the cache, unless the step is not to be taken from it. */
export async function lookUp(context: SolverContext, request: StepRequest): Promise<LookUpResult> {
  const { step, state } = request;
  const { records } = context.store;
  const inputs = await definitionInputs(context, request);
  const parts = partsOf(request, { parent: state.key, inputs });
  const key = keyOf(parts);
  const found = step.noCache ? undefined : usable(context, records.get(key));
  if (found !== undefined) return { key: found.contentKey ?? key, records: [], hit: after(state, found) };
  // Only what is read from stages and images has a second, looser identity: its bytes.
  const byContent = await contentInputs(context, request);
  const contentParts = partsOf(request, { parent: state.key, inputs: byContent });
  const contentKey = keyOf(contentParts);
  if (contentKey === key) return { key, records: [{ key, parts }] };
  const same = step.noCache ? undefined : usable(context, records.get(contentKey));
  const definition = { key, parts, contentKey };
  if (same === undefined) {
    return { key: contentKey, records: [definition, { key: contentKey, parts: contentParts }] };
  }
  records.put({ ...definition, layer: same.layer });
  return { key: contentKey, records: [], hit: after(state, same) };
}

/** Records what a step gave under its keys; gives the layer back. */
export function remember(context: SolverContext, found: LookUpResult, layer: SettledLayer): SettledLayer {
  const { diffId, tarSize, created } = layer;
  for (const record of found.records) {
    context.store.records.put({ ...record, layer: { diffId, tarSize, created } });
  }
  return layer;
}

/** A record counts only while its layer is still here, and whole: a power cut may have left it short. */
function usable(context: SolverContext, record: CacheRecord | undefined): CacheRecord | undefined {
  if (record === undefined) return undefined;
  const { diffId, tarSize } = record.layer;
  return context.store.blobs.size(diffId) === tarSize &&
    context.store.blobs.claim(diffId) &&
    context.store.layers.hasToc(diffId)
    ? record
    : undefined;
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
