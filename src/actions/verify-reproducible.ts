/**
 * --verify-reproducible: builds twice without the cache, as in two seconds that are not the same, and compares what the
 * steps gave, file by file. No name and no cache record comes of it, and no layer stays.
 */
import { BuildError } from '../errors.ts';
import { layerDifferences } from '../layer/compare-layers.ts';
import { EPOCH } from '../plan/stage-graph.ts';
import type { Emit } from '../progress/event.ts';
import { Store } from '../store/store.ts';
import type { BuildRequest, TracedStep } from './build-request.ts';
import { pruneStore } from './prune-store.ts';
import { curesFor, type DifferingStep, differenceReport } from './reproducible-report.ts';
import { type RunBuildOptions, runBuild } from './run-build.ts';

export interface Verification {
  /** What to print: each step that differs with its files, or that none does. */
  readonly report: string;
  /** IMAGE_NOT_REPRODUCIBLE, when something differs. */
  readonly failure: BuildError | undefined;
}

/** Builds twice, compares, and lets nothing of it stay. Throws what a build throws. */
export async function verifyReproducible(
  request: BuildRequest,
  options: RunBuildOptions,
): Promise<Verification> {
  try {
    return await buildTwice(request, options);
  } finally {
    const garbage = { all: false, containers: false, dryRun: false, now: options.clock() };
    const { signal, killSignal } = options;
    const world = { env: { ...request.env }, signal, killSignal };
    // What another build beside this one holds on to is left to the next prune.
    if (!signal.aborted) await pruneStore(request.root, garbage, world);
  }
}

async function buildTwice(request: BuildRequest, options: RunBuildOptions): Promise<Verification> {
  const caches = { ...request.caches, from: [], to: [], mountsFrom: [], mountsTo: [] };
  const trial = { ...request, trial: true, noCache: true, outputs: [], explain: false, caches };
  const first = await runBuild(trial, options);
  await untilNextSecond(options.clock);
  const second = await runBuild(trial, { ...options, emit: renamed(options.emit) });
  const others = new Map(second.trace?.map((step) => [step.id, step]));
  const differing = compare(Store.open(request.root), first.trace ?? [], others);
  const same = first.imageId === second.imageId;
  if (same && differing.length === 0) {
    return { report: `reproducible: two builds gave ${first.imageId}\n`, failure: undefined };
  }
  const message =
    differing.length === 0
      ? 'two builds gave equal layers, but images with other times in their config'
      : `two builds differ in ${differing.length} of ${first.steps} steps`;
  const suggestions = curesFor(differing, { fixedTime: request.buildArgs.has(EPOCH) });
  return {
    report: differenceReport(differing, { path: request.dockerfile.path }),
    failure: new BuildError('IMAGE_NOT_REPRODUCIBLE', message, { suggestions }),
  };
}

/** Times are whole seconds in an image: two builds in one would hide what depends on them. */
function untilNextSecond(clock: () => number): Promise<void> {
  const now = clock();
  return new Promise((resolve) => setTimeout(resolve, 1000 - (now % 1000) + 5));
}

/** Steps of the second build are steps of their own to the reader. */
function renamed(emit: Emit): Emit {
  return (event) => {
    if (!('step' in event)) return emit(event);
    const { step } = event;
    const id = (name: string): string => `second/${name}`;
    // The event keeps its kind; only the name of its step changes.
    emit({
      ...event,
      step: typeof step === 'string' ? id(step) : { ...step, id: id(step.id) },
    } as typeof event);
  };
}

function compare(
  store: Store,
  steps: readonly TracedStep[],
  others: ReadonlyMap<string, TracedStep>,
): DifferingStep[] {
  const files = ({ diffId }: TracedStep) => ({
    toc: store.layers.tocPath(diffId),
    tar: store.blobs.path(diffId),
  });
  return steps.flatMap((step) => {
    const other = others.get(step.id);
    if (other === undefined || other.diffId === step.diffId) return [];
    return [{ step, entries: layerDifferences(files(step), files(other)) }];
  });
}
