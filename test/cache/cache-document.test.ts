import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type CacheContent,
  decodeCache,
  encodeCache,
  type KeptLayer,
  type KeptRecord,
} from '../../src/cache/cache-document.ts';
import { mergeCaches, saysTheSame } from '../../src/cache/merge-caches.ts';
import { digestOf, type KeyPart, MEDIA_TYPE } from '../../src/image/descriptor.ts';
import { keyOf } from '../../src/plan/cache-key.ts';

const NOW = 1_700_000_000;
const HOUR = 3600;

function layer(name: string, size = 100): KeptLayer {
  const descriptor = { mediaType: MEDIA_TYPE.ociLayerGzip, digest: digestOf(`blob ${name}`), size };
  return { diffId: digestOf(name), tarSize: size * 2, descriptor, form: 'gzip-6' };
}

function record(name: string, used = NOW, more: Partial<KeptRecord> = {}): KeptRecord {
  const parts: KeyPart[] = [
    ['format', '1'],
    ['argv', name],
  ];
  return { key: keyOf(parts), parts, diffId: digestOf(name), created: '2026-01-02T03:04:05Z', used, ...more };
}

function content(names: readonly string[], used = NOW, size = 100): CacheContent {
  return {
    records: names.map((name) => record(name, used)),
    layers: new Map(names.map((name) => [digestOf(name), layer(name, size)])),
    lists: new Map(),
    aliases: [],
  };
}

const blobsOf = ({ layers, lists }: CacheContent) => [
  ...[...layers.values()].map(({ descriptor }) => descriptor),
  ...lists.values(),
];

/** The document with something changed. */
function spoilt(change: (json: { layers: Json[]; records: Json[] } & Json) => void) {
  const good = content(['one', 'two', 'three']);
  const json = JSON.parse(encodeCache(good).toString('utf8')) as { layers: Json[]; records: Json[] } & Json;
  change(json);
  return decodeCache(Buffer.from(JSON.stringify(json)), blobsOf(good));
}
type Json = Record<string, unknown>;

describe('the document of a cache', () => {
  test('comes back as it was written', () => {
    const list = { mediaType: 'application/vnd.kiln.cache.files.v1+zstd', digest: digestOf('z'), size: 3 };
    const { key, parts } = record('copied');
    const aliases = [{ key, parts, contentKey: digestOf('by content'), used: NOW }];
    const times = {
      epoch: NOW,
      told: [
        [0, 3, null],
        [5, 1, -7],
      ] as const,
      until: NOW + 1,
      since: 4,
    };
    const timed = {
      ...content(['one', 'two']),
      records: [record('one', NOW, { times: {} }), record('two', NOW, { times })],
    };
    const good = { ...timed, lists: new Map([[digestOf('list'), list]]), aliases };
    const read = decodeCache(encodeCache(good), blobsOf(good));
    expect(read).toEqual({ ...good, refused: [] });
  });

  test.each([
    [
      'a part is another',
      (json: Spoilt) => set(json.records[1], 'parts', [['format', '2']]),
      'not the one of its parts',
    ],
    [
      'the key is another',
      (json: Spoilt) => set(json.records[1], 'key', digestOf('x')),
      'not the one of its parts',
    ],
    [
      'the key is no digest',
      (json: Spoilt) => set(json.records[1], 'key', '../../etc/passwd'),
      'its key is no digest',
    ],
    ['parts are no pairs', (json: Spoilt) => set(json.records[1], 'parts', [['a']]), 'no pair of texts'],
    ['the layer is not there', (json: Spoilt) => set(json.records[1], 'layer', 9), 'its layer is missing'],
    [
      'the layer is a name',
      (json: Spoilt) => set(json.records[1], 'layer', '__proto__'),
      'its layer is missing',
    ],
    [
      'a time of its layer is none',
      (json: Spoilt) => set(json.records[1], 'times', { epoch: '5' }),
      'a time of its layer',
    ],
    [
      'its times are no list',
      (json: Spoilt) => set(json.records[1], 'times', { told: [[1]] }),
      'its times are no',
    ],
    ['the time is none', (json: Spoilt) => set(json.records[1], 'created', 'now'), 'its time is none'],
    [
      'the last use is negative',
      (json: Spoilt) => set(json.records[1], 'used', -1),
      'its last use is no time',
    ],
    [
      'the content key is a path',
      (json: Spoilt) => set(json.records[1], 'contentKey', '../x'),
      'content key',
    ],
    [
      'the blob is not in the manifest',
      (json: Spoilt) => set(json.layers[1], 'blob', digestOf('x')),
      'not in the manifest',
    ],
    [
      'the DiffID is a path',
      (json: Spoilt) => set(json.layers[1], 'diffId', 'sha256:../../x'),
      'its DiffID is no digest',
    ],
    ['the size is none', (json: Spoilt) => set(json.layers[1], 'tarSize', 1.5), 'its tar has no size'],
    [
      'what it stands on is a path',
      (json: Spoilt) => set(json.records[1], 'below', ['../x']),
      'no list of digests',
    ],
    ['it is null', (json: Spoilt) => json.records.splice(1, 1, null as unknown as Json), 'it is no object'],
  ])('where %s, only that item is left out', (_, change, why) => {
    const read = spoilt(change);
    expect(read?.records.map(({ diffId }) => diffId)).toEqual([digestOf('one'), digestOf('three')]);
    expect(read?.refused.join('\n')).toContain(why);
  });

  test('an alias whose key is not that of its parts is left out', () => {
    const { parts } = record('copied');
    const contentKey = digestOf('x');
    const read = spoilt((json) =>
      set(json, 'aliases', [{ key: digestOf('y'), parts, contentKey, used: NOW }]),
    );
    expect(read?.aliases).toEqual([]);
    expect(read?.refused).toHaveLength(1);
  });

  test('another version, or no JSON at all, is no document', () => {
    expect(spoilt((json) => set(json, 'version', 2))).toBeUndefined();
    expect(decodeCache(Buffer.from('{"version":1,'), [])).toBeUndefined();
    expect(decodeCache(Buffer.from(`${'['.repeat(500_000)}`), [])).toBeUndefined();
    expect(decodeCache(Buffer.from('null'), [])).toBeUndefined();
  });

  test('whatever JSON it is, reading never throws, and what is read is whole', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.array(fc.jsonValue()), (layers, records) => {
        const text = JSON.stringify({ version: 1, layers, records, lists: records });
        const read = decodeCache(Buffer.from(text), []);
        expect(read?.records).toEqual([]);
      }),
    );
  });
});

