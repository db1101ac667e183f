/** Flags of an instruction: which exist, and what was given. Follows BuildKit's instructions/bflag.go. */
import { BuildError } from '../errors.ts';
import { attachNeedle } from './needle.ts';
import { didYouMean } from './suggest.ts';
import { cut } from './text.ts';

/** `list` may be given several times; the others once. */
type FlagKind = 'boolean' | 'text' | 'list';

/** The flags an instruction knows, by name without dashes. */
export type FlagTable = Readonly<Record<string, FlagKind>>;

/** The value of each flag that was given. */
export type FlagValues<Table extends FlagTable> = {
  readonly [Name in keyof Table]?: Table[Name] extends 'boolean'
    ? boolean
    : Table[Name] extends 'text'
      ? string
      : readonly string[];
};

function refuse(message: string, flag: string, suggestions: readonly string[]): BuildError {
  return attachNeedle(new BuildError('DOCKERFILE_FLAG', message, { suggestions }), {
    kind: 'flag',
    name: flag,
  });
}

function unknownFlag(flag: string, table: FlagTable): BuildError {
  const names = Object.keys(table).sort();
  const known = names.map((name) => `--${name}`).join(', ');
  const suggestions = [
    ...didYouMean(flag, names, { prefix: '--' }),
    names.length === 0 ? 'This instruction has no flags.' : `Known here: ${known}.`,
    'Write -- before the arguments if they begin with two dashes.',
  ];
  return attachNeedle(new BuildError('DOCKERFILE_UNKNOWN_FLAG', `unknown flag: --${flag}`, { suggestions }), {
    kind: 'flag',
    name: flag,
  });
}

function parseFlagBoolean(flag: string, value: string | undefined): boolean {
  if (value === '')
    throw refuse(`missing a value on flag: --${flag}`, flag, [`Write --${flag} or --${flag}=false.`]);
  const lower = value?.toLowerCase() ?? 'true';
  if (lower === 'true' || lower === 'false') return lower === 'true';
  throw refuse(`expecting boolean value for flag --${flag}, not: ${value}`, flag, [
    `Write --${flag}=true or --${flag}=false.`,
  ]);
}

/**
 * Reads the flag words of an instruction. Throws DOCKERFILE_UNKNOWN_FLAG for a flag that is not in the table, and
 * DOCKERFILE_FLAG for one that is given twice, lacks its value or has no boolean where one belongs.
 */
export function parseFlags<const Table extends FlagTable>(
  words: readonly string[],
  table: Table,
): FlagValues<Table> {
  const values: Record<string, boolean | string | string[]> = {};
  for (const word of words) {
    const [flag, value] = cut(word.slice(2), '=');
    const kind = Object.hasOwn(table, flag) ? table[flag] : undefined;
    if (kind === undefined) throw unknownFlag(flag, table);
    const given = values[flag];
    if (given !== undefined && kind !== 'list') {
      throw refuse(`duplicate flag specified: --${flag}`, flag, [`Give --${flag} once.`]);
    }
    if (kind === 'boolean') values[flag] = parseFlagBoolean(flag, value);
    else if (value === undefined) {
      throw refuse(`missing a value on flag: --${flag}`, flag, [
        `Write --${flag}=VALUE, with an equals sign.`,
      ]);
    } else if (kind === 'text') values[flag] = value;
    else values[flag] = [...(Array.isArray(given) ? given : []), value];
  }
  // Each value was made by the kind its name has in the table.
  return values as FlagValues<Table>;
}
