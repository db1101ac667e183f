/** Names of containers. */
import { randomInt } from 'node:crypto';
import { BuildError } from '../errors.ts';

const QUALITIES =
  'amber brisk calm clever copper dry eager early even fair firm fresh gentle glad golden keen kind lively lucky mellow neat noble plain quick quiet ready ruddy sharp silver sound steady still stout sunny swift tidy tough warm white wise';
const THINGS =
  'anvil barrow bellows brick chisel clay cone crock crucible damper ember flue forge furnace glaze grate hammer hearth hod ingot jug kettle kiln lathe loam mould mortar oven pitcher plinth pot quarry rasp sherd shovel slate slip spade stove tile tongs trowel urn wheel';

/** What docker allows: letters, digits, then also "_", "." and "-". */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** Checks a name that was given. Throws CONTAINER_NAME. */
export function checkName(name: string): string {
  if (NAME.test(name)) return name;
  throw new BuildError('CONTAINER_NAME', `"${name}" is no name for a container`, {
    suggestions: ['Use letters, digits, "_", "." and "-", two characters or more, a letter or digit first.'],
  });
}

/** A name that nobody has: "quiet_anvil". */
export function generateName(taken: ReadonlySet<string>): string {
  const pick = (words: string): string => {
    const list = words.split(' ');
    return list[randomInt(list.length)] ?? '';
  };
  for (let attempt = 0; ; attempt++) {
    const name = `${pick(QUALITIES)}_${pick(THINGS)}${attempt < 10 ? '' : attempt}`;
    if (!taken.has(name)) return name;
  }
}

/** Refuses a name in use. Throws CONTAINER_NAME_TAKEN. */
export function requireFree(name: string, taken: ReadonlySet<string>): void {
  if (!taken.has(name)) return;
  throw new BuildError('CONTAINER_NAME_TAKEN', `the name "${name}" is in use by another container`, {
    suggestions: [`Choose another, or remove that one: kiln rm ${name}.`],
  });
}
