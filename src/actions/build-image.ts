/**
 * The whole build on one screen: text, stages, plan, layers, image, outputs. Runs outside the namespace as far as it
 * can; when a RUN must be executed it goes on inside, with the same request.
 */
import { join } from 'node:path';
import type { CacheExports } from '../cache/cache-exports.ts';
import { type ContextTrees, contextTrees } from '../context/contexts.ts';
import type { Download } from '../context/download.ts';
import { parseDockerfile } from '../dockerfile/parse.ts';
import { requireRunnable } from '../executor/foreign-platform.ts';
import { digestOf } from '../image/descriptor.ts';
import { LayerPool } from '../layer/layer-pool.ts';
import type { BuiltImage, OutputLayer } from '../output/finished-image.ts';
import { LayoutCopies } from '../output/layout-copies.ts';
import { writeOutput } from '../output/write-outputs.ts';
import type { Step } from '../plan/step.ts';
import type { Emit } from '../progress/event.ts';
import type { Connections } from '../registry/connections.ts';
import { BorrowedRecords } from '../solver/borrowed-records.ts';
import { CachedLayerError } from '../solver/cached-layer-error.ts';
import { finishImage } from '../solver/finish-image.ts';
import { ImageResolver } from '../solver/image-resolver.ts';
import { LayerAccess } from '../solver/layer-access.ts';
import { StepLayerBlobs } from '../solver/layer-blobs.ts';
import { LayerForms } from '../solver/layer-forms.ts';
import { NeedsNamespace } from '../solver/needs-namespace.ts';
import { prefetch } from '../solver/prefetch.ts';
import type { SolvedStep } from '../solver/record-source.ts';
import type { RemoteSources } from '../solver/remote-sources.ts';
import { Solver } from '../solver/solver.ts';
import { type ExecutionEnvironment, SolverContext } from '../solver/solver-context.ts';
import { squash } from '../solver/squash.ts';
import { Store } from '../store/store.ts';
import { BuildCaches, finishCaches, pushTargets } from './build-caches.ts';
import { resolveEpoch } from './build-epoch.ts';
import { baseConfigOf, type PlannedBuild, planFor } from './build-plan.ts';
import type { BuildRequest, BuildResult } from './build-request.ts';
import type { BuildScratch } from './build-scratch.ts';
import { warningsOf } from './build-warnings.ts';
import { packingForms } from './packing-forms.ts';
import { fetchNamedContext, openRemoteSources } from './remote-context.ts';
import { traceOf } from './trace-steps.ts';

/** What a build is given beside its request: the world, as far as it may touch it. */
export interface BuildEnvironment {
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly connections: Connections;
  readonly cacheConnections: () => Connections;
  readonly download: Download;
  readonly scratch: BuildScratch;
  readonly stdout: NodeJS.WritableStream;
  /** Makes what RUN needs; only inside the namespace. */
  readonly execution?: ((store: Store) => Promise<ExecutionEnvironment>) | undefined;
}

export type BuildOutcome =
  | { readonly kind: 'built'; readonly result: BuildResult }
  /** A step must run: call again inside the namespace, with what was resolved and fetched already. */
  | {
      readonly kind: 'needs-namespace';
      readonly known: BuildRequest['known'];
      readonly fetched: BuildRequest['fetched'];
      readonly caches: BuildRequest['caches'];
      /** The store had no record of any step as the build began. */
      readonly onEmpty: boolean;
    };

