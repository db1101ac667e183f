/** Bundles kiln: one CommonJS file an entry point, so that start-up reads as few files as it can. */
import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

rmSync('dist', { recursive: true, force: true });
await build({
  entryPoints: {
    cli: 'src/cli.ts',
    kiln: 'src/start.ts',
    'layer-worker': 'src/layer/layer-worker.ts',
    'namespace-main': 'src/namespace-main.ts',
    'chroot-init': 'src/executor/chroot-init.ts',
  },
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  external: ['koffi', './cli.cjs'],
  define: { KILN_BUNDLE: 'true', KILN_VERSION: JSON.stringify(version) },
  logLevel: 'warning',
  logOverride: { 'empty-import-meta': 'silent' },
  legalComments: 'none',
});
chmodSync('bin/kiln', 0o755);
