/**
 * A step's result on other layers that hold the same: when a step below ran again and gave what it gave before, times
 * aside, what follows in its stage need not run. Layers are compared one by one from the lowest; the first that differs
 * ends it, so that a changed file keeps no step waiting.
 */
import type { KeyPart } from '../image/descriptor.ts';
import { shapeOf } from '../plan/cache-key.ts';
import type { CacheRecord } from '../store/record-store.ts';
import { isWhole } from './local-records.ts';
import type { SolverContext } from './solver-context.ts';
import type { StepLayer } from './step-layer.ts';
import { serves } from './timed-layer.ts';

/** The latest record of the same step on an equal stack. Waits for layers only when there is one to compare with. */
export async function findOnEqualStack(
  context: SolverContext,
  { parts, layers }: { parts: readonly KeyPart[]; layers: readonly StepLayer[] },
): Promise<CacheRecord | undefined> {
  const { store } = context;
  for (const key of store.shapes.get(shapeOf(parts))) {
    const record = store.records.peek(key);
    if (record === undefined || !isWhole(store, record) || !serves(context, record.layer)) continue;
    if (await isEqual(context, record.below, layers)) return store.records.get(key);
  }
  return undefined;
}

async function isEqual(
  { access }: SolverContext,
  then: CacheRecord['below'],
  now: readonly StepLayer[],
): Promise<boolean> {
  if (then?.length !== now.length) return false;
  for (const [index, layer] of now.entries()) {
    const before = then[index];
    if (before === undefined || !(await access.isSameButForTimes(before, layer))) return false;
  }
  return true;
}
