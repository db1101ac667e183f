/**
 * Runs a file of the bundle with the code that V8 made of it in earlier runs. Node's own compile cache has only what is
 * compiled while a file is read; here are also the functions that were compiled when they were first called, which takes
 * a small cached build from 64 to 47 ms.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, isAbsolute, join } from 'node:path';
import { constants, Script } from 'node:vm';
import { monotonicMs } from './monotonic.ts';

/** Digest of the bundle; put in by the build. */
declare const KILN_BUILD: string | undefined;

/** Run 1 leaves a mark, as in CI there is often no other; the next ones leave code, each with what the last compiled. */
const FIRST_WITH_CODE = 2;
const LAST_WITH_CODE = 5;

/** Milliseconds. After a long run code is missing that V8 has thrown away, and a long run has no need of it. */
const SHORT_RUN = 2_000;

/** Bytes before the code, filled with spaces; a multiple of 8, or V8 would copy the code. */
const HEADER_SIZE = 256;

/** What a file holds. Runs: how many it has seen, this one not counted. */
interface Kept {
  readonly runs: number;
  /** Undefined as long as there is only the mark. */
  readonly code: Buffer<ArrayBuffer> | undefined;
}

export interface LoadedProgram {
  /** module.exports of the file. */
  readonly exports: unknown;
  /** Keeps what has been compiled by now, after short runs and while there is more to learn. Never throws. */
  remember(): void;
}

/**
 * The user's directory for compiled code; undefined when it cannot be made, or when somebody else could write in it, whose
 * code would run with our rights. Made level by level: under /proc Node's own recursive mkdir would never end.
 */
export function codeCacheDirectory({ XDG_CACHE_HOME, HOME }: NodeJS.ProcessEnv): string | undefined {
  const base = XDG_CACHE_HOME || join(HOME || '', '.cache');
  // A relative one is to be ignored (XDG Base Directory Specification): a build should not leave directories around.
  if (!isAbsolute(base)) return undefined;
  const directory = join(base, 'kiln', 'compile-cache');
  try {
    makeLevels(directory);
    const { uid, mode } = statSync(directory);
    return uid === process.getuid?.() && (mode & 0o022) === 0 ? directory : undefined;
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

/**
 * Loads a CommonJS file whose value as a script is the function that `require` would make of it: put together here, it
 * would be in memory twice. `cache`: the file with its code, which may not exist; none to do without.
 */
export function loadProgram(path: string, cache: string | undefined): LoadedProgram {
  const began = monotonicMs();
  const kept = cache === undefined ? undefined : readKept(cache);
  const script = new Script(readFileSync(path, 'utf8'), {
    filename: path,
    ...(kept?.code === undefined ? {} : { cachedData: kept.code }),
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  giveBack(kept?.code);
  const module = { exports: {} };
  const run = script.runInThisContext() as (...given: unknown[]) => void;
  run(module.exports, createRequire(path), module, path, dirname(path));
  const runs = kept === undefined || script.cachedDataRejected === true ? 0 : kept.runs;
  return {
    exports: module.exports,
    remember: () => {
      const learns = runs < LAST_WITH_CODE && monotonicMs() - began < SHORT_RUN;
      if (cache !== undefined && learns) keep(cache, script, runs + 1);
    },
  };
}

/** At once, as a small build ends before any garbage is collected. A small buffer shares its memory with others. */
function giveBack(code: Buffer<ArrayBuffer> | undefined): void {
  if (code?.buffer.byteLength === HEADER_SIZE + (code?.length ?? 0)) code.buffer.transfer(0);
}

/** Written in place, so that nothing is left beside it however we end: half a file has another digest. */
function keep(path: string, script: Script, runs: number): void {
  try {
    const code = runs < FIRST_WITH_CODE ? Buffer.alloc(0) : script.createCachedData();
    writeFileSync(path, Buffer.concat([header(runs, code), code]), { mode: 0o600 });
  } catch {
    // A full or read-only disk: everything is compiled again.
  }
}

/** V8 checks its own version and flags, but not that every byte is as it was. */
function header(runs: number, code: Buffer): Buffer {
  const digest = createHash('sha256').update(code).digest('hex');
  const build = typeof KILN_BUILD === 'undefined' ? 'source' : KILN_BUILD;
  const fields = ['kiln-code', build, process.version, process.arch, runs, digest];
  return Buffer.from(fields.join(' ').padEnd(HEADER_SIZE), 'latin1');
}

function readKept(path: string): Kept | undefined {
  let file: Buffer<ArrayBuffer>;
  try {
    file = readFileSync(path);
  } catch {
    return undefined;
  }
  const code = file.subarray(HEADER_SIZE);
  const [, , , , text = ''] = file.toString('latin1', 0, HEADER_SIZE).split(' ');
  const runs = Number(text);
  if (!file.subarray(0, HEADER_SIZE).equals(header(runs, code))) return undefined;
  return { runs, code: code.length === 0 ? undefined : code };
}
