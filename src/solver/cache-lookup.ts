/**
 * Two questions to the cache for each step. First by definition: the same step on the same steps. Then by content: the
 * same step on the same bytes, whatever made them, so that a re-run producer with an equal result busts nothing. The
 * local store is asked first, then the record sources.
 */

import { randomUUID } from 'node:crypto';
import type { CacheKey, DiffId, KeyPart } from '../image/descriptor.ts';
import {
  keyOf,
  RUN_AGAIN,
  runKeyParts,
  shapeOf,
  stackedKey,
  transferKeyParts,
  workdirKeyParts,
} from '../plan/cache-key.ts';
import type { FileList } from '../store/file-lists.ts';
import type { CacheRecord } from '../store/record-store.ts';
import { findOnEqualStack } from './equal-stacks.ts';
import { contentInputs, definitionInputs, standsAlone } from './key-inputs.ts';
import { isWhole, localLayer, recordedLayer } from './local-records.ts';
import type { SourcedRecord } from './record-source.ts';
import { DEFAULT_SHM_SIZE } from './run-settings.ts';
import type { SolverContext, SolverOptions } from './solver-context.ts';
import { type SettledLayer, type StageState, settle } from './step-layer.ts';
import type { StepRequest } from './step-request.ts';
import { serves } from './timed-layer.ts';

/** A record without the layer, which a step that is yet to run has not. */
export type UnfinishedRecord = Omit<CacheRecord, 'layer'>;

/** How a hit was found: by the step's key, by what it reads, on an equal stack, in a record source. */
export type HitKind = 'key' | 'content' | 'stack' | 'elsewhere';

export interface LookUpResult {
  /** What the next step builds its own key on: the content key where there is one, else the definition key. */
  readonly key: CacheKey;
  /** Every key of the step, whether it is recorded already or to be. */
  readonly records: readonly UnfinishedRecord[];
  /** What digests over files among the records' parts stand for. */
  readonly lists: readonly FileList[];
  /** The step's layer, when the cache had it, and how it was found. */
  readonly hit?: SettledLayer;
  readonly how?: HitKind;
}

/** Computes a step's keys and asks the cache, unless the step is not to be taken from it. `first` was asked already. */
export async function lookUp(
  context: SolverContext,
  request: StepRequest,
  first?: Definition,
): Promise<LookUpResult> {
  const found = await ask(context, request, first);
  return { ...found, key: keyAfter(request, found.key) };
}

/** What the key of the next step builds on, after a step with this key. */
export function keyAfter({ step, state }: Pick<StepRequest, 'step' | 'state'>, key: CacheKey): CacheKey {
  return standsAlone(step) ? stackedKey(state.key, key) : key;
}

async function ask(
  context: SolverContext,
  request: StepRequest,
  first: Definition | undefined,
): Promise<LookUpResult> {
  const { step } = request;
  const { key, parts, found } = first ?? (await findByDefinition(context, request));
  if (found !== undefined) {
    const { contentKey, below, layer, how } = found;
    const records = [{ key, parts, contentKey, below }];
    return { key: contentKey ?? key, records, lists: [], hit: layer, how };
  }
  // Only what is read from stages and images has a second, looser identity: its bytes.
  const byContent = await contentInputs(context, request);
  const contentParts = partsOf(context, request, byContent.parts);
  const keys = [
    { key, parts },
    { key: keyOf(contentParts), parts: contentParts },
  ].slice(keyOf(contentParts) === key ? 1 : 0);
  const same = step.noCache ? undefined : await findSame(context, request, keys);
  if (same === undefined) {
    const all = [...keys, ...runAgain(context, request, contentParts)];
    return { ...chained(all), lists: byContent.lists };
  }
  const { records, key: effective } = chained([...keys, { key: same.key }]);
  for (const record of records) keep(context, record, same.layer);
  return { key: effective, records, lists: [], hit: same.layer, how: same.how };
}

/** A step's key by definition, and what the cache has under it. */
export interface Definition extends UnfinishedRecord {
  readonly found: Found | undefined;
}

/** The first question alone: it runs nothing and waits for no producer whose key can be told without it. */
export async function findByDefinition(context: SolverContext, request: StepRequest): Promise<Definition> {
  const inputs = await definitionInputs(context, request);
  const parts = partsOf(context, request, inputs.parts);
  const key = keyOf(parts);
  return { key, parts, found: request.step.noCache ? undefined : await findRecord(context, key) };
}

/** The key that stands for a step by the bytes it reads, from any record of it, whether its layer can be had or not. */
export async function aliasOf(
  { store, options }: SolverContext,
  key: CacheKey,
): Promise<CacheKey | undefined> {
  const local = store.records.peek(key)?.contentKey;
  if (local !== undefined) return local;
  for (const source of options.recordSources) {
    const alias = await source.alias(key);
    if (alias !== undefined) return alias;
  }
  return undefined;
}

/** A result by the bytes a step reads, or one on a stack that holds the same. Its key stands for the step from now on. */
async function findSame(
  context: SolverContext,
  { state }: StepRequest,
  keys: readonly UnfinishedRecord[],
): Promise<{ key: CacheKey; layer: SettledLayer; how: HitKind } | undefined> {
  const byContent = keys.at(-1);
  if (byContent === undefined) return undefined;
  const same = keys.length < 2 ? undefined : await findRecord(context, byContent.key);
  if (same !== undefined) {
    return { key: same.contentKey ?? byContent.key, layer: same.layer, how: 'content' };
  }
  const twin = await findOnEqualStack(context, { parts: byContent.parts, layers: state.layers });
  if (twin === undefined) return undefined;
  return { key: twin.contentKey ?? twin.key, layer: localLayer(context.store, twin), how: 'stack' };
}

