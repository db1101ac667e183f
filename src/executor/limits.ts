/** Resource limits of a step. */
import { readFileSync } from 'node:fs';
import type { Ulimit } from './sandbox.ts';

/** Node raises its own limit to the maximum; programs that close every possible descriptor would then take minutes. */
const OPEN_FILES = 65_536;

/** The request's limits, with a sensible number of open files unless it names one. */
export function stepLimits(ulimits: readonly Ulimit[]): readonly Ulimit[] {
  if (ulimits.some(({ name }) => name === 'nofile')) return ulimits;
  const hard = hardOpenFileLimit();
  return [...ulimits, { name: 'nofile', soft: Math.min(OPEN_FILES, hard), hard }];
}

function hardOpenFileLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8');
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  return hard === undefined || hard === 'unlimited' ? OPEN_FILES : Number(hard);
}
