/**
 * Two questions to the cache for each step. First by definition: the same step on the same steps. Then by content: the
 * same step on the same bytes, whatever made them, so that a re-run producer with an equal result busts nothing. The
 * local store is asked first, then the record sources.
 */

import type { CacheKey, KeyPart } from '../image/descriptor.ts';
import { keyOf, runKeyParts, transferKeyParts, workdirKeyParts } from '../plan/cache-key.ts';
import type { FileList } from '../store/file-lists.ts';
import type { CacheRecord } from '../store/record-store.ts';
import { contentInputs, definitionInputs } from './key-inputs.ts';
import { isWhole, localLayer } from './local-records.ts';
import type { SourcedRecord } from './record-source.ts';
import type { SolverContext } from './solver-context.ts';
import type { SettledLayer } from './step-layer.ts';
import type { StepRequest } from './step-request.ts';

/** A record without the layer, which a step that is yet to run has not. */
export type UnfinishedRecord = Omit<CacheRecord, 'layer'>;

export interface LookUpResult {
  /** What the next step builds its own key on: the content key where there is one, else the definition key. */
  readonly key: CacheKey;
  /** Every key of the step, whether it is recorded already or to be. */
  readonly records: readonly UnfinishedRecord[];
  /** What digests over files among the records' parts stand for. */
  readonly lists: readonly FileList[];
  /** The step's layer, when the cache had it. */
  readonly hit?: SettledLayer;
}

/** Computes a step's keys and asks the cache, unless the step is not to be taken from it. */
export async function lookUp(context: SolverContext, request: StepRequest): Promise<LookUpResult> {
  const { state, step } = request;
  const find = step.noCache ? (): undefined => undefined : (key: CacheKey) => findRecord(context, key);
  const inputs = await definitionInputs(context, request);
  const parts = partsOf(request, { parent: state.key, inputs: inputs.parts });
  const key = keyOf(parts);
  const found = await find(key);
  if (found !== undefined) {
    const { contentKey, layer } = found;
    return { key: contentKey ?? key, records: [{ key, parts, contentKey }], lists: [], hit: layer };
  }
  // Only what is read from stages and images has a second, looser identity: its bytes.
  const byContent = await contentInputs(context, request);
  const contentParts = partsOf(request, { parent: state.key, inputs: byContent.parts });
  const contentKey = keyOf(contentParts);
  if (contentKey === key) return { key, records: [{ key, parts }], lists: inputs.lists };
  const records = [
    { key, parts, contentKey },
    { key: contentKey, parts: contentParts },
  ];
  const same = await find(contentKey);
  if (same === undefined) return { key: contentKey, records, lists: byContent.lists };
  keep(context, { key, parts, contentKey }, same.layer);
  return { key: contentKey, records, lists: [], hit: same.layer };
}

/** Records what a step gave under its keys; gives the layer back. */
export async function remember(
  context: SolverContext,
  { records, lists }: LookUpResult,
  layer: SettledLayer,
): Promise<SettledLayer> {
  await Promise.all(lists.map((list) => context.store.fileLists.put(list)));
  for (const record of records) context.store.records.put({ ...record, layer: plain(layer) });
  return layer;
}

interface Found {
  readonly contentKey?: CacheKey | undefined;
  readonly layer: SettledLayer;
}

async function findRecord(context: SolverContext, key: CacheKey): Promise<Found | undefined> {
  const { store, options } = context;
  const local = store.records.get(key);
  if (local !== undefined && isWhole(store, local)) return { ...local, layer: localLayer(store, local) };
  for (const source of options.recordSources) {
    const record = await source.get(key);
    if (record === undefined || record.key !== key) continue;
    const layer = layerOf(context, record);
    if (layer === undefined) continue;
    const { parts, contentKey } = record;
    keep(context, { key, parts, contentKey }, layer);
    // The next build may come to the bytes by another way.
    const twin = contentKey === undefined ? undefined : await source.get(contentKey);
    if (twin !== undefined && twin.layer.diffId === layer.diffId) {
      keep(context, { key: twin.key, parts: twin.parts }, layer);
    }
    return { contentKey, layer };
  }
  return undefined;
}

/** The layer of a record from elsewhere: as it is here, or to be fetched when something needs it. */
function layerOf({ store }: SolverContext, { origin, ...record }: SourcedRecord): SettledLayer | undefined {
  const { diffId, tarSize, created } = record.layer;
  const layer = { diffId, tarSize, created };
  if (isWhole(store, { ...record, layer })) return layer;
  return origin === undefined ? undefined : { ...layer, blob: origin.descriptor, image: origin };
}

/** Puts a record among the local ones: at once if its layer is here, else when it comes. */
function keep(context: SolverContext, record: UnfinishedRecord, layer: SettledLayer): void {
  const whole = { ...record, layer: plain(layer) };
  if (isWhole(context.store, whole)) context.store.records.put(whole);
  else context.options.borrowed.add(whole);
}

/** What a record keeps of a layer. */
function plain({ diffId, tarSize, created, blob }: SettledLayer): CacheRecord['layer'] {
  return { diffId, tarSize, created, ...(blob === undefined ? {} : { blob }) };
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
