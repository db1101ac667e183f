/** Checks on FROM: its variables, its platform, and whether the image name is one. */
import { BuildError } from '../../errors.ts';
import { type ExpandedWord, expandWord, type Variables } from '../expand.ts';
import type { ArgInstruction, FromInstruction } from '../instruction.ts';
import { nearestWord } from '../suggest.ts';
import type { Escape } from '../words.ts';
import type { WarningCollector, WarningPlace } from './collector.ts';
import { messages } from './rules.ts';
import type { CheckedFile } from './stages.ts';

/** Names every Dockerfile may use in FROM without declaring them, with values that stand in for unknown ones. */
const PREDEFINED: ReadonlyMap<string, string> = new Map([
  ...['BUILD', 'TARGET'].flatMap((side): [string, string][] => [
    [`${side}PLATFORM`, 'linux/amd64'],
    [`${side}OS`, 'linux'],
    [`${side}OSVERSION`, ''],
    [`${side}ARCH`, 'amd64'],
    [`${side}VARIANT`, ''],
  ]),
  ['TARGETSTAGE', ''],
]);

/** What FROM is checked against. */
export interface FromScope {
  readonly escape: Escape;
  /** Values of the predefined arguments, as far as known. */
  readonly predefined: Variables;
  /** `--build-arg`. */
  readonly buildArgs: Variables;
}

function tryExpand(word: string, variables: Variables, escapeToken: Escape): ExpandedWord | undefined {
  try {
    return expandWord(word, variables, { escape: escapeToken });
  } catch (error) {
    // The plan reports it.
    if (error instanceof BuildError) return undefined;
    throw error;
  }
}

/** Global arguments after the given ones; undefined when a default cannot be expanded. */
export function globalValues(
  globals: readonly ArgInstruction[],
  scope: FromScope,
): ReadonlyMap<string, string> | undefined {
  const values = new Map([...PREDEFINED, ...scope.predefined]);
  for (const { name, value } of globals.flatMap(({ args }) => args)) {
    const given = scope.buildArgs.get(name) ?? value;
    if (given === undefined) continue;
    const expanded = scope.buildArgs.has(name) ? given : tryExpand(given, values, scope.escape)?.text;
    if (expanded === undefined) return undefined;
    values.set(name, expanded);
  }
  return values;
}

const DOMAIN =
  '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\\[[a-fA-F0-9:]+\\])(?::\\d+)?';
const PATH_PART = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const DIGEST = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}';
const REFERENCE = new RegExp(
  `^(?:${DOMAIN}/)?${PATH_PART}(?:/${PATH_PART})*(?::\\w[\\w.-]{0,127})?(?:@${DIGEST})?$`,
);

/** Whether a text could be an image name at all; the exact reading is in image/reference. */
function looksLikeReference(text: string): boolean {
  // An image layout on this disk, which only kiln reads.
  if (text.startsWith('oci:')) return true;
  return REFERENCE.test(text) && !/^[0-9a-f]{64}$/.test(text);
}

/** Image names that the defaults of global arguments alone make. */
export function checkDefaultImages(
  { globals, stages }: CheckedFile,
  scope: FromScope,
  collector: WarningCollector,
): void {
  const values = globalValues(globals, { ...scope, buildArgs: new Map() });
  if (values === undefined) return;
  for (const { from } of stages) {
    const image = tryExpand(from.image, values, scope.escape);
    if (image === undefined || looksLikeReference(image.text)) continue;
    const message = messages.invalidDefaultArgInFrom(from.image);
    collector.add('InvalidDefaultArgInFrom', from, {
      message,
      needle: { kind: 'argument', text: from.image },
    });
  }
}

const PLATFORM_PART = /^[A-Za-z0-9_.-]+$/;

/** A platform that is written out ties the stage to it, unless the stage's name says so. */
function checkConstantPlatform(from: FromInstruction, platform: string, collector: WarningCollector): void {
  const parts = platform.toLowerCase().split('/');
  if (parts.length > 3 || !parts.every((part) => PLATFORM_PART.test(part))) return;
  const [os = '', architecture = os] = parts;
  const stage = from.stageName ?? '';
  if (stage.includes(os) || stage.includes(architecture)) return;
  const message = messages.fromPlatformFlagConstDisallowed(platform);
  collector.add('FromPlatformFlagConstDisallowed', from, {
    message,
    needle: { kind: 'flag', name: 'platform' },
  });
}

function checkPlatform(
  from: FromInstruction,
  { platform, target }: PlatformReading,
  collector: WarningCollector,
): void {
  if (platform.used.size === 0 && platform.unset.size === 0) {
    checkConstantPlatform(from, platform.text, collector);
    return;
  }
  const isTarget =
    platform.used.has('TARGETPLATFORM') && platform.used.size === 1 && platform.unset.size === 0;
  if (!isTarget || platform.text !== target) return;
  const message = messages.redundantTargetPlatform(from.platform ?? '');
  collector.add('RedundantTargetPlatform', from, { message, needle: { kind: 'flag', name: 'platform' } });
}

/** A `--platform` after expansion, and the build's own. */
interface PlatformReading {
  readonly platform: ExpandedWord;
  readonly target: string | undefined;
}

/** Variables and platforms of every FROM. */
export function checkFroms(file: CheckedFile, scope: FromScope, collector: WarningCollector): void {
  const values = globalValues(file.globals, scope) ?? new Map<string, string>();
  const declared = file.globals.flatMap(({ args }) => args.map(({ name }) => name));
  const known = new Set([...declared, ...PREDEFINED.keys(), ...values.keys()]);
  for (const { from } of file.stages) {
    const image = tryExpand(from.image, values, scope.escape);
    reportUndeclared(from, image?.unset ?? [], { known, collector });
    if (from.platform === undefined) continue;
    const platform = tryExpand(from.platform, values, scope.escape);
    if (platform === undefined) continue;
    reportUndeclared(from, platform.unset, { known, collector });
    checkPlatform(from, { platform, target: values.get('TARGETPLATFORM') }, collector);
  }
}

function reportUndeclared(
  place: WarningPlace,
  names: Iterable<string>,
  { known, collector }: { known: ReadonlySet<string>; collector: WarningCollector },
): void {
  for (const name of names) {
    if (known.has(name)) continue;
    const message = messages.undefinedArgInFrom(name, nearestWord(name, known));
    collector.add('UndefinedArgInFrom', place, { message, needle: { kind: 'variable', name } });
  }
}

/** A platform as far as this check looks at it. */
export interface PlatformLike {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

function formatPlatform({ os, architecture, variant }: PlatformLike): string {
  const isDefault = variant === undefined || variant === '' || (architecture === 'arm64' && variant === 'v8');
  return isDefault ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/** For the plan, once a base image's config is known: its platform should be the one asked for. */
export function checkBaseImagePlatform(
  from: FromInstruction,
  { expected, actual }: { readonly expected: PlatformLike; readonly actual: PlatformLike },
  collector: WarningCollector,
): void {
  if (expected.os === actual.os && expected.architecture === actual.architecture) return;
  const message = messages.invalidBaseImagePlatform(
    from.image,
    formatPlatform(expected),
    formatPlatform(actual),
  );
  collector.add('InvalidBaseImagePlatform', from, {
    message,
    needle: { kind: 'argument', text: from.image },
  });
}
