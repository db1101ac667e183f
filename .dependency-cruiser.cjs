/** Import rules: docs/architecture.md as data. The comment of a rule is what a contributor reads when breaking it. */
const LAYERS = {
  system: [],
  image: [],
  dockerfile: [],
  progress: ['image'],
  format: ['progress'],
  plan: ['dockerfile', 'image'],
  layer: ['image', 'system'],
  snapshot: ['layer', 'system'],
  executor: ['system'],
  store: ['image', 'layer', 'system'],
  registry: ['store', 'image', 'system'],
  context: ['dockerfile', 'layer', 'image', 'system'],
  solver: [
    'plan',
    'dockerfile',
    'image',
    'layer',
    'snapshot',
    'executor',
    'context',
    'store',
    'progress',
    'system',
  ],
  archive: ['layer', 'image', 'system'],
  container: [
    'solver',
    'plan',
    'dockerfile',
    'image',
    'layer',
    'snapshot',
    'executor',
    'store',
    'progress',
    'system',
  ],
  cache: ['solver', 'registry', 'plan', 'dockerfile', 'image', 'layer', 'store', 'progress', 'system'],
  output: ['dockerfile', 'store', 'registry', 'image', 'layer', 'progress', 'system'],
};

const layerRules = Object.entries(LAYERS).map(([folder, allowed]) => ({
  name: `${folder}-imports`,
  comment: `src/${folder} may import only: ${['itself', 'errors.ts', ...allowed].join(', ')}. Pass what else it needs in from build-image.ts, or move the code (docs/architecture.md, Folders).`,
  severity: 'error',
  from: { path: `^src/${folder}/` },
  to: { path: '^src/', pathNot: [`^src/(${[folder, ...allowed].join('|')})/`, '^src/errors\\.ts$'] },
}));

const only = (library, file, why) => ({
  name: `only-${file.replaceAll(/[^a-z]+/g, '-')}`,
  comment: `${library} is used in ${file} alone: ${why}`,
  severity: 'error',
  from: { path: '^src/', pathNot: `^src/${file}` },
  to: { path: `(^|node_modules/)${library}` },
});

module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      comment: 'Two files that need each other are one file, or need a third that both import.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    ...layerRules,
    {
      name: 'pure-folders',
      comment: 'dockerfile, plan, image and format decide; they do no I/O. Pass data in.',
      severity: 'error',
      from: { path: '^src/(dockerfile|plan|image|format)/' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?crypto$' },
    },
    {
      name: 'nobody-imports-commands',
      comment: 'Commands are the outermost layer: flags in, exit code out.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(commands/|cli\\.ts)' },
      to: { path: '^src/commands/' },
    },
    {
      name: 'source-never-imports-tests',
      comment: 'Shipped code does not depend on tests, fixtures or the bench.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|fixtures|bench)/' },
    },
    only('dockerfile-ast', 'dockerfile/columns.ts', 'it serves columns for messages and nothing else.'),
    only('execa', 'system/process.ts', 'helpers are started in one place.'),
    only('koffi', 'system/libc.ts', 'every call of the C library goes through one place.'),
    only('ora', 'progress/tty-reporter.ts', 'it loads slowly and only a terminal needs it.'),
    only('undici', 'registry/transport.ts', 'one socket layer: proxy, TLS, retry, redaction.'),
    only('@oclif', '(commands/|cli\\.ts)', 'the command line ends at the commands.'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js'] },
  },
};
