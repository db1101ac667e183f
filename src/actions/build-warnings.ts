/** What a build has to say about its Dockerfile and its flags besides the result: the checks, and what went unused. */

import { checkFailure, type Warning } from '../dockerfile/checks/collector.ts';
import { type CheckOptions, parseCheckOptions } from '../dockerfile/checks/options.ts';
import { type CheckKnowledge, checkOptionsOf, runChecks } from '../dockerfile/checks/run-checks.ts';
import { IgnoreMatcher } from '../dockerfile/ignore.ts';
import type { Dockerfile, FromInstruction } from '../dockerfile/instruction.ts';
import type { BuildError } from '../errors.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { inputKey, type StageGraph } from '../plan/stage-graph.ts';
import type { UntimedEvent } from '../progress/event.ts';
import type { PlannedBuild } from './build-plan.ts';
import type { BuildRequest } from './build-request.ts';

type WarningEvent = Extract<UntimedEvent, { type: 'warning' }>;

/** Findings of the checks, and whether they end the build. */
export interface CheckedBuild {
  readonly warnings: readonly Warning[];
  /** Set when `error=true` asks for it and something was found. */
  readonly failure: BuildError | undefined;
}

/** Options of the checks: BUILDKIT_DOCKERFILE_CHECK replaces the file's own directive. */
export function checkOptionsFor(
  dockerfile: Dockerfile,
  request: Pick<BuildRequest, 'buildArgs'>,
): CheckOptions {
  const given = request.buildArgs.get('BUILDKIT_DOCKERFILE_CHECK');
  return given === undefined ? checkOptionsOf(dockerfile) : parseCheckOptions(given);
}

/** Runs the checks with what a plan has learned. Only stages that are built are looked into. */
function checkPlannedBuild(
  { plan, configs }: PlannedBuild,
  { dockerfile, request }: { dockerfile: Dockerfile; request: BuildRequest },
): CheckedBuild {
  const options = checkOptionsFor(dockerfile, request);
  const warnings = runChecks(dockerfile, {
    ...knowledgeOf(plan.graph, request, (key) => ({ known: true, config: configs.get(key) })),
    options,
    stages: new Set(plan.stages.map(({ stage }) => stage.index)),
  });
  return { warnings, failure: checkFailure(warnings, options) };
}

/** What is known of a base: its config, nothing at all, or that it has none. */
export type KnownBase =
  | { readonly known: true; readonly config: ImageConfig | undefined }
  | { readonly known: false };

/** What the checks may know of a stage graph. */
export function knowledgeOf(
  graph: StageGraph,
  request: Pick<BuildRequest, 'buildArgs' | 'ignore'>,
  baseOf: (key: string) => KnownBase,
): Omit<CheckKnowledge, 'options' | 'stages'> {
  const stageOf = (from: FromInstruction) => graph.stages.find((stage) => stage.from === from);
  const configOf = (from: FromInstruction): KnownBase => {
    const base = stageOf(from)?.base;
    return base === undefined || base.kind !== 'image'
      ? { known: true, config: undefined }
      : baseOf(inputKey(base));
  };
  return {
    buildArgs: request.buildArgs,
    predefined: new Map([...graph.globalArgs].filter(([name]) => /^(?:BUILD|TARGET)[A-Z]+$/.test(name))),
    ignore: new IgnoreMatcher(request.ignore),
    baseImage: (from) => {
      const base = configOf(from);
      if (!base.known) return undefined;
      const { Env = [], Shell = [] } = base.config?.config ?? {};
      return { env: new Map(Env.map(splitVariable)), hasShell: Shell.length > 0 };
    },
    basePlatform: (from) => {
      const stage = stageOf(from);
      const base = configOf(from);
      if (stage === undefined || !base.known || base.config === undefined) return undefined;
      return { expected: stage.platform, actual: base.config };
    },
  };
}

function splitVariable(entry: string): [string, string] {
  const equals = entry.indexOf('=');
  return equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
}

/** A finding as an event. */
function toEvent({ rule, message, url, location }: Warning): WarningEvent {
  return { type: 'warning', rule, message, url, line: location.startLine };
}

/** Arguments that steer the builder itself, or are known to every stage; no ARG need name them. */
const BUILDER_ARGUMENT = /^(?:BUILDKIT_.*|SOURCE_DATE_EPOCH|(?:https?|ftp|no|all)_proxy)$/i;
const PLATFORM_ARGUMENT = /^(?:BUILD|TARGET)(?:PLATFORM|OS|OSVERSION|ARCH|VARIANT)$|^TARGETSTAGE$/;

/** Says which --build-arg no ARG takes. */
function unusedArguments(dockerfile: Dockerfile, buildArgs: ReadonlyMap<string, string>): WarningEvent[] {
  const declared = new Set(
    dockerfile.instructions.flatMap((instruction) =>
      instruction.keyword === 'ARG' ? instruction.args.map(({ name }) => name) : [],
    ),
  );
  const unused = [...buildArgs.keys()].filter(
    (name) => !declared.has(name) && !BUILDER_ARGUMENT.test(name) && !PLATFORM_ARGUMENT.test(name),
  );
  if (unused.length === 0) return [];
  return [
    { type: 'warning', message: `One or more build-args [${unused.sort().join(' ')}] were not consumed` },
  ];
}

/** Frontends whose language kiln speaks itself. */
const OWN_FRONTEND = /^(?:(?:docker\.io|index\.docker\.io)\/)?docker\/dockerfile(?:-upstream)?(?:[:@]|$)/;

/** Says so when the file asks for a frontend of its own: kiln never downloads one. */
function frontendWarning(dockerfile: Dockerfile, buildArgs: ReadonlyMap<string, string>): WarningEvent[] {
  const given = buildArgs.get('BUILDKIT_SYNTAX');
  const wanted = given ?? dockerfile.syntax;
  const name = wanted?.split(/\s+/)[0];
  if (name === undefined || name === '' || OWN_FRONTEND.test(name)) return [];
  const line = dockerfile.source.text.split('\n').findIndex((text) => /syntax/i.test(text)) + 1;
  return [
    {
      type: 'warning',
      message: `the frontend ${name} is not used: kiln reads the file as docker/dockerfile does`,
      ...(given === undefined && line > 0 ? { line } : {}),
    },
  ];
}

/** Everything that is to be said of a build's plans, once each, and what makes it fail, if something does. */
export function warningsOf(
  plans: readonly PlannedBuild[],
  { dockerfile, request }: { dockerfile: Dockerfile; request: BuildRequest },
): { readonly events: readonly UntimedEvent[]; readonly failure: unknown } {
  const checked = plans.map((planned) => checkPlannedBuild(planned, { dockerfile, request }));
  const events = [
    ...frontendWarning(dockerfile, request.buildArgs),
    ...checked.flatMap(({ warnings }) => warnings.map(toEvent)),
    ...unusedArguments(dockerfile, request.buildArgs),
  ];
  // Several platforms find most things several times.
  const unique = new Map(events.map((event) => [JSON.stringify(event), event]));
  return {
    events: [...unique.values()],
    failure: checked.find(({ failure }) => failure !== undefined)?.failure,
  };
}
