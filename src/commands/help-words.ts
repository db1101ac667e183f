/** The ways to ask for help: `kiln help build`, `kiln build --help`, and `-h` where a command has no such flag itself. */
import type { FlagShapes } from './split-command.ts';

/** The words that make oclif show the help asked for; undefined where none is. `flagsOf` knows the flags of commands. */
export function helpWords(
  words: readonly string[],
  flagsOf: (command: string) => FlagShapes,
): string[] | undefined {
  const [first, ...others] = words;
  if (first === undefined || first === '-h' || first === '--help') return ['--help'];
  if (first === 'help') return [...others, '--help'];
  const end = others.indexOf('--');
  const own = others.slice(0, end < 0 ? others.length : end);
  const short = own.includes('-h') && Object.values(flagsOf(first)).every(({ char }) => char !== 'h');
  return short || own.includes('--help') ? [first, '--help'] : undefined;
}
