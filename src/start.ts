/**
 * The first file that runs. Answers --version at once, switches the compile cache on, and hands over to the command
 * line. Kept apart from it, because everything loaded here is paid by every command.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { createRequire, enableCompileCache } from 'node:module';
import { dirname, join } from 'node:path';

declare const KILN_VERSION: string;

function main(): void {
  const [first, ...rest] = process.argv.slice(2);
  if ((first === '--version' || first === '-V') && rest.length === 0) {
    process.stdout.write(`kiln ${KILN_VERSION}\n`);
    return;
  }
  const cache = compileCacheDirectory();
  if (cache !== undefined) enableCompileCache(cache);
  const cli = createRequire(__filename)('./cli.cjs') as { main(): Promise<unknown> };
  // At once, when all is done and written: nothing that still hangs on may keep the program, or cost time to take apart.
  void cli.main().then(() => process.exit());
}

/**
 * Where compiled code is kept; undefined when the directory cannot be made. Made level by level: under /proc Node's own
 * recursive mkdir would never end.
 */
function compileCacheDirectory(): string | undefined {
  const { XDG_CACHE_HOME, HOME } = process.env;
  const base = XDG_CACHE_HOME || (HOME ? join(HOME, '.cache') : undefined);
  if (base === undefined) return undefined;
  const directory = join(base, 'kiln', 'compile-cache');
  try {
    makeLevels(directory);
    return directory;
  } catch {
    return undefined;
  }
}

function makeLevels(path: string): void {
  if (existsSync(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeLevels(parent);
  mkdirSync(path, 0o700);
}

main();
