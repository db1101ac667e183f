/**
 * The build checks as data: BuildKit's names, descriptions and message texts (frontend/dockerfile/linter).
 * What finds a violation is in the files beside this one.
 */
import { quote } from '../text.ts';

function didYouMeanSuffix(prefix: string, near: string | undefined): string {
  return near === undefined ? '' : ` (did you mean ${prefix}${near}?)`;
}

/** Descriptions by rule. The first sentence a reader sees when the rule's page is not at hand. */
const DESCRIPTIONS = {
  StageNameCasing: 'Stage names should be lowercase',
  FromAsCasing: "The 'as' keyword should match the case of the 'from' keyword",
  NoEmptyContinuation: 'Empty continuation lines will become errors in a future release',
  ConsistentInstructionCasing:
    'All commands within the Dockerfile should use the same casing (either upper or lower)',
  DuplicateStageName: 'Stage names should be unique',
  ReservedStageName: 'Reserved words should not be used as stage names',
  JSONArgsRecommended:
    'JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals',
  MaintainerDeprecated:
    'The MAINTAINER instruction is deprecated, use a label instead to define an image author',
  UndefinedArgInFrom: 'FROM command must use declared ARGs',
  UndefinedVar: 'Variables should be defined before their use',
  WorkdirRelativePath:
    'Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes',
  InvalidDefaultArgInFrom: 'Default value for global ARG results in an empty or invalid base image name',
  FromPlatformFlagConstDisallowed: 'FROM --platform flag should not use a constant value',
  CopyIgnoredFile: 'Attempting to Copy file that is excluded by .dockerignore',
  SecretsUsedInArgOrEnv: 'Sensitive data should not be used in the ARG or ENV commands',
  InvalidBaseImagePlatform: 'Base image platform does not match expected target platform',
  LegacyKeyValueFormat: 'Legacy key/value format with whitespace separator should not be used',
  RedundantTargetPlatform:
    'Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior',
  MultipleInstructionsDisallowed:
    'Multiple instructions of the same type should not be used in the same stage',
  ExposeProtoCasing: 'Protocol in EXPOSE instruction should be lowercase',
  ExposeInvalidFormat:
    'IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release',
  InvalidDefinitionDescription:
    'Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.',
} as const;

/** Name of a build check. */
export type RuleName = keyof typeof DESCRIPTIONS;

/** A build check, as `kiln lint` lists them. */
export interface Rule {
  readonly name: RuleName;
  readonly description: string;
  readonly url: string;
  /** Off unless `# check=experimental=` names it. */
  readonly experimental: boolean;
}

const EXPERIMENTAL: ReadonlySet<RuleName> = new Set<RuleName>(['InvalidDefinitionDescription']);

function isRuleName(name: string): name is RuleName {
  return Object.hasOwn(DESCRIPTIONS, name);
}

function kebab(name: RuleName): string {
  return name.replaceAll(/(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '-').toLowerCase();
}

/** The rule of a name. */
export function ruleOf(name: RuleName): Rule {
  return {
    name,
    description: DESCRIPTIONS[name],
    url: `https://docs.docker.com/go/dockerfile/rule/${kebab(name)}/`,
    experimental: EXPERIMENTAL.has(name),
  };
}

/** All rules, in BuildKit's order. */
export function allRules(): Rule[] {
  return Object.keys(DESCRIPTIONS).filter(isRuleName).map(ruleOf);
}

/** The text of each rule's warnings. */
export const messages = {
  stageNameCasing: (stage: string) => `Stage name '${stage}' should be lowercase`,
  fromAsCasing: (from: string, as: string) => `'${as}' and '${from}' keywords' casing do not match`,
  consistentInstructionCasing: (keyword: string, casing: 'lowercase' | 'uppercase') =>
    `Command '${keyword}' should match the case of the command majority (${casing})`,
  duplicateStageName: (stage: string) => `Duplicate stage name ${quote(stage)}, stage names should be unique`,
  reservedStageName: (stage: string) =>
    `Stage name should not use the same name as reserved stage ${quote(stage)}`,
  jsonArgsRecommended: (keyword: string) =>
    `JSON arguments recommended for ${keyword} to prevent unintended behavior related to OS signals`,
  maintainerDeprecated: () => 'Maintainer instruction is deprecated in favor of using label',
  undefinedArgInFrom: (arg: string, near: string | undefined) =>
    `FROM argument '${arg}' is not declared${didYouMeanSuffix('', near)}`,
  undefinedVar: (name: string, near: string | undefined) =>
    `Usage of undefined variable '$${name}'${didYouMeanSuffix('$', near)}`,
  workdirRelativePath: (path: string) =>
    `Relative workdir ${quote(path)} can have unexpected results if the base image changes`,
  invalidDefaultArgInFrom: (image: string) =>
    `Default value for ARG ${image} results in empty or invalid base image name`,
  fromPlatformFlagConstDisallowed: (platform: string) =>
    `FROM --platform flag should not use constant value ${quote(platform)}`,
  copyIgnoredFile: (command: 'Copy' | 'Add', path: string) =>
    `Attempting to ${command} file ${quote(path)} that is excluded by .dockerignore`,
  secretsUsedInArgOrEnv: (keyword: 'ARG' | 'ENV', name: string) =>
    `Do not use ARG or ENV instructions for sensitive data (${keyword} ${quote(name)})`,
  invalidBaseImagePlatform: (image: string, expected: string, actual: string) =>
    `Base image ${image} was pulled with platform ${quote(actual)}, expected ${quote(expected)} for current build`,
  legacyKeyValueFormat: (keyword: string) =>
    `"${keyword} key=value" should be used instead of legacy "${keyword} key value" format`,
  redundantTargetPlatform: (platform: string) =>
    `Setting platform to predefined ${platform} in FROM is redundant as this is the default behavior`,
  multipleInstructionsDisallowed: (keyword: string) =>
    `Multiple ${keyword} instructions should not be used in the same stage because only the last one will be used`,
  exposeProtoCasing: (port: string) => `Defined protocol '${port}' in EXPOSE instruction should be lowercase`,
  exposeInvalidFormat: (port: string) =>
    `EXPOSE instruction should not define an IP address or host-port mapping, found '${port}'`,
  invalidDefinitionDescription: (keyword: string, name: string) =>
    `Comment for ${keyword} should follow the format: \`# ${name} <description>\``,
} as const;
