/** Tables of contents on disk. */
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TocEntry } from '../../src/layer/entry.ts';
import { loadToc, saveToc } from '../../src/layer/toc-file.ts';
import { entry, Place } from './layers.ts';

const DIFF_ID = `sha256:${'a'.repeat(64)}` as const;

test('every field comes back', () => {
  const place = new Place();
  const entries: TocEntry[] = [
    entry('', { type: 'directory', mode: 0o7777, uid: 4_294_967_294, gid: 1, mtime: -3 }),
    { ...entry('f', { size: 2 ** 40, mtime: 2 ** 40 }), offset: 2 ** 41, digest: DIFF_ID },
    entry('\xff\xfe\n', { xattrs: { 'user.a': '\0\xff"\\', 'user.empty': '' } }),
    entry('l', { type: 'symlink', linkTarget: '\x80/..' }),
    entry('h', { type: 'hardlink', linkTarget: 'f' }),
    entry('c', { type: 'char', devMajor: 4095, devMinor: 0 }),
    entry('b', { type: 'block', devMajor: 0, devMinor: 1_048_575 }),
    entry('p', { type: 'fifo' }),
    entry('w', { type: 'whiteout', mode: 0 }),
    entry('d', { type: 'opaque', mode: 0 }),
  ];
  const path = place.path('toc');
  saveToc(path, { diffId: DIFF_ID, tarSize: 123, entries });
  expect(loadToc(path)).toStrictEqual({ diffId: DIFF_ID, tarSize: 123, entries });
  saveToc(path, { diffId: DIFF_ID, tarSize: 1024, entries: [] });
  expect(loadToc(path)).toStrictEqual({ diffId: DIFF_ID, tarSize: 1024, entries: [] });
});

test('a file that is cut short or damaged anywhere is refused', () => {
  const place = new Place();
  const path = place.path('toc');
  saveToc(path, {
    diffId: DIFF_ID,
    tarSize: 1,
    entries: [entry('a'), entry('b', { type: 'symlink', linkTarget: 'c' })],
  });
  const whole = readFileSync(path);
  const refused = (bytes: Buffer): void => {
    writeFileSync(path, bytes);
    expect(() => loadToc(path)).toThrow(expect.objectContaining({ code: 'STORE_CORRUPT_TOC' }));
  };
  fc.assert(
    fc.property(fc.integer({ min: 0, max: whole.length - 1 }), (at) => {
      refused(whole.subarray(0, at));
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      refused(damaged);
    }),
  );
  expect(() => loadToc(place.path('none'))).toThrow(expect.objectContaining({ code: 'STORE_CORRUPT_TOC' }));
});

test('a hundred thousand entries are read fast', () => {
  const place = new Place();
  const path = place.path('toc');
  const entries = Array.from({ length: 100_000 }, (_, i) => ({
    ...entry(`usr/lib/python3/dist-packages/package-${i % 997}/module-${i}.py`, { size: i + 1 }),
    offset: i * 1024,
  }));
  saveToc(path, { diffId: DIFF_ID, tarSize: 1, entries });
  const times = [1, 2, 3, 4, 5].map(() => {
    const start = performance.now();
    expect(loadToc(path).entries).toHaveLength(100_000);
    return performance.now() - start;
  });
  expect(Math.min(...times)).toBeLessThan(150);
});
