/**
 * Bundles kiln: one CommonJS file an entry point, and one for each library that most commands do without, so that
 * start-up reads and compiles little.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type BuildOptions, type BuildResult, build, type Plugin } from 'esbuild';

const { name, version, bin, oclif } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<
  string,
  unknown
>;

/** What oclif wants to know of the package: a text, as an object would be put in every module. */
const KILN_PACKAGE = JSON.stringify(JSON.stringify({ name, version, bin, oclif }));

/** Built aside and renamed, so that a failed build leaves the last good one. */
const draft = `dist.${process.pid}`;

/** Makes a program's file the function that `require` would make of it, and where it is required calls that. */
const AS_FUNCTION = {
  banner: {
    js: '((run)=>typeof module==="undefined"?run:run(exports,require,module,__filename,__dirname))(function(exports,require,module,__filename,__dirname){',
  },
  footer: { js: '})' },
};

/** Loaded by `await import()` at their first use. */
const LAZY_LIBRARIES = ['dockerfile-ast', 'execa', 'ora', 'smol-toml', 'tar', 'undici'];

const fileOf = (library: string): string => `./lib-${library}.cjs`;

/** Points imports of the lazy libraries at their own files. */
const lazyLibraries: Plugin = {
  name: 'lazy-libraries',
  setup({ onResolve }) {
    onResolve({ filter: new RegExp(`^(${LAZY_LIBRARIES.join('|')})$`) }, ({ path, kind }) =>
      kind === 'entry-point' ? undefined : { path: fileOf(path), external: true },
    );
  },
};

/** A top-level require as TypeScript writes it, alone on its line. */
const REQUIRE = /^(?:const|var) (\w+) = ((?:__import(?:Default|Star)\()?require\("[^"]+"\)\)?);$/gm;

const LOCALE_COMPARE = /\b([\w.]+)\.localeCompare\(([\w.]+)\)/g;

/** Libraries of oclif's that are loaded by every command for nothing: messages on plugins, the kind of Windows. */
const STAND_INS: Readonly<Record<string, string>> = {
  debug:
    'module.exports = () => Object.assign(() => {}, { enabled: false, extend: () => module.exports() });',
  'wsl-utils': 'exports.isWsl = false;',
};

/**
 * Makes oclif load its parts at their first use: most commands need neither its help nor its plugin search. A name that
 * stands for a module becomes a function that gives it.
 */
const lazyOclif: Plugin = {
  name: 'lazy-oclif',
  setup({ onLoad, onResolve }) {
    onLoad({ filter: /\/@oclif\/core\/lib\/.*\.js$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      const names = [...source.matchAll(REQUIRE)].map(([, name]) => name);
      const declared = source.replace(REQUIRE, 'const $1__ = () => $2;');
      const uses = new RegExp(`\\b(${names.join('|')})\\b`, 'g');
      const lazy = names.length === 0 ? source : declared.replace(uses, '($1__())');
      // The first comparison by locale loads a collator, which takes milliseconds; names of commands are ASCII.
      return { contents: lazy.replace(LOCALE_COMPARE, '($1 < $2 ? -1 : Number($1 > $2))') };
    });
    onResolve({ filter: new RegExp(`^(${Object.keys(STAND_INS).join('|')})$`) }, ({ path }) => ({
      path,
      namespace: 'stand-in',
    }));
    onLoad({ filter: /.*/, namespace: 'stand-in' }, ({ path }) => ({ contents: STAND_INS[path] ?? '' }));
  },
};

/** Parts of Node.js that take long to load and that a cached build does without, or nearly. */
const LAZY_BUILTINS = [
  'child_process',
  'crypto',
  'fs/promises',
  'net',
  'perf_hooks',
  'stream/promises',
  'timers/promises',
  'tls',
  'tty',
  'worker_threads',
  'zlib',
];

const REQUIRED_BUILTIN = new RegExp(
  `\\b(import_\\w+)=require\\("(node:(?:${LAZY_BUILTINS.join('|')}))"\\)`,
  'g',
);

const LAZY_REQUIRE = 'function lazyRequire(n){return new Proxy({},{get:(_,k)=>require(n)[k]})}';

/**
 * Makes a program load them at their first use: esbuild's code says `import_x.name` wherever one of their names is used. And
 * makes it ASCII, which is read fastest: esbuild leaves other characters in regular expressions.
 */
function finished(text: string): string {
  const lazy = text.replace(REQUIRED_BUILTIN, '$1=lazyRequire("$2")');
  const whole = lazy === text ? text : lazy.replace('"use strict";', `"use strict";${LAZY_REQUIRE}`);
  return whole.replace(/[^\0-\x7f]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** Writes what esbuild made; returns its digest. */
function written({ outputFiles = [] }: Pick<BuildResult, 'outputFiles'>): string {
  const digest = createHash('sha256');
  for (const { path, text } of outputFiles) {
    const contents = finished(text);
    digest.update(contents);
    writeFileSync(path, contents);
  }
  return digest.digest('hex');
}

const shared: BuildOptions = {
  outdir: draft,
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  // Names stay, so that a reported stack can be read.
  minifyWhitespace: true,
  minifySyntax: true,
  // oclif would load TypeScript in a development tree of its own; kiln never is one.
  external: ['koffi', 'typescript'],
  define: { KILN_BUNDLE: 'true', KILN_VERSION: JSON.stringify(version), KILN_PACKAGE },
  logLevel: 'warning',
  logOverride: { 'empty-import-meta': 'silent' },
  legalComments: 'none',
};

try {
  const programs = await build({
    ...shared,
    ...AS_FUNCTION,
    write: false,
    entryPoints: { cli: 'src/cli.ts', 'namespace-main': 'src/namespace-main.ts' },
    plugins: [lazyLibraries, lazyOclif],
  });
  const others = await build({
    ...shared,
    write: false,
    entryPoints: {
      'layer-worker': 'src/layer/layer-worker.ts',
      'literal-worker': 'src/layer/literal-worker.ts',
      'chroot-init': 'src/executor/chroot-init.ts',
    },
    plugins: [lazyLibraries],
  });
  mkdirSync(draft);
  const starters = await build({
    ...shared,
    write: false,
    define: { ...shared.define, KILN_BUILD: JSON.stringify(written(programs)) },
    entryPoints: { kiln: 'src/start.ts', 'namespace-start': 'src/namespace-start.ts' },
  });
  written(starters);
  written(others);
  await build({
    ...shared,
    entryPoints: Object.fromEntries(LAZY_LIBRARIES.map((library) => [`lib-${library}`, library])),
    // `import()` of a CommonJS file takes the whole of module.exports for the default export, as Node does.
    footer: {
      js: 'if(module.exports.__esModule&&module.exports.default)module.exports=Object.assign(module.exports.default,module.exports);',
    },
  });
  rmSync('dist', { recursive: true, force: true });
  renameSync(draft, 'dist');
} finally {
  rmSync(draft, { recursive: true, force: true });
}
