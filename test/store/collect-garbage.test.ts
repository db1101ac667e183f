import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type Digest, digestOf, hexOf, MEDIA_TYPE } from '../../src/image/descriptor.ts';
import { encodeDocument, makeManifest } from '../../src/image/manifest.ts';
import { collectGarbage, type GarbageOptions } from '../../src/store/collect-garbage.ts';
import { Store } from '../../src/store/store.ts';
import { lockFile } from '../../src/system/file-calls.ts';

const DAY = 86_400_000;

function openStore(): Store {
  const root = mkdtempSync(join(tmpdir(), 'kiln-prune-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  return Store.open(root);
}

/** A layer with its table of contents; the bytes are no tar, which the collector never looks at. */
function addLayer(store: Store, content: string): Digest {
  const digest = store.blobs.write(content);
  writeFileSync(store.layers.tocPath(digest), 'toc');
  return digest;
}

function addRecord(store: Store, name: string, daysOld = 0): Digest {
  const diffId = addLayer(store, `layer of ${name}`.padEnd(1000));
  const key = digestOf(name);
  store.records.put({ key, parts: [['parent', 'scratch']], layer: { diffId, tarSize: 1000, created: '' } });
  const time = new Date(Date.now() - daysOld * DAY);
  utimesSync(join(store.root, 'cache', hexOf(key).slice(0, 2), hexOf(key)), time, time);
  return diffId;
}

function addImage(store: Store, name: string): Digest {
  const layer = addLayer(store, `layer of image ${name}`);
  const config = Buffer.from(JSON.stringify({ rootfs: { type: 'layers', diff_ids: [layer] } }));
  const { descriptor, content } = encodeDocument(
    makeManifest({
      config: { mediaType: MEDIA_TYPE.ociConfig, digest: store.blobs.write(config), size: config.length },
      layers: [{ mediaType: MEDIA_TYPE.ociLayer, digest: layer, size: store.blobs.size(layer) ?? 0 }],
    }),
  );
  store.blobs.write(content);
  store.names.set([`docker.io/library/${name}:latest`], descriptor, new Date());
  return layer;
}

function prune(store: Store, options: Partial<GarbageOptions> = {}) {
  return collectGarbage(store, { all: false, containers: false, dryRun: false, now: Date.now(), ...options });
}

test('what no image and no record leads to goes; the rest stays', () => {
  const store = openStore();
  const layer = addImage(store, 'app');
  const cached = addRecord(store, 'step');
  const orphan = addLayer(store, 'orphan');
  const { removed, reclaimed } = prune(store);
  expect(removed.map(({ kind }) => kind).sort()).toEqual(['blob', 'layer']);
  expect(reclaimed).toBe('orphan'.length + 'toc'.length);
  expect([layer, cached, orphan].map((digest) => store.blobs.has(digest))).toEqual([true, true, false]);
  expect(prune(store).removed).toEqual([]);
});

test('an image behind an index, and an entry without a name, are whole', () => {
  const store = openStore();
  addImage(store, 'app');
  const entry = store.names.entries()[0];
  if (entry === undefined) throw new Error('no image');
  const index = { schemaVersion: 2 as const, mediaType: MEDIA_TYPE.ociIndex, manifests: [entry] };
  const encoded = encodeDocument(index);
  store.blobs.write(encoded.content);
  writeFileSync(
    join(store.root, 'index.json'),
    JSON.stringify({ ...index, manifests: [encoded.descriptor] }),
  );
  expect(prune(store, { all: true }).removed.filter(({ kind }) => kind === 'blob')).toEqual([]);
});

test('--all takes records and what was made of layers', () => {
  const store = openStore();
  const layer = addImage(store, 'app');
  const cached = addRecord(store, 'step');
  prune(store, { all: true });
  expect([layer, cached].map((digest) => store.blobs.has(digest))).toEqual([true, false]);
  expect(readdirSync(join(store.root, 'layers'))).toEqual([]);
});

test('a dry run names the same and removes nothing', () => {
  const store = openStore();
  addRecord(store, 'step');
  const { removed, reclaimed } = prune(store, { all: true, dryRun: true });
  expect(prune(store, { all: true })).toMatchObject({ removed, reclaimed, busy: false });
});

test('until takes old records, keep-storage all but the ones used last', () => {
  const store = openStore();
  const layers = [0, 1, 2, 3].map((days) => addRecord(store, `step ${days}`, days));
  const there = () => layers.map((digest) => store.blobs.has(digest));
  prune(store, { maxAge: 2.5 * DAY });
  expect(there()).toEqual([true, true, true, false]);
  prune(store, { keepStorage: 2500 });
  expect(there()).toEqual([true, true, false, false]);
  store.records.get(digestOf('step 1'));
  prune(store, { keepStorage: 1300 });
  expect(there()).toEqual([false, true, false, false]);
});

test('records without their layer, damaged ones and leftovers go', () => {
  const store = openStore();
  const gone = addRecord(store, 'gone');
  rmSync(store.blobs.path(gone));
  const key = hexOf(digestOf('damaged'));
  store.records.put({
    key: digestOf('damaged'),
    parts: [],
    layer: { diffId: gone, tarSize: 1, created: '' },
  });
  writeFileSync(join(store.root, 'cache', key.slice(0, 2), key), '{');
  const dead = join(store.temporary, 'session-dead');
  store.openSession().close();
  writeFileSync(dead, '');
  utimesSync(dead, 1, 1);
  expect(prune(store).removed.map(({ kind }) => kind)).toEqual(['record', 'record', 'layer', 'leftover']);
  expect(readdirSync(store.temporary)).toEqual([]);
});

test('snapshots go with their chains, and stay with records that lead to them', () => {
  const store = openStore();
  const diffId = addRecord(store, 'step');
  const session = store.openSession();
  const named = store.layers.adoptSnapshot(session.makeDirectory('a'));
  store.layers.nameSnapshot(named, diffId);
  const unnamed = store.layers.adoptSnapshot(session.makeDirectory('b'));
  session.close();
  prune(store);
  expect([named, unnamed].map(existsSync)).toEqual([true, false]);
  prune(store, { all: true });
  expect(readdirSync(join(store.root, 'snapshots'))).toEqual([]);
  expect(readdirSync(join(store.root, 'chains'))).toEqual([]);
});

test('beside a session, what is younger than it or ten minutes, or was used since, stays', () => {
  const store = openStore();
  const session = store.openSession();
  onTestFinished(() => session.close());
  const fresh = addLayer(store, 'fresh');
  const cached = addRecord(store, 'step', 30);
  const leftover = join(session.directory, 'work');
  writeFileSync(leftover, '');
  const report = prune(store, { all: true, maxAge: DAY });
  expect(report).toMatchObject({ removed: [], busy: true });
  // Twenty minutes later, from the collector's point of view, the session is what counts.
  expect(prune(store, { all: true, now: Date.now() + 1_200_000 }).removed).toEqual([]);
  expect([fresh, cached].every((digest) => store.blobs.has(digest))).toBe(true);
});

test('lists of files stay as long as a record names them', async () => {
  const store = openStore();
  const list = (text: string) => ({ digest: digestOf(text), pieces: [text.slice(0, 3), text.slice(3)] });
  const [named, orphan] = [list('"a" file 420 0:0\n'), list('"b" file 420 0:0\n')];
  await Promise.all([named, orphan].map((each) => store.fileLists.put(each)));
  const diffId = addLayer(store, 'layer');
  const parts = [['source 0', JSON.stringify(['files', named.digest])]] as const;
  store.records.put({ key: digestOf('key'), parts, layer: { diffId, tarSize: 5, created: '' } });
  expect(prune(store).removed.map(({ name }) => name)).toEqual([hexOf(orphan.digest)]);
  expect(store.fileLists.get(named.digest)).toBe('"a" file 420 0:0\n');
  expect(store.fileLists.get(orphan.digest)).toBeUndefined();
  writeFileSync(join(store.root, 'cache/trees', hexOf(orphan.digest)), 'no list');
  expect(store.fileLists.get(orphan.digest)).toBeUndefined();
});

test('a record whose layer came as a blob stays while the blob is there, and keeps it', () => {
  const store = openStore();
  const content = 'as fetched';
  const digest = store.blobs.write(content);
  const blob = { mediaType: MEDIA_TYPE.ociLayerGzip, digest, size: content.length };
  const key = digestOf('step');
  const layer = { diffId: digestOf('its tar'), tarSize: 1000, created: '', blob };
  store.records.put({ key, parts: [['parent', 'scratch']], layer });
  expect(prune(store).removed).toEqual([]);
  expect(store.records.get(key)?.layer).toEqual(layer);
  rmSync(store.blobs.path(digest));
  expect(prune(store).removed).toMatchObject([{ kind: 'record', name: hexOf(key) }]);
});

function addMount(store: Store, name: string, daysOld: number): string {
  const path = join(store.root, 'mounts', name);
  mkdirSync(join(path, 'data'), { recursive: true });
  writeFileSync(join(path, 'data', 'file'), 'x'.repeat(1000));
  writeFileSync(join(path, 'lock'), '');
  const time = new Date(Date.now() - daysOld * DAY);
  utimesSync(join(path, 'lock'), time, time);
  return path;
}

test('cache mounts go by last use, with the records; one in use stays', () => {
  const store = openStore();
  const mounts = [0, 1, 2, 3].map((days) => addMount(store, `m${days}`, days));
  const layer = addRecord(store, 'step', 1.5);
  const there = () => mounts.map(existsSync);
  expect(prune(store).removed).toEqual([]);
  expect(prune(store, { maxAge: 2.5 * DAY }).removed).toEqual([{ kind: 'mount', name: 'm3', size: 1000 }]);
  expect(there()).toEqual([true, true, true, false]);
  // Two mounts and the record fit, the third mount does not.
  prune(store, { keepStorage: 3500 });
  expect([...there(), store.blobs.has(layer)]).toEqual([true, true, false, false, true]);
  prune(store, { keepStorage: 2500 });
  expect([...there(), store.blobs.has(layer)]).toEqual([true, true, false, false, false]);
  const fd = openSync(join(mounts[0] ?? '', 'lock'), 'r');
  lockFile(fd, 'shared', true);
  prune(store, { all: true });
  expect(there()).toEqual([true, false, false, false]);
  closeSync(fd);
  prune(store, { all: true, leaveTrees: true });
  expect(there()).toEqual([true, false, false, false]);
  prune(store, { all: true });
  expect(there()).toEqual([false, false, false, false]);
});

test('a grace keeps what was used lately, whatever the limit', () => {
  const store = openStore();
  const layers = [addRecord(store, 'new'), addRecord(store, 'old', 1)];
  prune(store, { keepStorage: 0, grace: DAY / 2 });
  expect(layers.map((digest) => store.blobs.has(digest))).toEqual([true, false]);
});

test('without directories, their names stay with them', () => {
  const store = openStore();
  const diffId = addRecord(store, 'step');
  const session = store.openSession();
  const snapshot = store.layers.adoptSnapshot(session.makeDirectory('a'));
  store.layers.nameSnapshot(snapshot, diffId);
  session.close();
  const report = prune(store, { all: true, leaveTrees: true });
  expect(report.removed.map(({ kind }) => kind)).not.toContain('snapshot');
  expect(store.layers.peekSnapshot(diffId)).toBe(snapshot);
  expect(prune(store, { all: true }).removed.map(({ kind }) => kind)).toEqual(['snapshot']);
});
