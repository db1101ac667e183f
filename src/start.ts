/**
 * The first file that runs. Answers --version at once and hands over to the command line, with the code that was compiled
 * in earlier runs. Kept apart from it, because everything loaded here is paid by every command.
 */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { codeCacheDirectory, loadProgram } from './system/code-cache.ts';

declare const KILN_VERSION: string;

interface CommandLine {
  readonly COMMANDS: Readonly<Record<string, unknown>>;
  main(): Promise<unknown>;
}

function main(): void {
  const [first = '', ...rest] = process.argv.slice(2);
  if ((first === '--version' || first === '-V') && rest.length === 0) {
    process.stdout.write(`kiln ${KILN_VERSION}\n`);
    return;
  }
  const cache = codeCacheDirectory(process.env);
  if (cache !== undefined) enableCompileCache(cache); // For the libraries that have files of their own.
  // One a command: another command's code would only take time to read.
  const isWord = /^[a-z]{1,16}$/.test(first);
  const kept = cache === undefined || !isWord ? undefined : join(cache, `${first}.code`);
  const { exports, remember } = loadProgram(join(__dirname, 'cli.cjs'), kept);
  const commandLine = exports as CommandLine;
  // At once, when all is done and written: nothing that still hangs on may keep the program, or cost time to take apart.
  void commandLine.main().then(() => {
    if (Object.hasOwn(commandLine.COMMANDS, first)) remember();
    process.exit();
  });
}

main();
