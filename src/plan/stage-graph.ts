/**
 * Dockerfile -> stages and what each is made from. Global ARGs are applied here, because FROM sees nothing else.
 * Names are resolved as the Dockerfile frontend of BuildKit does: a stage is known by its name in any case or by
 * its number; any other name is an image or a named context.
 */
import type { Dockerfile, FromInstruction, Instruction } from '../dockerfile/instruction.ts';
import { nearestWord } from '../dockerfile/suggest.ts';
import { BuildError, type SourceLocation } from '../errors.ts';
import type { Platform } from '../image/descriptor.ts';
import { formatPlatform, parsePlatform } from '../image/platform.ts';
import { familiarReference, parseReference } from '../image/reference.ts';
import { checkReferences } from './check-references.ts';
import { Scope } from './scope.ts';

/** The build argument that fixes every time of an image. */
export const EPOCH = 'SOURCE_DATE_EPOCH';

/** What SOURCE_DATE_EPOCH stands for once it is resolved. */
export interface ResolvedEpoch {
  /** Since 1970; undefined: no time is fixed, and the argument is not set. */
  readonly seconds: number | undefined;
}

/** What the user asked for, as far as it decides the plan. */
export interface PlanOptions {
  readonly target?: string | undefined;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly targetPlatform: Platform;
  readonly buildPlatform: Platform;
  /** Names given with --build-context, which go before images of the same name; the value is the image, if it is one. */
  readonly namedContexts: ReadonlyMap<string, string | undefined>;
  readonly labels: Readonly<Record<string, string>>;
  /** --no-cache for every stage, or the stages named by --no-cache-filter. */
  readonly noCache: boolean | ReadonlySet<string>;
  /** Once SOURCE_DATE_EPOCH is resolved: what an ARG of that name before the first FROM then gives. */
  readonly epoch?: ResolvedEpoch | undefined;
  /** Network of RUN steps that name none. */
  readonly network: 'host' | 'none' | 'private';
  /** More than one platform is built: step labels say which. */
  readonly multiPlatform: boolean;
}

/** Something a stage or a step reads files from. */
export type InputRef =
  | { readonly kind: 'scratch' }
  /** `name`: the stage's name or number, as it was asked for. */
  | { readonly kind: 'stage'; readonly index: number; readonly name: string }
  | { readonly kind: 'image'; readonly reference: string; readonly platform: Platform }
  | { readonly kind: 'context'; readonly name: string };

export interface Stage {
  readonly index: number;
  readonly name?: string | undefined;
  readonly from: FromInstruction;
  readonly base: InputRef;
  readonly platform: Platform;
  /** True when FROM --platform was given: the base image is then taken for that platform. */
  readonly explicitPlatform: boolean;
  readonly instructions: readonly Instruction[];
}

export interface StageGraph {
  readonly dockerfile: Dockerfile;
  readonly options: PlanOptions;
  readonly globalArgs: ReadonlyMap<string, string>;
  readonly stages: readonly Stage[];
  readonly target: Stage;
}

/** Identity of an input, for maps. */
export function inputKey(input: InputRef): string {
  switch (input.kind) {
    case 'scratch':
      return 'scratch';
    case 'stage':
      return `stage:${input.index}`;
    case 'context':
      return `context:${input.name}`;
    case 'image':
      return `image:${input.reference}@${formatPlatform(input.platform)}`;
  }
}

/** The platform ARGs of the global scope (Dockerfile reference, "Automatic platform ARGs in the global scope"). */
function platformArgs(options: PlanOptions, targetName: string): Map<string, string> {
  const args = new Map<string, string>();
  for (const [prefix, platform] of [
    ['BUILD', options.buildPlatform],
    ['TARGET', options.targetPlatform],
  ] as const) {
    args.set(`${prefix}PLATFORM`, formatPlatform(platform));
    args.set(`${prefix}OS`, platform.os);
    args.set(`${prefix}OSVERSION`, platform['os.version'] ?? '');
    args.set(`${prefix}ARCH`, platform.architecture);
    args.set(`${prefix}VARIANT`, platform.variant ?? '');
  }
  args.set('TARGETSTAGE', targetName === '' ? 'default' : targetName);
  for (const name of args.keys()) {
    const given = options.buildArgs.get(name);
    if (given !== undefined) args.set(name, given);
  }
  return args;
}

