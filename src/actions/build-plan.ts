/** Plans a build for one platform: text to stages to steps, with the configs of base images fetched as planning asks. */

import type { Dockerfile } from '../dockerfile/instruction.ts';
import { located, type SourceLocation } from '../errors.ts';
import type { Platform } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { type Plan, planBuild } from '../plan/plan.ts';
import {
  buildStageGraph,
  EPOCH,
  type InputRef,
  inputKey,
  type PlanOptions,
  type ResolvedEpoch,
} from '../plan/stage-graph.ts';
import type { ImageResolver } from '../solver/image-resolver.ts';
import type { BuildRequest } from './build-request.ts';

/** A plan with the configs it was made from. */
export interface PlannedBuild {
  readonly platform: Platform;
  readonly plan: Plan;
  /** By `inputKey`; undefined for inputs without a config. */
  readonly configs: ReadonlyMap<string, ImageConfig | undefined>;
}

/** Plans. Throws DOCKERFILE_*, USAGE_UNKNOWN_TARGET and what resolving base images throws. */
export async function planFor(
  platform: Platform,
  {
    request,
    dockerfile,
    resolver,
    epoch,
  }: { request: BuildRequest; dockerfile: Dockerfile; resolver: ImageResolver; epoch: ResolvedEpoch },
): Promise<PlannedBuild> {
  const graph = buildStageGraph(dockerfile, planOptions(request, platform, epoch));
  const configs = new Map<string, ImageConfig | undefined>();
  for (;;) {
    const result = planBuild(graph, configs);
    if (result.kind === 'plan') return { platform, plan: result.plan, configs };
    await Promise.all(
      result.inputs.map(async (input) => {
        const user = graph.stages.find(({ base }) => inputKey(base) === inputKey(input));
        configs.set(inputKey(input), await configAt(configOf(input, resolver), user?.from.location));
      }),
    );
  }
}

/** What a request asks of a plan for one platform. As long as there is no `epoch`, SOURCE_DATE_EPOCH is as it was given. */
export function planOptions(request: BuildRequest, platform: Platform, epoch?: ResolvedEpoch): PlanOptions {
  return {
    target: request.target,
    buildArgs: withEpoch(request.buildArgs, epoch),
    targetPlatform: platform,
    buildPlatform: request.hostPlatform,
    namedContexts: imagesOf(request),
    labels: request.labels,
    noCache: request.noCache,
    epoch,
    network: request.network,
    multiPlatform: request.targetPlatforms.length > 1,
  };
}

/** Build arguments in which SOURCE_DATE_EPOCH, where it was given, is the time that it stands for. */
function withEpoch(
  given: ReadonlyMap<string, string>,
  epoch: ResolvedEpoch | undefined,
): ReadonlyMap<string, string> {
  if (epoch === undefined || !given.has(EPOCH)) return given;
  const resolved = new Map(given);
  if (epoch.seconds === undefined) resolved.delete(EPOCH);
  else resolved.set(EPOCH, String(epoch.seconds));
  return resolved;
}

/** Names of contexts, with the image of those that stand for one. */
function imagesOf({ namedContexts }: BuildRequest): ReadonlyMap<string, string | undefined> {
  const images = new Map<string, string | undefined>();
  for (const [name, context] of namedContexts) {
    images.set(name, context.kind === 'image' ? context.reference : undefined);
  }
  return images;
}

async function configOf(input: InputRef, resolver: ImageResolver): Promise<ImageConfig | undefined> {
  if (input.kind !== 'image') return undefined;
  return (await resolver.resolve(input.reference, input.platform)).config;
}

/** Config of the image that the target is built on in the end. */
export function baseConfigOf({ plan, configs }: PlannedBuild): ImageConfig | undefined {
  let { base } = plan.target.stage;
  while (base.kind === 'stage') {
    const index = base.index;
    base = plan.stages.find(({ stage }) => stage.index === index)?.stage.base ?? { kind: 'scratch' };
  }
  return configs.get(inputKey(base));
}

/** A failure to get a base image, shown at the FROM that names it. */
async function configAt<T>(work: Promise<T>, location: SourceLocation | undefined): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw located(error, location);
  }
}
