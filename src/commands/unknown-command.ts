/** `kiln biuld`: told before oclif looks for it, so that the answer names the command that was meant. */
import { didYouMean } from '../dockerfile/suggest.ts';
import { BuildError } from '../errors.ts';
import { renderError } from '../progress/error-report.ts';
import { wantsColor } from '../progress/reporter.ts';

/** True when the first word is no command; the error is then on standard error and the exit status set. */
export function refuseUnknownCommand(words: readonly string[], commands: readonly string[]): boolean {
  const [first] = words;
  if (first === undefined || first === '--help' || first === '--version' || commands.includes(first))
    return false;
  const { stderr, env } = process;
  const error = first.startsWith('-') ? misplacedFlag(first) : unknownCommand(first, commands);
  const color = wantsColor({ isTTY: stderr.isTTY, env });
  stderr.write(
    renderError(error, { color, debug: env['KILN_DEBUG'] === '1', columns: stderr.columns, output: true }),
  );
  process.exitCode = error.exitStatus;
  return true;
}

function unknownCommand(word: string, commands: readonly string[]): BuildError {
  return new BuildError('USAGE_COMMAND', `there is no command "${word}"`, {
    suggestions: [...didYouMean(word, commands, { prefix: 'kiln ' }), `Commands: ${commands.join(', ')}.`],
  });
}

function misplacedFlag(word: string): BuildError {
  return new BuildError('USAGE_FLAGS', `${word} stands where the command is expected`, {
    suggestions: [
      'Flags come after the command: kiln COMMAND [FLAGS].',
      'kiln --help lists the commands, kiln COMMAND --help its flags.',
    ],
  });
}
