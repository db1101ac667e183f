/** Short ways for the tests to read a Dockerfile. */
import type { Dockerfile, Instruction } from '../../src/dockerfile/instruction.ts';
import { parseDockerfile } from '../../src/dockerfile/parse.ts';
import { BuildError } from '../../src/errors.ts';

export function parseText(text: string): Dockerfile {
  return parseDockerfile({ path: 'Dockerfile', text });
}

type Keyword = Instruction['keyword'];

/** The only instruction after `FROM base`, checked to be of the keyword. */
export function parseOne<K extends Keyword>(keyword: K, text: string): Extract<Instruction, { keyword: K }> {
  const [, instruction, ...others] = parseText(`FROM base\n${text}`).instructions;
  if (instruction?.keyword !== keyword || others.length > 0) {
    throw new Error(`not one ${keyword}: ${JSON.stringify([instruction, ...others])}`);
  }
  return instruction as Extract<Instruction, { keyword: K }>;
}

/** The BuildError that `work` throws. */
export function errorOf(work: () => unknown): BuildError {
  let result: unknown;
  try {
    result = work();
  } catch (error) {
    if (error instanceof BuildError) return error;
    throw error;
  }
  throw new Error(`no error but ${JSON.stringify(result)}`);
}

/** Lines of an instruction or error as `first-last`. */
export function linesOf(place: {
  readonly location?: { startLine: number; endLine: number } | undefined;
}): string {
  return `${place.location?.startLine}-${place.location?.endLine}`;
}
