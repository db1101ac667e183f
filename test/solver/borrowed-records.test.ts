import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { digestOf, MEDIA_TYPE } from '../../src/image/descriptor.ts';
import { BorrowedRecords } from '../../src/solver/borrowed-records.ts';
import { localLayer } from '../../src/solver/local-records.ts';
import type { CacheRecord } from '../../src/store/record-store.ts';
import { Store } from '../../src/store/store.ts';

const TAR = 'the tar';
const ZIPPED = 'the tar, zipped';
const blob = { mediaType: MEDIA_TYPE.ociLayerGzip, digest: digestOf(ZIPPED), size: ZIPPED.length };
const record: CacheRecord = {
  key: digestOf('key'),
  parts: [['parent', 'scratch']],
  layer: { diffId: digestOf(TAR), tarSize: TAR.length, created: '2026-01-01T00:00:00Z', blob },
};

function open(): { store: Store; borrowed: BorrowedRecords } {
  const root = mkdtempSync(join(tmpdir(), 'kiln-borrowed-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const store = Store.open(root);
  const borrowed = new BorrowedRecords(store);
  borrowed.add(record);
  return { store, borrowed };
}

test('what was never fetched leaves no record', () => {
  const { store, borrowed } = open();
  borrowed.keep();
  expect([...store.records.list()]).toEqual([]);
});

test('a fetched blob makes a record whose layer is that blob', () => {
  const { store, borrowed } = open();
  store.blobs.write(ZIPPED);
  borrowed.keep();
  expect([...store.records.list()]).toEqual([record]);
  expect(localLayer(store, record).image).toMatchObject({ descriptor: blob, diffId: record.layer.diffId });
});

test('an unpacked tar makes one as well, its table of contents can be made again; half a tar makes none', () => {
  const { store, borrowed } = open();
  writeFileSync(store.blobs.path(record.layer.diffId), TAR.slice(3));
  borrowed.keep();
  expect([...store.records.list()]).toEqual([]);
  borrowed.add(record);
  writeFileSync(store.blobs.path(record.layer.diffId), TAR);
  borrowed.keep();
  expect([...store.records.list()]).toEqual([record]);
  expect(localLayer(store, record).image).toBeUndefined();
});
