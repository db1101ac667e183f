/** `--change` of import and commit: Dockerfile instructions that change an image's config and nothing else. */
import { parseDockerfile } from '../dockerfile/parse.ts';
import { BuildError } from '../errors.ts';
import type { Platform } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { planStage } from './plan-stage.ts';
import { buildStageGraph } from './stage-graph.ts';

const ALLOWED = [
  'CMD',
  'ENTRYPOINT',
  'ENV',
  'EXPOSE',
  'HEALTHCHECK',
  'LABEL',
  'ONBUILD',
  'STOPSIGNAL',
  'USER',
  'VOLUME',
  'WORKDIR',
];

/** The config with the instructions applied, in order. Throws USAGE_CHANGE, and DOCKERFILE_* as a build would. */
export function applyChanges(
  config: ImageConfig,
  changes: readonly string[],
  platform: Platform,
): ImageConfig {
  if (changes.length === 0) return config;
  const dockerfile = parseDockerfile({ path: '--change', text: ['FROM scratch', ...changes, ''].join('\n') });
  const wrong = dockerfile.instructions.slice(1).find(({ keyword }) => !ALLOWED.includes(keyword));
  if (wrong !== undefined) {
    throw new BuildError('USAGE_CHANGE', `--change: ${wrong.keyword} cannot change an image's config`, {
      suggestions: [`Instructions: ${ALLOWED.join(', ')}.`],
      location: wrong.location,
    });
  }
  const graph = buildStageGraph(dockerfile, {
    buildArgs: new Map(),
    targetPlatform: platform,
    buildPlatform: platform,
    namedContexts: new Map(),
    labels: {},
    noCache: false,
    network: 'none',
    multiPlatform: false,
  });
  const planned = planStage(graph, graph.target, { start: { kind: 'image', config } });
  const runtime = planned.config.runtime;
  // A stage leaves triggers behind that the image goes on to have.
  const triggers = [...(config.config?.OnBuild ?? []), ...(runtime.OnBuild ?? [])];
  return { ...config, config: triggers.length === 0 ? runtime : { ...runtime, OnBuild: triggers } };
}