function evaluateGlobalArgs(dockerfile: Dockerfile, args: Map<string, string>, options: PlanOptions): void {
  const scope = new Scope(args, dockerfile.escape);
  for (const instruction of dockerfile.instructions) {
    if (instruction.keyword === 'FROM') return;
    if (instruction.keyword !== 'ARG') continue;
    for (const { name, value } of instruction.args) {
      const given = options.buildArgs.get(name);
      if (given !== undefined) args.set(name, given);
      else if (value !== undefined) args.set(name, scope.expand(value, instruction.location));
    }
  }
}

/** Makes the stage graph and finds the target. Throws DOCKERFILE_* and USAGE_UNKNOWN_TARGET. */
export function buildStageGraph(dockerfile: Dockerfile, options: PlanOptions): StageGraph {
  const lastFrom = dockerfile.instructions.findLast((instruction) => instruction.keyword === 'FROM');
  const targetName = options.target ?? lastFrom?.stageName ?? '';
  const globalArgs = platformArgs(options, targetName);
  evaluateGlobalArgs(dockerfile, globalArgs, options);
  if (options.epoch !== undefined && globalArgs.delete(EPOCH) && options.epoch.seconds !== undefined) {
    globalArgs.set(EPOCH, String(options.epoch.seconds));
  }

  const stages: Stage[] = [];
  let current: { from: FromInstruction; instructions: Instruction[] } | undefined;
  const close = (): void => {
    if (current !== undefined) stages.push(makeStage(current, stages, { dockerfile, options, globalArgs }));
  };
  for (const instruction of dockerfile.instructions) {
    if (instruction.keyword === 'FROM') {
      close();
      current = { from: instruction, instructions: [] };
    } else current?.instructions.push(instruction);
  }
  close();
  const graph = { dockerfile, options, globalArgs, stages, target: findTarget(stages, options.target) };
  checkReferences(stages);
  return graph;
}

interface GraphContext {
  readonly dockerfile: Dockerfile;
  readonly options: PlanOptions;
  readonly globalArgs: ReadonlyMap<string, string>;
}

function makeStage(
  { from, instructions }: { from: FromInstruction; instructions: readonly Instruction[] },
  earlier: readonly Stage[],
  { dockerfile, options, globalArgs }: GraphContext,
): Stage {
  const scope = new Scope(globalArgs, dockerfile.escape);
  const image = scope.expand(from.image, from.location);
  if (image === '') {
    throw new BuildError('DOCKERFILE_EMPTY_BASE', `base name (${from.image}) should not be blank`, {
      location: from.location,
      suggestions: [
        'Give the ARG a default before the first FROM (ARG NAME=value), or pass --build-arg NAME=value.',
      ],
    });
  }
  const platform = from.platform === undefined ? undefined : stagePlatform(from, scope, options);
  const wanted = { platform: platform ?? options.targetPlatform, options };
  const named = from.stageName === undefined ? undefined : contextNamed(from.stageName, wanted);
  const base: InputRef = named ?? baseOf(image, earlier, wanted);
  const inherited = base.kind === 'stage' ? earlier[base.index]?.platform : undefined;
  // Nothing is for every platform: a stage on scratch is always for the one the build is for.
  const own = base.kind === 'scratch' ? options.targetPlatform : (platform ?? options.targetPlatform);
  return {
    index: earlier.length,
    name: from.stageName,
    from,
    base,
    platform: inherited ?? own,
    explicitPlatform: platform !== undefined,
    // A stage replaced by a named context is the context; its own instructions do not run.
    instructions: named === undefined ? instructions : [],
  };
}

function stagePlatform(from: FromInstruction, scope: Scope, options: PlanOptions): Platform {
  const text = scope.expand(from.platform ?? '', from.location);
  if (text === '') {
    throw new BuildError('DOCKERFILE_PLATFORM', `empty platform value from expression ${from.platform}`, {
      location: from.location,
      suggestions: ['Declare the ARG before the first FROM, or write a platform such as linux/amd64.'],
    });
  }
  try {
    return parsePlatform(text, options.buildPlatform);
  } catch (error) {
    const suggestions = error instanceof BuildError ? error.suggestions : [];
    throw new BuildError('DOCKERFILE_PLATFORM', `failed to parse platform ${from.platform}`, {
      location: from.location,
      suggestions,
      cause: error,
    });
  }
}

