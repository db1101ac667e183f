/** --explain: what the cache said of each step, and for a miss what differs from the nearest recorded build. */
import type { Digest } from '../image/descriptor.ts';
import { hasTimesOf } from '../layer/layer-times.ts';
import type { Plan } from '../plan/plan.ts';
import { scopeId, stepPrefix } from '../plan/stage-state.ts';
import type { StagePlan, Step } from '../plan/step.ts';
import type { CacheAnswer, StepLabel } from '../progress/event.ts';
import { unpackFileList } from '../store/file-lists.ts';
import type { CacheRecord } from '../store/record-store.ts';
import type { HitKind, LookUpResult } from './cache-lookup.ts';
import { type Explained, type KeyWords, keyDifference } from './key-difference.ts';
import { standsAlone } from './key-inputs.ts';
import { labelOf } from './labels.ts';
import { isWhole } from './local-records.ts';
import { nearestRecord } from './nearest-record.ts';
import type { SolverContext } from './solver-context.ts';
import type { StepRequest } from './step-request.ts';
import { placeName } from './step-sources.ts';
import { serves } from './timed-layer.ts';

const HIT_REASONS: Readonly<Record<HitKind, string>> = {
  key: 'the same step on the same steps',
  content: 'what it reads holds the same bytes',
  stack: 'the layers below hold the same, times aside',
  elsewhere: 'the same step on the same steps, from an imported cache',
};

/** The answer for a step that was looked up. */
async function explainLookUp(
  context: SolverContext,
  { request, found, plan }: { request: StepRequest; found: LookUpResult; plan: Plan },
): Promise<CacheAnswer> {
  if (found.hit !== undefined) {
    const retimed = hasTimesOf(found.hit.times, context.options.epoch)
      ? ''
      : '; its times become SOURCE_DATE_EPOCH';
    return { cache: 'hit', reason: `${HIT_REASONS[found.how ?? 'key']}${retimed}` };
  }
  return { cache: 'miss', ...(await explainMiss(context, { request, found, plan })) };
}

async function explainMiss(
  context: SolverContext,
  { request, found, plan }: { request: StepRequest; found: LookUpResult; plan: Plan },
): Promise<Explained> {
  const { store } = context;
  if (request.step.noCache) {
    return {
      reason: 'the cache was not asked (--no-cache or --no-cache-filter)',
      difference: { part: 'no-cache' },
    };
  }
  const known = found.records.flatMap(({ key }) => store.records.peek(key) ?? []);
  const untimed = known.find((record) => isWhole(store, record) && !serves(context, record.layer));
  if (untimed !== undefined) return timesLost(untimed, context.options.epoch);
  if (known.some((record) => !isWhole(store, record))) {
    return {
      reason: 'it was built here, but its layer is no longer in the store (pruned)',
      difference: { part: 'layer' },
    };
  }
  const parts = found.records.at(-1)?.parts ?? [];
  const nearest = nearestRecord(allRecords(context), parts);
  const difference =
    nearest === undefined
      ? undefined
      : await keyDifference(nearest.parts, parts, wordsOf(context, { request, found, plan }));
  return difference ?? { reason: 'never built here', difference: { part: 'no-record' } };
}

/** Its times between the epoch it was made with, or the time it was made at, and the one of this build are not known. */
function timesLost({ layer: { times } }: CacheRecord, epoch: number | undefined): Explained {
  const [before, after] = [times?.epoch, epoch].map((each) =>
    each === undefined ? undefined : String(each),
  );
  return {
    reason: `it was built ${before === undefined ? 'without' : 'with an earlier'} SOURCE_DATE_EPOCH, and the times that its files would have with this one are not known`,
    difference: {
      part: 'option',
      name: 'SOURCE_DATE_EPOCH',
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    },
  };
}

function* allRecords({ store, options }: SolverContext): Generator<CacheRecord> {
  yield* store.records.list();
  for (const source of options.recordSources) yield* source.list();
}

