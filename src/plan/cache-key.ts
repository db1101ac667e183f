/**
 * What a step's result depends on, as named parts, and the key over them. A key never holds times, paths of this machine,
 * secrets, or settings that do not change the result. Names and order of the parts are part of the format.
 */

import { looksSecret } from '../dockerfile/secret-names.ts';
import {
  type CacheKey,
  type DiffId,
  type Digest,
  digestOf,
  type KeyPart,
  type Platform,
} from '../image/descriptor.ts';
import { formatPlatform } from '../image/platform.ts';
import type { PlannedMount, RunStep, TransferStep, WorkdirStep } from './step.ts';

/** Raised whenever keys of older versions must no longer match. */
const KEY_FORMAT = '3';

/** Digest over parts in a form in which no two lists look alike. */
export function keyOf(parts: readonly KeyPart[]): CacheKey {
  return digestOf(JSON.stringify(parts));
}

/** What follows a step that stands alone builds on: the step's layer, and all that is below it. */
export function stackedKey(below: string, layer: CacheKey): CacheKey {
  return keyOf([
    ['format', KEY_FORMAT],
    ['below', below],
    ['layer', layer],
  ]);
}

/** Name of a part that sets a result apart from an older one with the same parts. */
export const RUN_AGAIN = 'run again';

/** Digest over the parts that say what a step does, and not on what or when. */
export function shapeOf(parts: readonly KeyPart[]): Digest {
  return digestOf(JSON.stringify(parts.filter(([name]) => name !== 'parent' && name !== RUN_AGAIN)));
}

interface Context {
  /** Key or content identity of what the step runs on; "" for a step that stands alone. */
  readonly parent: string;
  readonly platform: Platform;
}

function head(kind: string, { parent, platform }: Context): KeyPart[] {
  return [
    ['format', KEY_FORMAT],
    ['kind', kind],
    ['parent', parent],
    ['platform', formatPlatform(platform)],
  ];
}

/** Parts of a layer that was given the times of another SOURCE_DATE_EPOCH: what it was made from, and the epoch. */
export function retimedKeyParts(
  { diffId, times }: { readonly diffId: DiffId; readonly times?: unknown },
  epoch: number,
): KeyPart[] {
  return [
    ['format', KEY_FORMAT],
    ['kind', 'times'],
    ['layer', diffId],
    ['before', JSON.stringify(times)],
    ['epoch', String(epoch)],
  ];
}

/** Parts of a RUN. `inputs` are the identities of what its mounts hold, `sandbox` what else the user gave all RUNs. */
export function runKeyParts(
  step: RunStep,
  context: Context & { readonly inputs: readonly KeyPart[]; readonly sandbox: readonly KeyPart[] },
): KeyPart[] {
  return [
    ...head('run', context),
    ['argv', JSON.stringify(step.argv)],
    ...(step.script === undefined ? [] : [['script', step.script.content] as const]),
    ['cwd', step.cwd],
    ['user', step.user],
    ['network', step.network],
    ...context.sandbox,
    ...step.env.map((entry): KeyPart => {
      const equals = entry.indexOf('=');
      const name = entry.slice(0, equals);
      const value = entry.slice(equals + 1);
      // Records are kept and may be handed on: a value that looks secret is in none.
      return [`env ${name}`, looksSecret(name) ? digestOf(value) : value];
    }),
    ...step.mounts.map((mount, index): KeyPart => [`mount ${mount.target ?? index}`, mountIdentity(mount)]),
    ...context.inputs,
  ];
}

/** A mount without what it holds: secrets, ssh and cache content are not part of a key. */
function mountIdentity({ mount, target }: PlannedMount): string {
  return JSON.stringify({ ...mount, target });
}

/** Parts of a COPY or ADD. `inputs` are the identities of its sources, in order. */
export function transferKeyParts(
  step: TransferStep,
  context: Context & { readonly inputs: readonly KeyPart[] },
): KeyPart[] {
  return [
    ...head(step.instruction.toLowerCase(), context),
    ['destination', step.destination],
    ['chown', step.chown ?? ''],
    ['chmod', step.chmod ?? ''],
    ['options', JSON.stringify([step.link, step.parents, step.unpack ?? null, step.keepGitDir ?? null])],
    ['exclude', JSON.stringify(step.exclude)],
    ...context.inputs,
  ];
}

/** Parts of a WORKDIR that may have to make directories. */
export function workdirKeyParts(step: WorkdirStep, context: Context): KeyPart[] {
  return [...head('workdir', context), ['path', step.path], ['user', step.user]];
}