/** Builds. Throws BuildError for everything the user can act on; nothing half-written stays. */
export async function buildImage(
  request: BuildRequest,
  environment: BuildEnvironment,
): Promise<BuildOutcome> {
  // The kernel's clock for files is a little behind.
  const began = Math.floor(environment.clock() / 1000) - 1;
  const store = Store.open(request.root);
  const resolver = new ImageResolver({
    store,
    openRepository: (reference) => environment.connections.source(reference),
    pull: request.pull,
    directory: request.directory,
    known: request.known,
  });
  const onEmpty = store.records.isEmpty();
  const dockerfile = parseDockerfile(request.dockerfile);
  const caches = new BuildCaches(request, environment, store);
  const { scratch, signal } = environment;
  const remote = openRemoteSources({ ...environment, ...request, known: request.fetched });
  const epoch = await resolveEpoch(dockerfile, request, { remote, store, scratch, signal });
  const plans = await Promise.all(
    request.targetPlatforms.map((platform) => planFor(platform, { request, dockerfile, resolver, epoch })),
  );
  const warnings = warningsOf(plans, { dockerfile, request });
  if (warnings.failure !== undefined) {
    for (const event of warnings.events) environment.emit(event);
    throw warnings.failure;
  }
  const contexts = contextTrees(request, {
    store: join(store.root, 'cache'),
    temporary: store.temporary,
    clock: environment.clock,
    fetch: (url) => fetchNamedContext(url, { remote, scratch, store }),
  });
  const goInside = async (): Promise<BuildOutcome> => {
    await prefetch(plans, { remote, contextTree: contexts.tree });
    return {
      kind: 'needs-namespace',
      known: resolver.learned,
      fetched: remote.learned,
      caches: caches.learned,
      onEmpty,
    };
  };
  if (environment.execution === undefined && mustRun(plans, request)) return goInside();
  try {
    const work: BuildWork = {
      request,
      epoch: epoch.seconds,
      began,
      environment,
      store,
      resolver,
      remote,
      contexts,
      caches,
      isNew: ({ title }) => (onEmpty ? true : request.madeOnEmpty?.has(title.id) === false),
    };
    const result = await solveUnlessDamaged(plans, work);
    for (const event of warnings.events) environment.emit(event);
    return { kind: 'built', result };
  } catch (error) {
    if (error instanceof NeedsNamespace) return goInside();
    for (const event of warnings.events) environment.emit(event);
    throw error;
  } finally {
    contexts.save();
  }
}

/** True when a RUN will be executed whatever the cache holds. */
function mustRun(plans: readonly PlannedBuild[], request: BuildRequest): boolean {
  if (request.noCache !== true) return false;
  const stages = plans.flatMap(({ plan }) => plan.stages);
  return stages.some(({ steps }) => steps.some((step) => step.kind === 'run'));
}

interface BuildWork {
  readonly request: BuildRequest;
  /** Seconds since 1970, if SOURCE_DATE_EPOCH fixes them. */
  readonly epoch: number | undefined;
  /** Seconds since 1970, not later than any file that a step of this build makes. */
  readonly began: number;
  readonly environment: BuildEnvironment;
  readonly store: Store;
  readonly resolver: ImageResolver;
  readonly remote: RemoteSources;
  readonly contexts: ContextTrees;
  readonly caches: BuildCaches;
  /** True for a step that no build on this store has recorded. */
  readonly isNew: (step: Step) => boolean;
}

/** A layer of a cache that cannot be had makes the build begin again without it: what was made is in the store. */
async function solveUnlessDamaged(plans: readonly PlannedBuild[], work: BuildWork): Promise<BuildResult> {
  for (;;) {
    try {
      return await solveAndWrite(plans, work);
    } catch (error) {
      if (!(error instanceof CachedLayerError) || work.caches.isExcluded(error)) throw error;
      work.caches.exclude(error);
    }
  }
}