function wordsOf(
  context: SolverContext,
  { request, found, plan }: { request: StepRequest; found: LookUpResult; plan: Plan },
): KeyWords {
  const { step, plan: stage } = request;
  return {
    parent: parentOf(plan, stage, step),
    placeOf: (part) => placeOf(step, part),
    isArgument: (variable) => stage.declaredArgs.includes(variable),
    fileList: async (digest) => {
      const own = found.lists.find((list) => list.digest === digest);
      return own === undefined ? storedList(context, digest as Digest) : own.pieces.join('');
    },
  };
}

async function storedList({ store, options }: SolverContext, digest: Digest): Promise<string | undefined> {
  const local = store.fileLists.get(digest);
  if (local !== undefined) return local;
  for (const source of options.recordSources) {
    const packed = await source.fileList(digest);
    const text = packed === undefined ? undefined : unpackFileList(digest, packed);
    if (text !== undefined) return text;
  }
  return undefined;
}

/** What a step stands on: the step before it, of this stage or of the one it is built on, or a base. */
function parentOf(plan: Plan, stage: StagePlan, step: Step | undefined): KeyWords['parent'] {
  const before = step === undefined ? stage.steps.at(-1) : stage.steps[stage.steps.indexOf(step) - 1];
  if (before !== undefined) {
    const { id, prefix, name } = before.title;
    // A step that stands alone hides what is below it.
    return { name: `${prefix} ${name}${standsAlone(before) ? ', or what is below it' : ''}`, step: id };
  }
  const { base } = stage.stage;
  const below =
    base.kind === 'stage' ? plan.stages.find((other) => other.stage.index === base.index) : undefined;
  return below === undefined ? { name: placeName(base) } : parentOf(plan, below, undefined);
}

function placeOf(step: Step, part: string): string {
  if (step.kind === 'transfer') {
    const source = step.sources[Number(part.slice('source '.length))];
    switch (source?.kind) {
      case 'tree':
        return placeName(source.from);
      case 'http':
      case 'git':
        return source.url;
      default:
        return 'the here-document';
    }
  }
  const target = part.slice('mounted at '.length);
  const mount = step.kind === 'run' ? step.mounts.find((each) => each.target === target) : undefined;
  return mount?.from === undefined
    ? `the mount at ${target}`
    : `${placeName(mount.from)} (mounted at ${target})`;
}

/** Steps of stages that the target does not reach. */
function unneededSteps({ graph, stages }: Plan): StepLabel[] {
  const reached = new Set(stages.map(({ stage }) => stage.index));
  return graph.stages.flatMap((stage) => {
    if (reached.has(stage.index)) return [];
    const own = stage.instructions.filter(({ keyword }) => LAYERS.has(keyword));
    const first = stage.base.kind === 'image' || stage.base.kind === 'context' ? 2 : 1;
    const total = own.length + first - 1;
    return own.map(({ original, location }, number) => {
      const index = first + number;
      return {
        id: `${scopeId(graph, stage)}/${index}`,
        prefix: stepPrefix(graph, stage, { index, total }),
        name: original,
        line: location.startLine,
      };
    });
  });
}

const LAYERS: ReadonlySet<string> = new Set(['RUN', 'COPY', 'ADD', 'WORKDIR']);

/** Announces what is known before anything is looked up. */
export function explainUnneeded(context: SolverContext, plan: Plan): void {
  for (const step of unneededSteps(plan)) {
    const reason = 'the target does not reach its stage';
    context.options.emit({ type: 'step-explained', step, cache: 'not-needed', reason });
  }
}

/** Announces the steps of a stage that need not run: what would have read from it was in the cache. */
export function explainUnused(context: SolverContext, steps: readonly Step[]): void {
  for (const step of steps) {
    const reason = 'what reads from its stage was in the cache';
    context.options.emit({ type: 'step-explained', step: labelOf(step), cache: 'not-needed', reason });
  }
}

/** Announces the answer for a step. */
export async function explainStep(
  context: SolverContext,
  about: { request: StepRequest; found: LookUpResult; plan: Plan },
): Promise<void> {
  const answer = await explainLookUp(context, about);
  context.options.emit({ type: 'step-explained', step: labelOf(about.request.step), ...answer });
}
