/**
 * The whole build on one screen: text, stages, plan, layers, image, outputs. Runs outside the namespace as far as it
 * can; when a RUN must be executed it goes on inside, with the same request.
 */
import { join } from 'node:path';
import type { BuildRequest, BuildResult } from './build-request.ts';
import { contextTrees } from './context/contexts.ts';
import { parseDockerfile } from './dockerfile/parse.ts';
import { digestOf } from './image/descriptor.ts';
import type { ImageConfig } from './image/image-config.ts';
import { LayerPool } from './layer/layer-pool.ts';
import { writeOutput } from './output/write-outputs.ts';
import { type Plan, planBuild } from './plan/plan.ts';
import { buildStageGraph, type InputRef, inputKey } from './plan/stage-graph.ts';
import type { Emit } from './progress/event.ts';
import type { Connections } from './registry/connections.ts';
import { finishImage } from './solver/finish-image.ts';
import { ImageResolver } from './solver/image-resolver.ts';
import { LayerAccess } from './solver/layer-access.ts';
import { StepLayerBlobs } from './solver/layer-blobs.ts';
import { NeedsNamespace } from './solver/run-step.ts';
import { Solver } from './solver/solver.ts';
import { type ExecutionEnvironment, SolverContext } from './solver/solver-context.ts';
import { Store } from './store/store.ts';

/** What a build is given beside its request: the world, as far as it may touch it. */
export interface BuildEnvironment {
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly connections: Connections;
  readonly stdout: NodeJS.WritableStream;
  /** Makes what RUN needs; only inside the namespace. */
  readonly execution?: ((store: Store) => Promise<ExecutionEnvironment>) | undefined;
}

export type BuildOutcome =
  | { readonly kind: 'built'; readonly result: BuildResult }
  /** A step must run: call again inside the namespace, with what was resolved already. */
  | { readonly kind: 'needs-namespace'; readonly known: BuildRequest['known'] };

/** Builds. Throws BuildError for everything the user can act on; nothing half-written stays. */
export async function buildImage(
  request: BuildRequest,
  environment: BuildEnvironment,
): Promise<BuildOutcome> {
  const { signal, connections } = environment;
  const store = Store.open(request.root);
  const resolver = new ImageResolver({
    store,
    openRepository: (reference) => connections.source(reference),
    pull: request.pull,
    directory: request.directory,
    known: request.known,
  });
  const plan = await makePlan(request, resolver);
  const runs = plan.stages.some(({ steps }) => steps.some((step) => step.kind === 'run'));
  const outside = environment.execution === undefined;
  if (outside && runs && request.noCache === true)
    return { kind: 'needs-namespace', known: resolver.learned };

  const pool = new LayerPool({ threads: request.threads });
  const stop = new AbortController();
  const access = new LayerAccess({
    store,
    pool,
    openSession: () => store.openSession(),
    wanted: wantedForms(request),
    epoch: request.epoch,
    signal: AbortSignal.any([signal, stop.signal]),
  });
  const contexts = contextTrees(request, {
    store: join(store.root, 'cache'),
    temporary: store.temporary,
    clock: environment.clock,
  });
  try {
    const execution = await environment.execution?.(store);
    const context = new SolverContext({
      store,
      access,
      resolver,
      contextTree: contexts.tree,
      execution,
      emit: environment.emit,
      signal: AbortSignal.any([signal, stop.signal]),
      stop: (reason) => stop.abort(reason),
      clock: environment.clock,
      epoch: request.epoch,
      jobs: request.jobs,
    });
    const solved = await new Solver(plan, context).solve();
    contexts.save();
    const image = {
      config: finishImage(plan, solved, {
        base: await baseConfig(plan, resolver),
        labels: request.labels,
        now: context.timestamp(),
        epoch: request.epoch === undefined ? undefined : context.timestamp(),
      }),
      layers: solved.layers.map(({ diffId, image: base }) => ({ diffId, base })),
      annotations: request.annotations,
    };
    const blobs = new StepLayerBlobs({ access, pool, store, layers: solved.layers, signal });
    let manifest: BuildResult['manifest'];
    for (const spec of request.outputs) {
      const written = await writeOutput(image, spec, {
        store,
        blobs,
        openSink: (reference) => connections.sink(reference),
        emit: environment.emit,
        clock: environment.clock,
        signal,
        stdout: environment.stdout,
      });
      manifest ??= written;
    }
    const names = request.outputs.flatMap((spec) => ('names' in spec ? spec.names : []));
    const imageId = digestOf(JSON.stringify(image.config));
    return { kind: 'built', result: { imageId, manifest, names: [...new Set(names)], ...context.counts } };
  } catch (error) {
    if (error instanceof NeedsNamespace) return { kind: 'needs-namespace', known: resolver.learned };
    throw error;
  } finally {
    contexts.save();
    await pool.close();
    access.close();
  }
}

async function makePlan(request: BuildRequest, resolver: ImageResolver): Promise<Plan> {
  const dockerfile = parseDockerfile(request.dockerfile);
  const graph = buildStageGraph(dockerfile, {
    target: request.target,
    buildArgs: request.buildArgs,
    targetPlatform: request.targetPlatform,
    buildPlatform: request.hostPlatform,
    namedContexts: new Set(request.namedContexts.keys()),
    labels: request.labels,
    noCache: request.noCache,
    epoch: request.epoch,
    network: request.network,
    multiPlatform: false,
  });
  const configs = new Map<string, ImageConfig | undefined>();
  for (;;) {
    const result = planBuild(graph, configs);
    if (result.kind === 'plan') return result.plan;
    await Promise.all(
      result.inputs.map(async (input) => {
        configs.set(inputKey(input), await configOf(input, resolver));
      }),
    );
  }
}

async function configOf(input: InputRef, resolver: ImageResolver): Promise<ImageConfig | undefined> {
  if (input.kind !== 'image') return undefined;
  return (await resolver.resolve(input.reference, input.platform)).config;
}

/** Config of the image that the target is built on in the end. */
async function baseConfig(plan: Plan, resolver: ImageResolver): Promise<ImageConfig | undefined> {
  let { base } = plan.target.stage;
  while (base.kind === 'stage') {
    const index = base.index;
    base = plan.stages.find(({ stage }) => stage.index === index)?.stage.base ?? { kind: 'scratch' };
  }
  return configOf(base, resolver);
}

/** Compressed forms that outputs will ask for, so that packing makes them in the same pass. */
function wantedForms({
  outputs,
}: BuildRequest): { compression: 'gzip' | 'zstd'; level: number | undefined }[] {
  return outputs.flatMap((spec) => {
    if (!('form' in spec) || (spec.type === 'image' && !spec.push)) return [];
    const { compression, level } = spec.form;
    return compression === 'uncompressed' ? [] : [{ compression, level }];
  });
}
