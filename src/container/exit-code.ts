/** Exit codes of `kiln run` that no process of the container has given, as docker and shells have them. */
import { BuildError } from '../errors.ts';

/** kiln itself failed. */
const OWN_FAILURE = 125;
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;

/** The exit code that stands for an error. */
export function exitCodeOf(error: unknown): number {
  switch (error instanceof BuildError ? error.code : undefined) {
    case 'RUN_COMMAND_NOT_FOUND':
      return NOT_FOUND;
    case 'RUN_COMMAND_NOT_EXECUTABLE':
    case 'RUN_WRONG_ARCHITECTURE':
      return NOT_EXECUTABLE;
    default:
      return OWN_FAILURE;
  }
}
