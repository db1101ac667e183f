/** Values of flags that are on or off, as docker's command line takes them: --rm=true, --no-cache=false, -q=1. */
import { usage } from './flag-values.ts';
import type { FlagShapes } from './split-command.ts';

/** What Go's strconv.ParseBool takes. */
const VALUES: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map((text) => [text, false] as const),
]);

/** The words without such values: a flag that is on stands alone, one that is off is left out. Throws USAGE_FLAGS. */
export function withoutBooleanValues(words: readonly string[], flags: FlagShapes): string[] {
  const end = words.indexOf('--');
  const own = end < 0 ? words : words.slice(0, end);
  return [...own.flatMap((word) => plain(word, flags)), ...words.slice(own.length)];
}

function plain(word: string, flags: FlagShapes): string[] {
  const [, dashes, name = '', value = ''] = /^(--?)([^=]+)=(.*)$/s.exec(word) ?? [];
  if (dashes === undefined) return [word];
  const [known, flag] =
    Object.entries(flags).find(([long, { char }]) => name === (dashes === '--' ? long : char)) ?? [];
  if (known === undefined || flag?.type !== 'boolean') return [word];
  const on = VALUES.get(value);
  if (on === undefined) {
    throw usage('USAGE_FLAGS', `${word}: "${value}" is neither true nor false`, `Write --${known}.`);
  }
  if (on) return [`--${known}`];
  return flag.allowNo === true ? [`--no-${known}`] : [];
}