/**
 * A RUN that is run again on demand may give something else than before: what follows must not take it for the old
 * result, so it gets a key of its own.
 */
function runAgain(
  { store }: SolverContext,
  { step }: StepRequest,
  parts: readonly KeyPart[],
): UnfinishedRecord[] {
  if (step.kind !== 'run' || !step.noCache || store.records.peek(keyOf(parts)) === undefined) return [];
  const again: KeyPart[] = [...parts, [RUN_AGAIN, randomUUID()]];
  return [{ key: keyOf(again), parts: again }];
}

/** The keys of a step as records, each but the last standing for the last, which the next step builds on. */
function chained(
  keys: readonly (UnfinishedRecord | { readonly key: CacheKey; readonly parts?: undefined })[],
): Pick<LookUpResult, 'key' | 'records'> {
  const key = keys.at(-1)?.key ?? keyOf([]);
  const own = keys.flatMap((each) => (each.parts === undefined ? [] : [each]));
  return { key, records: own.map((each) => (each.key === key ? each : { ...each, contentKey: key })) };
}

/** Records what a step gave under its keys; gives the layer back. */
export async function remember(
  context: SolverContext,
  { records, lists }: LookUpResult,
  { layer, state }: { readonly layer: SettledLayer; readonly state: StageState },
): Promise<SettledLayer> {
  if (!context.options.remembers) return layer;
  await Promise.all(lists.map((list) => context.store.fileLists.put(list)));
  const below = (await settle(state.layers)).map(({ diffId }) => diffId);
  for (const record of records) context.store.records.put({ ...record, below, layer: recordedLayer(layer) });
  const last = records.at(-1);
  if (last !== undefined) context.store.shapes.add(shapeOf(last.parts), last.key);
  return layer;
}

interface Found {
  readonly below?: readonly DiffId[] | undefined;
  readonly contentKey?: CacheKey | undefined;
  readonly layer: SettledLayer;
  readonly how: HitKind;
}

async function findRecord(context: SolverContext, key: CacheKey): Promise<Found | undefined> {
  const { store, options } = context;
  const local = store.records.get(key);
  if (local !== undefined && isWhole(store, local) && serves(context, local.layer)) {
    return { ...local, layer: localLayer(store, local), how: 'key' };
  }
  for (const source of options.recordSources) {
    const record = await source.get(key);
    if (record === undefined || record.key !== key || !serves(context, record.layer)) continue;
    const layer = layerOf(context, record);
    if (layer === undefined) continue;
    const { parts, contentKey, below } = record;
    keep(context, { key, parts, contentKey, below }, layer);
    // The next build may come to the bytes by another way.
    const twin = contentKey === undefined ? undefined : await source.get(contentKey);
    if (twin !== undefined && twin.layer.diffId === layer.diffId) {
      keep(context, { key: twin.key, parts: twin.parts, below: twin.below }, layer);
    }
    return { contentKey, below, layer, how: 'elsewhere' };
  }
  return undefined;
}

/** The layer of a record from elsewhere: as it is here, or to be fetched when something needs it. */
function layerOf({ store }: SolverContext, { origin, ...record }: SourcedRecord): SettledLayer | undefined {
  const { diffId, tarSize, created, times } = record.layer;
  const layer = { diffId, tarSize, created, times };
  if (isWhole(store, { ...record, layer })) return layer;
  if (origin === undefined) return undefined;
  return { ...layer, blob: origin.descriptor, form: origin.cached?.form, image: origin };
}

/** Puts a record among the local ones: at once if its layer is here, else when it comes. */
function keep(context: SolverContext, record: UnfinishedRecord, layer: SettledLayer): void {
  const whole = { ...record, layer: recordedLayer(layer) };
  if (isWhole(context.store, whole)) context.store.records.put(whole);
  else context.options.borrowed.add(whole);
}

function partsOf(
  { options }: SolverContext,
  { step, plan, state }: StepRequest,
  inputs: readonly KeyPart[],
): KeyPart[] {
  const { settings } = options;
  const parent = standsAlone(step) ? '' : state.key;
  const context = { parent, platform: plan.platform };
  switch (step.kind) {
    case 'run':
      return runKeyParts(step, { ...context, inputs, sandbox: sandboxParts(settings) });
    case 'transfer':
      return transferKeyParts(step, { ...context, inputs });
    case 'workdir':
      return workdirKeyParts(step, context);
  }
}

/** What RUNs can see of the settings that they share, as BuildKit counts it: names of hosts and limits, never secrets. */
function sandboxParts({ extraHosts, ulimits, shmSize }: SolverOptions['settings']): KeyPart[] {
  const hosts = extraHosts.map(({ name }) => name);
  return [
    ...(hosts.length === 0 ? [] : [['hosts', JSON.stringify(hosts)] as const]),
    ...(ulimits.length === 0 ? [] : [['ulimits', JSON.stringify(ulimits)] as const]),
    ...(shmSize === DEFAULT_SHM_SIZE ? [] : [['shm-size', String(shmSize)] as const]),
  ];
}
