import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { UnnamedFile } from '../../src/system/unnamed-file.ts';

function directory(place = '/var/tmp'): string {
  const path = mkdtempSync(join(place, 'kiln-unnamed-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

function near(path: string): UnnamedFile {
  const file = UnnamedFile.near(path);
  if (file === undefined) throw new Error(`${path} cannot hold files without a name`);
  onTestFinished(() => file.close());
  return file;
}

test('it is seen when it gets its name, with all its bytes, and not before', () => {
  const folder = directory();
  const file = near(folder);
  writeSync(file.fd, 'whole');
  expect(readdirSync(folder)).toEqual([]);
  expect(file.name(join(folder, 'blob é'))).toBe(true);
  expect(readFileSync(join(folder, 'blob é'), 'utf8')).toBe('whole');
  expect(statSync(join(folder, 'blob é')).mode & 0o777).toBe(0o644);
});

test('the directory need not be there yet', () => {
  const folder = directory();
  const file = near(join(folder, 'a', 'b'));
  writeSync(file.fd, 'whole');
  expect(readdirSync(folder)).toEqual([]);
  mkdirSync(join(folder, 'a', 'b'), { recursive: true });
  expect(file.name(join(folder, 'a', 'b', 'c'))).toBe(true);
  expect(readFileSync(join(folder, 'a', 'b', 'c'), 'utf8')).toBe('whole');
});

test('it takes no name that is taken, and none on another filesystem', () => {
  const folder = directory();
  const file = near(folder);
  writeFileSync(join(folder, 'taken'), 'mine');
  expect(file.name(join(folder, 'taken'))).toBe(false);
  expect(readFileSync(join(folder, 'taken'), 'utf8')).toBe('mine');
  expect(file.name(join(directory('/dev/shm'), 'far'))).toBe(false);
});

test('where a file or a filesystem without such files is, there is none', () => {
  const folder = directory();
  writeFileSync(join(folder, 'file'), '');
  expect(UnnamedFile.near(join(folder, 'file'))).toBeUndefined();
  expect(UnnamedFile.near('/proc/self')).toBeUndefined();
});
