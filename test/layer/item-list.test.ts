/** Items on their way to another thread. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ENTRY_TYPES, type Entry } from '../../src/layer/entry.ts';
import type { FileContent } from '../../src/layer/file-tree.ts';
import { decodeItems, encodeItems, type ItemList } from '../../src/layer/item-list.ts';
import { jobMessage } from '../../src/layer/job-message.ts';
import type { PackItem } from '../../src/layer/pack-tree.ts';
import { entry, file } from './layers.ts';

const byteString = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
});
const device = fc.integer({ min: 0, max: 0xfffff });
const whole = fc.integer({ min: -(2 ** 40), max: 2 ** 40 });

const entries: fc.Arbitrary<Entry> = fc.record(
  {
    path: byteString,
    type: fc.constantFrom(...ENTRY_TYPES),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    gid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    mtime: whole,
    size: fc.nat().map((size) => size * 1024),
    linkTarget: byteString,
    devMajor: device,
    devMinor: device,
    xattrs: fc.dictionary(byteString, byteString, { noNullPrototype: true }),
  },
  { requiredKeys: ['path', 'type', 'mode', 'uid', 'gid', 'mtime', 'size'] },
);

const contents: fc.Arbitrary<FileContent> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('file' as const),
      path: byteString,
      mtimeMs: fc.double({ noNaN: true }),
      ino: fc.maxSafeNat(),
    },
    { requiredKeys: ['kind', 'path'] },
  ),
  fc.record({
    kind: fc.constant('range' as const),
    path: fc.constantFrom('/store/one', '/store/other', ''),
    offset: fc.maxSafeNat(),
    size: fc.maxSafeNat(),
  }),
  fc.record({
    kind: fc.constant('bytes' as const),
    bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  }),
);

const items: fc.Arbitrary<PackItem> = fc.record(
  { entry: entries, content: contents, origin: fc.constantFrom('build' as const, 'source' as const) },
  { requiredKeys: ['entry'] },
);

/** As another thread gets it. */
function sent(list: readonly PackItem[]): ItemList {
  const { message, transfer } = jobMessage(7, 'layOut', { items: list, directory: '/d' });
  const { id, name, request } = structuredClone(message, { transfer });
  expect({ id, name }).toEqual({ id: 7, name: 'layOut' });
  return (request as { items: ItemList }).items;
}

test('items come back as they were, in their order', () => {
  fc.assert(
    fc.property(fc.array(items, { maxLength: 30 }), (list) => {
      // Bytes of a buffer arrive as bytes.
      const plain = list.map(({ content, ...item }) => ({
        ...item,
        content: content?.kind === 'bytes' ? { ...content, bytes: Uint8Array.from(content.bytes) } : content,
      }));
      expect([...decodeItems(sent(list))]).toEqual(plain);
    }),
    { numRuns: 300 },
  );
});

test('many items take no object each on their way', () => {
  const list = Array.from(
    { length: 5000 },
    (_, index): PackItem => ({
      entry: entry(`directory/file ${index}`, { size: 1 }),
      content: { kind: 'file', path: `/context/file ${index}`, mtimeMs: index + 0.5, ino: index },
      origin: 'build',
    }),
  );
  const { rare, names, numbers } = encodeItems(list);
  expect(rare).toEqual([]);
  expect((names.length + numbers.byteLength) / list.length).toBeLessThan(120);
  expect([...decodeItems(sent(list))]).toEqual(list);
});

test('a list is read item by item', () => {
  const list = sent([file('a', 'x'), file('b', 'y')]);
  const first = decodeItems(list).next();
  expect(first).toMatchObject({ done: false, value: { entry: { path: 'a' } } });
});
