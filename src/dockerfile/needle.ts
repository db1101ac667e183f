/**
 * What within an instruction a message is about. Finding its columns costs a second parser, so an error or warning
 * only carries the needle; `columns.ts` looks for it when the message is printed.
 */
import type { BuildError } from '../errors.ts';

export type Needle =
  /** The first word of the instruction. */
  | { readonly kind: 'keyword' }
  /** A flag, by its name without dashes. */
  | { readonly kind: 'flag'; readonly name: string }
  /** An argument, by its text as written. */
  | { readonly kind: 'argument'; readonly text: string }
  /** A use of a variable, by its name. */
  | { readonly kind: 'variable'; readonly name: string };

const needles = new WeakMap<BuildError, Needle>();

/** Remembers what an error is about; returns the error. */
export function attachNeedle(error: BuildError, needle: Needle): BuildError {
  needles.set(error, needle);
  return error;
}

/** What an error is about, if it said so. */
export function needleOf(error: BuildError): Needle | undefined {
  return needles.get(error);
}
