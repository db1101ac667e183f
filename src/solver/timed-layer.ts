/**
 * Hits whose layer was packed with another SOURCE_DATE_EPOCH. Keys know nothing of it; the layer is given the times of
 * this build when something needs it, and what came of that is remembered under a key of its own.
 */
import type { KeyPart } from '../image/descriptor.ts';
import { canBeGiven, hasTimesOf } from '../layer/layer-times.ts';
import { keyOf, retimedKeyParts } from '../plan/cache-key.ts';
import type { CachedLayer } from '../store/record-store.ts';
import type { LayerUse } from './layer-use.ts';
import { isWhole, localLayer, recordedLayer } from './local-records.ts';
import type { SolverContext } from './solver-context.ts';
import type { SettledLayer, StepLayer } from './step-layer.ts';

/** True when a recorded layer serves a build, as it is or with other times. */
export function serves({ options: { epoch } }: SolverContext, { times }: CachedLayer): boolean {
  return hasTimesOf(times, epoch) || (epoch !== undefined && canBeGiven(times, epoch));
}

/** A hit as a layer of a stack. */
export function timedLayer(context: SolverContext, hit: SettledLayer, use: LayerUse): StepLayer {
  const { epoch } = context.options;
  if (epoch === undefined || hasTimesOf(hit.times, epoch)) return { settled: Promise.resolve(hit) };
  const parts = retimedKeyParts(hit, epoch);
  const record = context.store.records.get(keyOf(parts));
  if (record !== undefined && isWhole(context.store, record)) {
    return { settled: Promise.resolve(localLayer(context.store, record)), original: hit };
  }
  return new RetimedLayer(context, hit, { parts, use });
}

interface How {
  readonly parts: readonly KeyPart[];
  readonly use: LayerUse;
}

class RetimedLayer implements StepLayer {
  readonly original: SettledLayer;
  readonly #context: SolverContext;
  readonly #how: How;
  #work: Promise<SettledLayer> | undefined;

  constructor(context: SolverContext, original: SettledLayer, how: How) {
    this.#context = context;
    this.original = original;
    this.#how = how;
  }

  get idle(): boolean {
    return this.#work === undefined;
  }

  get settled(): Promise<SettledLayer> {
    if (this.#work === undefined) {
      this.#work = this.#retime();
      // A failure surfaces where the layer is waited for.
      this.#work.catch(() => undefined);
    }
    return this.#work;
  }

  async #retime(): Promise<SettledLayer> {
    const { access, store, options } = this.#context;
    const { parts, use } = this.#how;
    const { times = {} } = this.original;
    const layer = await access.retime(this.original, { times, use });
    if (options.remembers) store.records.put({ key: keyOf(parts), parts, layer: recordedLayer(layer) });
    return layer;
  }
}
