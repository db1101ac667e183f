/** Where commands write archives: a file that was named, or standard output. */
import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isatty } from 'node:tty';
import { saysStandardOutput } from '../output/output-spec.ts';
import { usage } from './flag-values.ts';

/** The absolute path of a file that -o names, in a directory that is there; undefined for standard output. Throws USAGE_OUTPUT. */
export function outputFile(text = '-'): string | undefined {
  if (saysStandardOutput(text)) return undefined;
  const file = resolve(text);
  if (isDirectory(file)) throw usage('USAGE_OUTPUT', `-o ${text}: is a directory`, 'Name a file in it.');
  if (isDirectory(dirname(file))) return file;
  throw usage('USAGE_OUTPUT', `-o ${text}: there is no directory ${dirname(file)}`, 'Make it first.');
}

/** Throws USAGE_OUTPUT when standard output is a terminal. `flag` is how a file is named instead. */
export function refuseTerminal(flag: string): void {
  if (!isatty(1)) return;
  throw usage(
    'USAGE_OUTPUT',
    'an archive is nothing for a terminal',
    `Write it to a file with ${flag}, or into a pipe.`,
  );
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
