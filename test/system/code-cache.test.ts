import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { codeCacheDirectory, loadProgram } from '../../src/system/code-cache.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kiln-code-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('where code is kept', () => {
  test('below XDG_CACHE_HOME, else in the home directory, for nobody else', () => {
    const expected = join(directory, 'deep/er/kiln/compile-cache');
    expect(codeCacheDirectory({ XDG_CACHE_HOME: join(directory, 'deep/er'), HOME: '/nowhere' })).toBe(
      expected,
    );
    expect(statSync(expected).mode & 0o777).toBe(0o700);
    expect(codeCacheDirectory({ HOME: directory })).toBe(join(directory, '.cache/kiln/compile-cache'));
    for (const env of [{}, { HOME: '' }, { HOME: 'home' }, { XDG_CACHE_HOME: 'cache', HOME: directory }]) {
      expect(codeCacheDirectory(env)).toBeUndefined();
    }
  });

  test('nowhere, where somebody else could put code for us', () => {
    const open = join(directory, 'kiln/compile-cache');
    mkdirSync(open, { recursive: true });
    chmodSync(open, 0o775);
    expect(codeCacheDirectory({ XDG_CACHE_HOME: directory })).toBeUndefined();
  });

  test('nowhere, where no directory can be made', () => {
    expect(codeCacheDirectory({ XDG_CACHE_HOME: '/proc/nowhere' })).toBeUndefined();
    writeFileSync(join(directory, 'kiln'), '');
    expect(codeCacheDirectory({ XDG_CACHE_HOME: directory })).toBeUndefined();
  });
});

describe('a program', () => {
  const PROGRAM =
    '(function (exports, require, module, __filename, __dirname) {\n' +
    'exports.seen = { __filename, __dirname, node: typeof require("node:fs").statSync, module: module.exports === exports };\n' +
    'exports.later = (n) => { const twice = (m) => m * 2; return twice(n); };\n' +
    '})';

  beforeEach(() => writeFileSync(join(directory, 'program.cjs'), PROGRAM));

  /** Loads it as a process would, calls what is compiled late, and lets it be remembered. */
  function load(cache: string | undefined): { seen: unknown; answer: number } {
    const path = join(directory, 'program.cjs');
    const { exports, remember } = loadProgram(path, cache);
    const { seen, later } = exports as { seen: unknown; later: (n: number) => number };
    const answer = later(21);
    remember();
    return { seen, answer };
  }

  const right = () => ({
    seen: {
      __filename: join(directory, 'program.cjs'),
      __dirname: directory,
      node: 'function',
      module: true,
    },
    answer: 42,
  });

  test('is loaded as Node loads it, with and without code', () => {
    expect(load(undefined)).toEqual(right());
    const cache = join(directory, 'program.code');
    for (let run = 0; run < 8; run += 1) expect(load(cache)).toEqual(right());
  });

  test('leaves a mark at its first run, code at the next ones, and nothing more once enough was seen', () => {
    const cache = join(directory, 'program.code');
    const sizes = Array.from({ length: 7 }, () => {
      load(cache);
      return statSync(cache).size;
    });
    expect(sizes[0]).toBe(256);
    expect(sizes[1]).toBeGreaterThan(500);
    const after = statSync(cache).mtimeMs;
    load(cache);
    expect(statSync(cache).mtimeMs).toBe(after);
  });

  test('keeps what was compiled when it was called', () => {
    const sizes = [true, false].map((called) => {
      const cache = join(directory, `${called}.code`);
      // Another text: V8 shares what it compiled of the same one.
      writeFileSync(join(directory, 'program.cjs'), `${PROGRAM}// ${called ? 'yes' : 'no '}`);
      for (let run = 0; run < 2; run += 1) {
        const { exports, remember } = loadProgram(join(directory, 'program.cjs'), cache);
        if (called) (exports as { later: (n: number) => number }).later(1);
        remember();
      }
      return statSync(cache).size;
    });
    expect(sizes[0]).toBeGreaterThan(sizes[1] ?? 0);
  });

  test.each([
    ['a byte of the code', (file: Buffer) => void file.writeUInt8(file.readUInt8(400) ^ 1, 400)],
    ['a byte of the header', (file: Buffer) => void file.write('x', 12)],
    ['its end', (file: Buffer) => file.subarray(0, -9)],
    ['nearly everything', (file: Buffer) => file.subarray(0, 100)],
    ['everything', (file: Buffer) => file.subarray(0, 0)],
  ])('is compiled anew, and kept anew, where %s is not as it was', (_name, spoil) => {
    const cache = join(directory, 'program.code');
    load(cache);
    load(cache);
    const file = readFileSync(cache);
    writeFileSync(cache, spoil(file) ?? file);
    expect(load(cache)).toEqual(right());
    expect(statSync(cache).size).toBe(256);
  });

  test('does without where nothing can be written', () => {
    expect(load(join(directory, 'missing/program.code'))).toEqual(right());
    expect(existsSync(join(directory, 'missing'))).toBe(false);
  });
});