function baseOf(
  image: string,
  earlier: readonly Stage[],
  { platform, options }: { platform: Platform; options: PlanOptions },
): InputRef {
  // The last stage of that name wins, as a later one shadows an earlier one.
  const stage = earlier.findLast((candidate) => candidate.name === image);
  if (stage !== undefined) return { kind: 'stage', index: stage.index, name: image };
  if (image === 'scratch') return { kind: 'scratch' };
  return contextNamed(image, { platform, options }) ?? { kind: 'image', reference: image, platform };
}

/** What --build-context gave under a name: for the platform alone (NAME::PLATFORM), else for all. */
export function contextNamed(
  name: string,
  { platform, options }: { platform: Platform; options: PlanOptions },
): InputRef | undefined {
  if (options.namedContexts.size === 0) return undefined;
  const plain = contextName(name);
  const found = [`${plain}::${formatPlatform(platform)}`, plain].find((key) =>
    options.namedContexts.has(key),
  );
  if (found === undefined) return undefined;
  const reference = options.namedContexts.get(found);
  return reference === undefined ? { kind: 'context', name: found } : { kind: 'image', reference, platform };
}

/** Names that mean one image are one name: "docker.io/library/alpine:latest" is "alpine". */
export function contextName(name: string): string {
  try {
    return familiarReference(parseReference(name)).replace(/:latest$/, '');
  } catch (error) {
    if (error instanceof BuildError) return name;
    throw error;
  }
}

function findTarget(stages: readonly Stage[], target: string | undefined): Stage {
  const last = stages.at(-1);
  if (last === undefined) {
    throw new BuildError('DOCKERFILE_NO_STAGE', 'dockerfile contains no stages to build', {
      suggestions: ['Begin with a FROM instruction, such as FROM scratch.'],
    });
  }
  if (target === undefined || target === '') return last;
  const wanted = target.toLowerCase();
  const found =
    stages.findLast((stage) => stage.name === wanted) ??
    (/^\d+$/.test(target) ? stages[Number(target)] : undefined);
  if (found !== undefined) return found;
  const names = stages.flatMap((stage) => (stage.name === undefined ? [] : [stage.name]));
  const near = nearestWord(wanted, names);
  throw new BuildError('USAGE_UNKNOWN_TARGET', `target stage "${target}" could not be found`, {
    suggestions: [
      ...(near === undefined ? [] : [`Did you mean ${near}?`]),
      names.length === 0
        ? 'The Dockerfile names no stage; add AS NAME to a FROM.'
        : `Stages: ${names.join(', ')}`,
    ],
  });
}

/**
 * What `--from=` or `from=` names, seen from the stage `index`. Throws DOCKERFILE_FROM for a number out of range and
 * DOCKERFILE_CIRCULAR for the stage itself or a later one.
 */
export function resolveFrom(
  graph: StageGraph,
  { from, stage, location }: { from: string; stage: Stage; location: SourceLocation },
): InputRef {
  if (/^\d+$/.test(from)) {
    const index = Number(from);
    if (index >= graph.stages.length) {
      throw new BuildError('DOCKERFILE_FROM', `invalid stage index ${from}`, {
        location,
        suggestions: [`This Dockerfile has ${graph.stages.length} stage(s), numbered from 0.`],
      });
    }
    return earlierStage(index, { from, stage, location });
  }
  const wanted = from.toLowerCase();
  const found = graph.stages.findLast((candidate) => candidate.name === wanted);
  if (found !== undefined) return earlierStage(found.index, { from, stage, location });
  if (wanted === 'scratch') return { kind: 'scratch' };
  const { platform } = stage;
  return (
    contextNamed(from, { platform, options: graph.options }) ?? { kind: 'image', reference: from, platform }
  );
}

function earlierStage(
  index: number,
  { from, stage, location }: { from: string; stage: Stage; location: SourceLocation },
): InputRef {
  if (index === stage.index) {
    throw new BuildError(
      'DOCKERFILE_CIRCULAR',
      `circular dependency detected on stage: ${stage.name ?? index}`,
      {
        location,
        suggestions: ['A stage cannot copy from itself; copy from an earlier stage.'],
      },
    );
  }
  if (index > stage.index) {
    throw new BuildError(
      'DOCKERFILE_CIRCULAR',
      `cannot copy from stage "${from}", it needs to be defined before current stage "${stage.name ?? `stage-${stage.index}`}"`,
      { location, suggestions: [`Move the FROM … AS ${from} stage above this one.`] },
    );
  }
  return { kind: 'stage', index, name: from };
}
