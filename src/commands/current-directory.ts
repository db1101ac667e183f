import { BuildError } from '../errors.ts';

/** The directory that relative paths are meant from. Throws USAGE_DIRECTORY when somebody has removed it. */
export function currentDirectory(): string {
  try {
    return process.cwd();
  } catch (cause) {
    throw new BuildError('USAGE_DIRECTORY', 'the current directory does not exist any more', {
      suggestions: ['Go to one that does, or, if it was made anew, go there again: cd "$PWD".'],
      cause,
    });
  }
}