async function solveAndWrite(plans: readonly PlannedBuild[], work: BuildWork): Promise<BuildResult> {
  const { request, epoch, environment, store, resolver, remote, contexts, caches } = work;
  const { emit, clock } = environment;
  const pool = new LayerPool({ threads: request.threads });
  const stop = new AbortController();
  const signal = AbortSignal.any([environment.signal, stop.signal]);
  const borrowed = new BorrowedRecords(store);
  const copies = new LayoutCopies(request.outputs);
  const access = new LayerAccess({
    store,
    pool,
    forms: packingForms(request),
    copies,
    epoch,
    began: work.began,
    signal,
    packSignal: environment.signal,
  });
  const packing = { access, pool, store };
  const mounts = caches.mounts({ pool, session: () => access.session });
  const exports = caches.exports(plans, {
    forms: new LayerForms({ ...packing, signal: environment.signal }),
    epoch,
  });
  const solvedSteps: SolvedStep[] = [];
  try {
    const execution = await environment.execution?.(store);
    const context = new SolverContext({
      store,
      access,
      resolver,
      contextTree: contexts.tree,
      remote,
      requireRunnable: (platform) =>
        requireRunnable(platform, { host: request.hostPlatform, emulated: request.emulated }),
      execution,
      emit,
      signal,
      stop: (reason) => stop.abort(reason),
      clock,
      epoch,
      jobs: request.jobs,
      settings: request.settings,
      explain: request.explain,
      recordSources: caches.sources,
      cannotHit: (step) => step.noCache || (caches.sources.length === 0 && work.isNew(step)),
      borrowed,
      mountContent: mounts,
      remembers: !request.trial,
      onStep: (step) => {
        exports.add(step);
        if (request.trial) solvedSteps.push(step);
      },
    });
    const images: BuiltImage[] = [];
    const forms = new LayerForms({ ...packing, copies, signal });
    for (const planned of plans) {
      images.push(await solveOne(planned, { ...work, context, access, forms, exports }));
    }
    contexts.save();
    const { connections, stdout } = environment;
    const openSink = (reference: string) => connections.sink(reference);
    const world = { store, openSink, copies, emit, clock, signal, stdout };
    let manifest: BuildResult['manifest'];
    for (const spec of request.outputs) {
      const written = await writeOutput(images, spec, world);
      manifest ??= written;
    }
    await finishCaches({ exports, mounts }, { failed: false });
    const names = request.outputs.flatMap((spec) => ('names' in spec ? spec.names : []));
    // Several images have one ID only in their index; without one, the first stands for all.
    const ownId = digestOf(JSON.stringify(images[0]?.image.config));
    const imageId = images.length === 1 ? ownId : (manifest?.digest ?? ownId);
    const trace = request.trial ? { trace: await traceOf(solvedSteps) } : {};
    return { imageId, manifest, names: [...new Set(names)], ...context.counts, ...trace };
  } catch (error) {
    if (error instanceof CachedLayerError) borrowed.drop(error.diffId);
    else if (!(error instanceof NeedsNamespace) && !environment.signal.aborted) {
      // What succeeded need not be done again, here or elsewhere.
      await exports.settled();
      await finishCaches({ exports, mounts }, { failed: true });
    }
    throw error;
  } finally {
    borrowed.keep();
    await pool.close();
    await access.close();
    copies.close();
  }
}

async function solveOne(
  planned: PlannedBuild,
  work: BuildWork & {
    readonly context: SolverContext;
    readonly access: LayerAccess;
    readonly forms: LayerForms;
    readonly exports: CacheExports;
  },
): Promise<BuiltImage> {
  const { request, epoch, context, access, forms, exports } = work;
  const { plan } = planned;
  const solver = new Solver(plan, context);
  const solved = await solver.solve();
  if (exports.wantsAliases) exports.addAliases(await solver.aliases());
  const finished = {
    solved,
    config: finishImage(plan, solved, {
      base: baseConfigOf(planned),
      labels: request.labels,
      epoch: epoch === undefined ? undefined : context.timestamp(),
      wanted: request.platformGiven ? planned.platform : undefined,
    }),
  };
  const { config, layers } = request.squash
    ? await squash(finished, context)
    : { ...finished, layers: solved.layers };
  const registries = pushTargets(request.outputs);
  const placed = layers.map(async (layer): Promise<OutputLayer> => {
    const { diffId, image: base } = layer;
    const repository = base?.repository ?? (await exports.homeOf(layer, registries));
    return { diffId, repository };
  });
  const image = {
    config: await exports.decorate(config, layers),
    layers: await Promise.all(placed),
    annotations: request.annotations,
  };
  return { image, blobs: new StepLayerBlobs({ access, forms, layers }) };
}
