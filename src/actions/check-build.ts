/** The checks without a build: every stage looked into. The network is asked only when an answer hangs on it. */

import type { Warning } from '../dockerfile/checks/collector.ts';
import type { RuleName } from '../dockerfile/checks/rules.ts';
import { pinpointWarnings, runChecks } from '../dockerfile/checks/run-checks.ts';
import type { Dockerfile } from '../dockerfile/instruction.ts';
import { parseDockerfile } from '../dockerfile/parse.ts';
import { BuildError } from '../errors.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { epochSource } from '../plan/epoch.ts';
import { buildStageGraph, type InputRef, inputKey, type StageGraph } from '../plan/stage-graph.ts';
import { ImageResolver, type OpenRepository } from '../solver/image-resolver.ts';
import { Store } from '../store/store.ts';
import { planOptions } from './build-plan.ts';
import type { BuildRequest } from './build-request.ts';
import { checkOptionsFor, knowledgeOf } from './build-warnings.ts';

/** What checking found. */
export interface CheckResult {
  readonly dockerfile: Dockerfile;
  /** By line, with columns where they can be told. */
  readonly warnings: readonly Warning[];
  /** Base images that could not be read: what hangs on them was not looked at. */
  readonly unread: readonly { readonly reference: string; readonly error: BuildError }[];
}

/** Rules whose answer may be another once a base image's variables and shell are known. */
const HANG_ON_BASE: ReadonlySet<RuleName> = new Set<RuleName>([
  'UndefinedVar',
  'JSONArgsRecommended',
  'WorkdirRelativePath',
  'CopyIgnoredFile',
]);

type ImageInput = Extract<InputRef, { kind: 'image' }>;

/** Checks a Dockerfile. Throws DOCKERFILE_* for one that cannot be read. */
export async function checkBuild(
  request: BuildRequest,
  openRepository: OpenRepository,
): Promise<CheckResult> {
  const dockerfile = parseDockerfile(request.dockerfile);
  const graph = graphOf(dockerfile, request);
  const bases = new Map<string, ImageInput>();
  for (const { base } of graph.stages) if (base.kind === 'image') bases.set(inputKey(base), base);
  const here = await readConfigs(bases, resolverOf(request, notHere));
  const check = (configs: ReadonlyMap<string, ImageConfig>, missing: 'empty' | 'unknown'): Warning[] =>
    runChecks(dockerfile, {
      ...knowledgeOf(graph, request, (key) =>
        missing === 'unknown' && !configs.has(key)
          ? { known: false }
          : { known: true, config: configs.get(key) },
      ),
      options: checkOptionsFor(dockerfile, request),
    });
  const first = check(here.configs, 'empty');
  if (here.unread.length === 0 || !first.some(({ rule }) => HANG_ON_BASE.has(rule))) {
    return { dockerfile, warnings: await pinpointWarnings(first), unread: [] };
  }
  const all = await readConfigs(bases, resolverOf(request, openRepository));
  const warnings = await pinpointWarnings(check(all.configs, 'unknown'));
  return { dockerfile, warnings, unread: all.unread };
}

function graphOf(dockerfile: Dockerfile, request: BuildRequest): StageGraph {
  const [platform = request.hostPlatform] = request.targetPlatforms;
  const graph = buildStageGraph(dockerfile, planOptions(request, platform));
  // Nothing is fetched for a check, but a value that no build could use is an error.
  epochSource(graph);
  return graph;
}

function notHere(reference: string): Promise<never> {
  return Promise.reject(new BuildError('BASE_IMAGE_NOT_FOUND', `${reference} is not in the store`));
}

function resolverOf(request: BuildRequest, openRepository: OpenRepository): ImageResolver {
  const { root, directory } = request;
  return new ImageResolver({
    store: Store.open(root),
    openRepository,
    pull: false,
    directory,
    known: new Map(),
  });
}

async function readConfigs(
  bases: ReadonlyMap<string, ImageInput>,
  resolver: ImageResolver,
): Promise<{ readonly configs: ReadonlyMap<string, ImageConfig>; readonly unread: CheckResult['unread'] }> {
  const configs = new Map<string, ImageConfig>();
  const unread: { reference: string; error: BuildError }[] = [];
  await Promise.all(
    [...bases].map(async ([key, { reference, platform }]) => {
      try {
        configs.set(key, (await resolver.resolve(reference, platform)).config);
      } catch (error) {
        if (!(error instanceof BuildError)) throw error;
        unread.push({ reference, error });
      }
    }),
  );
  return { configs, unread };
}
