import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { digestOf, hexOf } from '../../src/image/descriptor.ts';
import { Store } from '../../src/store/store.ts';
import { cacheSize } from '../../src/store/store-usage.ts';

test('what no image needs is counted; directories are measured once, and again when they were used', () => {
  const root = mkdtempSync(join(tmpdir(), 'kiln-size-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const store = Store.open(root);
  expect(cacheSize(store)).toBe(0);
  store.blobs.write('x'.repeat(1000));
  const snapshot = join(root, 'snapshots', 'abc');
  mkdirSync(snapshot);
  writeFileSync(join(snapshot, 'f'), 'x'.repeat(200));
  writeFileSync(join(root, 'chains', hexOf(digestOf('chain'))), 'abc');
  const mount = join(root, 'mounts', 'm');
  mkdirSync(mount);
  writeFileSync(join(mount, 'lock'), '');
  writeFileSync(join(mount, 'f'), 'x'.repeat(30));
  expect(cacheSize(store)).toBe(1230);
  // A change that leaves no trace does not happen; if it did, it would not be seen.
  writeFileSync(join(mount, 'g'), 'x'.repeat(4));
  expect(cacheSize(store)).toBe(1230);
  utimesSync(join(mount, 'lock'), 5, 5);
  expect(cacheSize(store)).toBe(1234);
  writeFileSync(join(root, 'cache', 'directory-sizes'), '{');
  rmSync(snapshot, { recursive: true });
  rmSync(join(root, 'chains', hexOf(digestOf('chain'))));
  expect(cacheSize(store)).toBe(1034);
  expect(Object.keys(JSON.parse(readFileSync(join(root, 'cache', 'directory-sizes'), 'utf8')))).toEqual([
    'mounts/m 5000',
  ]);
});
