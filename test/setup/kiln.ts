/**
 * Builds kiln when dist/ is stale, installs it as `npm i -g` would where every user can read it, and makes the base
 * images with tools that are not kiln. KILN_TEST_PROGRAM tests a kiln that is installed already.
 */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { withLock } from './lock.ts';
import { CACHE } from './places.ts';
import { run } from './run.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The installed bin/kiln. */
    kiln: string;
    /** `oci:DIR:TAG` of a Debian root file system with apt. */
    debian: string;
    /** `oci:DIR:TAG` of a static busybox. */
    busybox: string;
  }
}

const REPOSITORY = dirname(dirname(import.meta.dirname));
const DAY_MS = 86_400_000;

function newest(path: string): number {
  const info = statSync(path);
  if (!info.isDirectory()) return info.mtimeMs;
  return Math.max(info.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

function buildIfStale(): void {
  const bundle = join(REPOSITORY, 'dist/kiln.cjs');
  const sources = ['src', 'build.config.ts', 'package.json'].map((name) => newest(join(REPOSITORY, name)));
  if (existsSync(bundle) && statSync(bundle).mtimeMs >= Math.max(...sources)) return;
  run('npm', ['run', '-s', 'build'], { cwd: REPOSITORY });
}

/** One directory for each content, so that test runs beside each other never pull the program from under one another. */
function install(): string {
  buildIfStale();
  const hash = createHash('sha256');
  const shipped = ['bin/kiln', 'package.json', 'oclif.manifest.json', ...listFiles('dist')];
  for (const name of shipped) hash.update(`${name}\0`).update(readFileSync(join(REPOSITORY, name)));
  const target = join(CACHE, `install-${hash.digest('hex').slice(0, 16)}`);
  const command = join(target, 'bin/kiln');
  if (existsSync(command)) return command;

  removeOldInstalls();
  const draft = `${target}.${process.pid}`;
  const home = join(draft, 'lib/node_modules/kiln');
  for (const name of shipped) cpSync(join(REPOSITORY, name), join(home, name), { recursive: true });
  for (const name of ['koffi', '@koromix']) {
    cpSync(join(REPOSITORY, 'node_modules', name), join(home, 'node_modules', name), { recursive: true });
  }
  const runtime = `node-linux-${process.arch}`;
  symlinkSync(keepRuntime(runtime), join(home, 'node_modules', runtime));
  mkdirSync(join(draft, 'bin'));
  symlinkSync('../lib/node_modules/kiln/bin/kiln', join(draft, 'bin/kiln'));
  run('chmod', ['-R', 'a+rX', draft]);
  renameSync(draft, target);
  return command;
}

/** Node.js itself is large: one copy a version, linked into each install. */
function keepRuntime(name: string): string {
  const source = join(REPOSITORY, 'node_modules', name);
  const { version } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as { version: string };
  const kept = join(CACHE, `${name}-${version}`);
  if (!existsSync(kept)) {
    cpSync(source, `${kept}.draft`, { recursive: true });
    run('chmod', ['-R', 'a+rX', `${kept}.draft`]);
    renameSync(`${kept}.draft`, kept);
  }
  return kept;
}

function listFiles(folder: string): string[] {
  return readdirSync(join(REPOSITORY, folder))
    .sort()
    .map((name) => join(folder, name));
}

function removeOldInstalls(): void {
  for (const name of readdirSync(CACHE)) {
    const path = join(CACHE, name);
    if (name.startsWith('install-') && Date.now() - statSync(path).mtimeMs > DAY_MS) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

function makeBase(kind: 'debian' | 'busybox', directory: string): string {
  if (!existsSync(join(directory, 'index.json'))) {
    process.stderr.write(`set-up: making the ${kind} base image\n`);
    run(join(REPOSITORY, 'fixtures/make-base.sh'), [kind, directory]);
  }
  return `oci:${directory}:${kind === 'debian' ? 'bookworm' : 'latest'}`;
}

export async function setup(project: TestProject): Promise<void> {
  const month = new Date().toISOString().slice(0, 7);
  await withLock(`${CACHE}/.lock`, () => {
    project.provide('kiln', process.env['KILN_TEST_PROGRAM'] ?? install());
    project.provide('busybox', makeBase('busybox', join(CACHE, 'busybox')));
    project.provide('debian', makeBase('debian', join(CACHE, `debian-bookworm-${month}`)));
  });
}
