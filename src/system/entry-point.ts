/** Files that kiln starts as a thread or process of its own: bundled beside the CLI, or straight from source. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Set by the bundler. */
declare const KILN_BUNDLE: boolean | undefined;

const SOURCES = {
  'layer-worker': '../layer/layer-worker.ts',
  'literal-worker': '../layer/literal-worker.ts',
  // From source nothing stands before it.
  'namespace-start': '../namespace-main.ts',
  'chroot-init': '../executor/chroot-init.ts',
} as const;

export type EntryPoint = keyof typeof SOURCES;

/** Absolute path of an entry point, for `new Worker` or `spawn(process.execPath, …)`. */
export function entryPoint(name: EntryPoint): string {
  if (typeof KILN_BUNDLE !== 'undefined') return join(__dirname, `${name}.cjs`);
  return fileURLToPath(new URL(SOURCES[name], import.meta.url));
}
