/** All build checks over one Dockerfile: what `docker build --check` reports, in the order of lines. */

import { BuildError } from '../../errors.ts';
import { pinpoint } from '../columns.ts';
import { expandWord } from '../expand.ts';
import type { IgnoreMatcher } from '../ignore.ts';
import type { Dockerfile, FromInstruction } from '../instruction.ts';
import { type Warning, WarningCollector } from './collector.ts';
import {
  checkContinuations,
  checkInstructionCasing,
  checkInstructions,
  checkStageNames,
} from './file-checks.ts';
import {
  checkBaseImagePlatform,
  checkDefaultImages,
  checkFroms,
  type FromScope,
  globalValues,
  type PlatformLike,
} from './from-checks.ts';
import { type CheckOptions, DEFAULT_CHECK_OPTIONS, parseCheckOptions } from './options.ts';
import { checkStage, type StageEnd } from './stage-checks.ts';
import { type CheckedStage, stagesOf } from './stages.ts';

/** What a base image sets, as far as the checks look at it. */
interface BaseImageKnowledge {
  readonly env: ReadonlyMap<string, string>;
  /** True when its config names a shell. */
  readonly hasShell: boolean;
}

/** What is known beside the file's text. Everything may be left out; checks that need it are then silent. */
export interface CheckKnowledge {
  /** Replaces the file's `# check=` directive, as BUILDKIT_DOCKERFILE_CHECK does. */
  readonly options?: CheckOptions;
  readonly buildArgs?: ReadonlyMap<string, string>;
  /** Values of TARGETPLATFORM and its kin. */
  readonly predefined?: ReadonlyMap<string, string>;
  /** The base image of a stage, by FROM; undefined when its config has not been fetched. */
  readonly baseImage?: (from: FromInstruction) => BaseImageKnowledge | undefined;
  /** The platform a stage is built for and the one its base image says; undefined when that is not known. */
  readonly basePlatform?: (
    from: FromInstruction,
  ) => { readonly expected: PlatformLike; readonly actual: PlatformLike } | undefined;
  readonly ignore?: IgnoreMatcher;
  /** Stages to look into, by number; all when left out. */
  readonly stages?: ReadonlySet<number>;
}

/** The options a file asks for. Throws DOCKERFILE_CHECK_OPTION at the directive's line for what cannot be read. */
export function checkOptionsOf(dockerfile: Dockerfile): CheckOptions {
  try {
    return dockerfile.check === undefined ? DEFAULT_CHECK_OPTIONS : parseCheckOptions(dockerfile.check);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    const line = dockerfile.source.text.split('\n').findIndex((text) => /^\s*#\s*check\s*=/i.test(text)) + 1;
    throw error.at({ source: dockerfile.source, startLine: line, endLine: line });
  }
}

const NOTHING: ReadonlySet<string> = new Set();
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** The state below a base image; BuildKit sets PATH where the image does not. */
function imageEnd(base: BaseImageKnowledge | undefined): StageEnd {
  const variables = new Map([['PATH', DEFAULT_PATH], ...(base?.env ?? [])]);
  return {
    variables,
    isComplete: base !== undefined,
    declared: NOTHING,
    hasWorkdir: false,
    hasShell: base?.hasShell ?? false,
  };
}

function imageName(
  from: FromInstruction,
  values: ReadonlyMap<string, string>,
  escapeToken: FromScope['escape'],
): string {
  try {
    return expandWord(from.image, values, { escape: escapeToken }).text;
  } catch (error) {
    if (error instanceof BuildError) return from.image;
    throw error;
  }
}

const SCRATCH: BaseImageKnowledge = { env: new Map(), hasShell: false };

/**
 * Runs every check that is on and returns the warnings by line. Throws DOCKERFILE_CHECK_OPTION for a wrong `# check=`.
 * Whether warnings fail the build is `checkFailure`'s to say.
 */
export function runChecks(dockerfile: Dockerfile, knowledge: CheckKnowledge = {}): Warning[] {
  const collector = new WarningCollector(knowledge.options ?? checkOptionsOf(dockerfile));
  const file = stagesOf(dockerfile);
  const scope: FromScope = {
    escape: dockerfile.escape,
    predefined: knowledge.predefined ?? new Map(),
    buildArgs: knowledge.buildArgs ?? new Map(),
  };
  checkContinuations(dockerfile, collector);
  checkInstructions(dockerfile, collector);
  checkStageNames(file, collector);
  checkInstructionCasing(file, collector);
  checkDefaultImages(file, scope, collector);
  checkFroms(file, scope, collector);

  const globals = globalValues(file.globals, scope) ?? new Map<string, string>();
  const ends = new Map<string, StageEnd>();
  const baseOf = ({ from }: CheckedStage): StageEnd => {
    const image = imageName(from, globals, scope.escape);
    return ends.get(image) ?? imageEnd(image === 'scratch' ? SCRATCH : knowledge.baseImage?.(from));
  };
  // A stage that is not looked into still says what those on top of it may use.
  const silent = new WarningCollector({ ...DEFAULT_CHECK_OPTIONS, skip: 'all' });
  for (const stage of file.stages) {
    const isWanted = knowledge.stages?.has(stage.index) ?? true;
    const end = checkStage(stage, baseOf(stage), {
      ...scope,
      globals,
      ignore: knowledge.ignore,
      collector: isWanted ? collector : silent,
    });
    const platforms = isWanted ? knowledge.basePlatform?.(stage.from) : undefined;
    if (platforms !== undefined) checkBaseImagePlatform(stage.from, platforms, collector);
    if (stage.from.stageName !== undefined) ends.set(stage.from.stageName, end);
  }
  return collector.warnings();
}

/** The same warnings with columns where they can be found; loads dockerfile-ast. */
export async function pinpointWarnings(warnings: readonly Warning[]): Promise<Warning[]> {
  return await Promise.all(
    warnings.map(async (warning) => {
      if (warning.needle === undefined) return warning;
      return { ...warning, location: await pinpoint(warning.location, warning.needle) };
    }),
  );
}
