/** One instruction on its way from text to value, and the errors that many instructions share. */
import { BuildError, type SourceLocation } from '../errors.ts';
import type { Heredoc } from './instruction.ts';
import { attachNeedle } from './needle.ts';
import type { Escape, Head } from './words.ts';

/** What every instruction has, ready to be spread into it. */
interface InstructionOrigin {
  readonly location: SourceLocation;
  readonly original: string;
  readonly comments?: readonly string[];
}

/** What an instruction's parser gets. */
export interface Request {
  readonly head: Head;
  /** The whole line, as the image config keeps an ONBUILD trigger. */
  readonly text: string;
  readonly origin: InstructionOrigin;
  readonly heredocs: readonly Heredoc[];
  readonly escape: Escape;
}

/** An error about the arguments of an instruction. */
export function argumentError(message: string, ...suggestions: string[]): BuildError {
  return new BuildError('DOCKERFILE_ARGUMENTS', message, { suggestions });
}

/** An error about one argument, whose columns can be found. */
export function errorAtArgument(error: BuildError, text: string): BuildError {
  return attachNeedle(error, { kind: 'argument', text });
}

/** DOCKERFILE_ARGUMENTS: the instruction needs an argument and has none. */
export function needsArgument(keyword: string, example: string): BuildError {
  return argumentError(`${keyword} requires at least one argument`, `For example: ${example}`);
}

/** The whole rest of the line as one argument. Throws DOCKERFILE_ARGUMENTS when there is none. */
export function onlyArgument(keyword: string, { head }: Request): string {
  if (head.rest !== '') return head.rest;
  throw argumentError(`${keyword} requires exactly one argument`, `Write what ${keyword} sets after it.`);
}
