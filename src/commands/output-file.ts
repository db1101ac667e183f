/** The file that a command was told to write to with -o. */
import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { usage } from './flag-values.ts';

/** Its absolute path, in a directory that is there. Throws USAGE_OUTPUT. */
export function outputFile(text: string): string {
  const file = resolve(text);
  if (isDirectory(file)) throw usage('USAGE_OUTPUT', `-o ${text}: is a directory`, 'Name a file in it.');
  if (isDirectory(dirname(file))) return file;
  throw usage('USAGE_OUTPUT', `-o ${text}: there is no directory ${dirname(file)}`, 'Make it first.');
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
