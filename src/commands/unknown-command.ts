/** `kiln biuld`: told before oclif looks for it, so that the answer names the command that was meant. */
import { didYouMean } from '../dockerfile/suggest.ts';
import { BuildError } from '../errors.ts';
import { renderError } from '../progress/error-report.ts';
import { wantsColor } from '../progress/reporter.ts';

/** True when the first word is no command; the error is then on standard error and the exit status set. */
export function refuseUnknownCommand(words: readonly string[], commands: readonly string[]): boolean {
  const [first] = words;
  if (first === undefined || first.startsWith('-') || first === 'help' || commands.includes(first))
    return false;
  const { stderr, env } = process;
  const error = new BuildError('USAGE_COMMAND', `there is no command "${first}"`, {
    suggestions: [...didYouMean(first, commands, { prefix: 'kiln ' }), `Commands: ${commands.join(', ')}.`],
  });
  const color = wantsColor({ isTTY: stderr.isTTY, env });
  stderr.write(
    renderError(error, { color, debug: env['KILN_DEBUG'] === '1', columns: stderr.columns, output: true }),
  );
  process.exitCode = error.exitStatus;
  return true;
}
