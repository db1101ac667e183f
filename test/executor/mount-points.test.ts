import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MountPoints } from '../../src/executor/mount-points.ts';

let base: string;
let root: string;
beforeEach(() => {
  base = mkdtempSync('/var/tmp/kiln-points-');
  root = join(base, 'root');
  mkdirSync(root);
});
afterEach(() => rmSync(base, { recursive: true }));

const times = (path: string): bigint => lstatSync(path, { bigint: true }).mtimeNs;

test('creates what is missing and takes it away again, with the times of the parents', () => {
  mkdirSync(join(root, 'etc'));
  utimesSync(join(root, 'etc'), 5, 1_000_000_000);
  utimesSync(root, 5, 1_000_000_001);
  const before = [times(root), times(join(root, 'etc'))];
  const points = new MountPoints(root);
  expect(points.make('/proc', 'directory')).toBe('/proc');
  expect(points.make('/etc/hosts', 'file')).toBe('/etc/hosts');
  expect(points.make('/a/b/../c//d/', 'directory')).toBe('/a/c/d');
  expect(lstatSync(join(root, 'etc/hosts')).isFile()).toBe(true);
  points.restore();
  expect(readdirSync(root)).toEqual(['etc']);
  expect(readdirSync(join(root, 'etc'))).toEqual([]);
  expect([times(root), times(join(root, 'etc'))]).toEqual(before);
});

test('keeps what the step put there, and the time at which it did', () => {
  const points = new MountPoints(root);
  points.make('/cache', 'directory');
  points.make('/etc/hosts', 'file');
  writeFileSync(join(root, 'cache/x'), 'x');
  writeFileSync(join(root, 'etc/other'), 'x');
  utimesSync(join(root, 'etc'), 5, 1_500_000_000);
  points.restore();
  expect(readdirSync(root).sort()).toEqual(['cache', 'etc']);
  expect(readdirSync(join(root, 'etc'))).toEqual(['other']);
  expect(times(join(root, 'etc'))).toBe(1_500_000_000n * 1_000_000_000n);
});

test('never leaves the root by a symlink of the image', () => {
  const host = join(base, 'host');
  mkdirSync(host);
  symlinkSync(host, join(root, 'etc'));
  symlinkSync('../../../../host', join(root, 'up'));
  symlinkSync('dangling/deep', join(root, 'there'));
  const points = new MountPoints(root);
  expect(points.make('/etc/hosts', 'file')).toBe(`${host}/hosts`);
  expect(points.make('/up/x', 'directory')).toBe('/host/x');
  expect(points.make('/there', 'file')).toBe('/dangling/deep');
  expect(readdirSync(host)).toEqual([]);
  points.restore();
  expect(readdirSync(root).sort()).toEqual(['etc', 'there', 'up']);
});

test('refuses loops and things of the wrong kind', () => {
  symlinkSync('b', join(root, 'a'));
  symlinkSync('a', join(root, 'b'));
  writeFileSync(join(root, 'file'), '');
  const points = new MountPoints(root);
  expect(() => points.make('/a', 'directory')).toThrow(expect.objectContaining({ code: 'RUN_MOUNT_FAILED' }));
  expect(() => points.make('/file/x', 'directory')).toThrow(/is a file/);
});

test('leaves what is below another mount to the runtime', () => {
  const points = new MountPoints(root);
  points.make('/cache', 'directory');
  expect(points.make('/cache/deep/er', 'directory')).toBe('/cache/deep/er');
  expect(readdirSync(join(root, 'cache'))).toEqual([]);
});