type Spoilt = { layers: Json[]; records: Json[] } & Json;
function set(target: Json | undefined, key: string, value: unknown): void {
  if (target !== undefined) target[key] = value;
}

describe('an export over what was there', () => {
  const bounds = { maxAge: 24 * HOUR * 1000, maxSize: undefined };

  test('keeps older records within their age, and drops the others with their layers', () => {
    const old = {
      ...content(['young', 'old']),
      records: [record('young', NOW - HOUR), record('old', NOW - 25 * HOUR)],
    };
    const merged = mergeCaches(old, content(['new']), { now: NOW, bounds });
    expect(merged.records.map(({ diffId }) => diffId)).toEqual([digestOf('new'), digestOf('young')]);
    expect([...merged.layers.keys()]).toEqual([digestOf('new'), digestOf('young')]);
    const none = mergeCaches(old, content(['new']), { now: NOW, bounds: { ...bounds, maxAge: 0 } });
    expect(none.records).toHaveLength(1);
  });

  test('keeps within a size what was used last', () => {
    const old = {
      ...content(['a', 'b', 'c']),
      records: [record('a', NOW - 3 * HOUR), record('b', NOW - HOUR), record('c', NOW - 2 * HOUR)],
    };
    const merged = mergeCaches(old, content(['new']), { now: NOW, bounds: { ...bounds, maxSize: 350 } });
    expect(merged.records.map(({ diffId }) => diffId)).toEqual(
      ['new', 'b', 'c'].map((name) => digestOf(name)),
    );
    expect(merged.size).toBe(300);
    const small = mergeCaches(old, content(['new', 'more'], NOW, 300), {
      now: NOW,
      bounds: { ...bounds, maxSize: 350 },
    });
    expect(small.dropped).toBe(1);
    expect(small.size).toBeLessThanOrEqual(350);
  });

  test('a layer that two records share counts once', () => {
    const shared = { ...content(['a']), records: [record('a'), record('b', NOW, { diffId: digestOf('a') })] };
    const merged = mergeCaches(undefined, shared, { now: NOW, bounds: { ...bounds, maxSize: 150 } });
    expect(merged.records).toHaveLength(2);
    expect(merged.size).toBe(100);
  });

  test('however much there is, the manifest and the records stay readable', () => {
    const names = Array.from({ length: 5000 }, (_, index) => `step ${index}`);
    const merged = mergeCaches(content(names, NOW - HOUR), content(['new']), { now: NOW, bounds });
    expect(merged.layers.size).toBeLessThanOrEqual(2000);
    expect(merged.records[0]?.diffId).toBe(digestOf('new'));
    const long = 'x'.repeat(1 << 20);
    const records = Array.from({ length: 40 }, (_, index) => record(`${long}${index}`));
    const layers = new Map(records.map(({ diffId }) => [diffId, { ...layer('a'), diffId }]));
    const large = mergeCaches(
      undefined,
      { records, layers, lists: new Map(), aliases: [] },
      { now: NOW, bounds },
    );
    expect(encodeCache(large).length).toBeLessThan(16 << 20);
    expect(large.dropped).toBeGreaterThan(0);
  });

  test('nothing is written when nothing is new; a last use grows old before it is refreshed', () => {
    const there = content(['a', 'b'], NOW - HOUR);
    const merge = (old: CacheContent, names: readonly string[]) =>
      mergeCaches(old, content(names), { now: NOW, bounds: { ...bounds, maxAge: 14 * bounds.maxAge } });
    const wide = { ...bounds, maxAge: 14 * bounds.maxAge };
    expect(saysTheSame(there, merge(there, ['b', 'a']), wide)).toBe(true);
    expect(saysTheSame(there, merge(there, ['a', 'c']), wide)).toBe(false);
    expect(saysTheSame(undefined, merge(there, ['a']), wide)).toBe(false);
    const stale = content(['a', 'b'], NOW - 30 * HOUR);
    expect(saysTheSame(stale, merge(stale, ['a', 'b']), wide)).toBe(false);
  });
});
