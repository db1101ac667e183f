/** Another SOURCE_DATE_EPOCH for a layer that is packed already: the bytes that packing with it gives. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type LayerTimes, timesOn } from '../../src/layer/layer-times.ts';
import type { PackedLayer } from '../../src/layer/layer-writer.ts';
import type { PackItem } from '../../src/layer/pack-tree.ts';
import { retimeLayer } from '../../src/layer/retime.ts';
import { run } from '../setup/run.ts';
import { Place } from './layers.ts';

const BEGAN = 1_790_000_000;

function tarOf({ blobs }: PackedLayer): string {
  return blobs.find(({ compression }) => compression === 'uncompressed')?.path ?? '';
}

async function retimed(place: Place, layer: PackedLayer, times: LayerTimes, epoch: number) {
  const files = { toc: layer.tocPath, tar: tarOf(layer) };
  const output = place.output({ epoch, began: BEGAN, forms: [{ compression: 'gzip', level: 6 }] });
  const result = await retimeLayer({ layer: files, times, output });
  return { layer: result, times: timesOn(result.times, []) };
}

/** Times of their own: before, at and after any epoch below, and such that no tar field of old holds. */
const ownTime = fc.oneof(fc.integer({ min: -5, max: 12 }), fc.constantFrom(8 ** 11 - 1, 8 ** 11, 2 ** 40));
const epochOf = fc.oneof(fc.integer({ min: 0, max: 10 }), fc.constantFrom(BEGAN, 8 ** 11, 253_402_300_799));

/** A file; without an origin it is one that a process of the build has made. */
const made = fc.record({
  time: ownTime,
  origin: fc.constantFrom('build', 'source', undefined),
  kind: fc.constantFrom('file', 'empty', 'directory', 'hardlink', 'symlink', 'whiteout'),
});

function itemsOf(
  files: readonly { time: number; origin: 'build' | 'source' | undefined; kind: string }[],
): PackItem[] {
  const bytes = Buffer.from('first');
  const common = { mode: 0o4755, uid: 1, gid: 3_000_000, size: 0 };
  const first = { ...common, path: 'first', type: 'file', mtime: 1, size: bytes.length } as const;
  return [
    { entry: first, content: { kind: 'bytes', bytes }, origin: 'source' },
    ...files.map(({ time, origin, kind }, number): PackItem => {
      const path = `${'ü'.repeat(number * 9)}${number}`.replaceAll('ü', '\xfc');
      const entry = { ...common, path, mtime: origin === undefined ? BEGAN + Math.abs(time) : time };
      switch (kind) {
        case 'file': {
          const own = Buffer.alloc(number * 700 + 1, number);
          const xattrs = { 'user.b': '\x00\xff', 'user.a': 'x' };
          return {
            entry: { ...entry, type: 'file', size: own.length, xattrs },
            content: { kind: 'bytes', bytes: own },
            origin,
          };
        }
        case 'hardlink':
          return { entry: { ...entry, type: 'hardlink', linkTarget: 'first' }, origin };
        case 'symlink':
          return { entry: { ...entry, type: 'symlink', linkTarget: '\xfcber' }, origin };
        case 'directory':
        case 'whiteout':
          return { entry: { ...entry, type: kind }, origin };
        default:
          return { entry: { ...entry, type: 'file' }, origin };
      }
    }),
  ];
}

test('from any epoch or none over any others, it is the layer that was packed with the last', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(made, { maxLength: 12 }),
      fc.option(epochOf, { nil: undefined }),
      fc.array(epochOf, { minLength: 1, maxLength: 3 }),
      async (files, first, others) => {
        // Later than the build: what processes make would show when they made it, in every build something else.
        const sane = files.some(({ origin }) => origin === undefined)
          ? others.filter((epoch) => epoch <= BEGAN)
          : others;
        const last = sane.at(-1) ?? 3;
        const place = new Place();
        const items = itemsOf(files);
        const start = sane.includes(first ?? 0) || (first ?? 0) <= BEGAN ? first : undefined;
        let layer: PackedLayer = await place.pack(items, { epoch: start, began: BEGAN });
        let times = timesOn(layer.times, []);
        for (const epoch of [...sane, last]) {
          ({ layer, times } = await retimed(place, layer, times, epoch));
        }
        const cold = await place.pack(items, {
          epoch: last,
          began: BEGAN,
          forms: [{ compression: 'gzip', level: 6 }],
        });
        expect(layer.diffId).toBe(cold.diffId);
        expect(layer.blobs.map(({ digest }) => digest)).toEqual(cold.blobs.map(({ digest }) => digest));
        expect(readFileSync(tarOf(layer)).equals(readFileSync(tarOf(cold)))).toBe(true);
        expect(times).toEqual(timesOn(cold.times, []));
      },
    ),
    { numRuns: 60 },
  );
});

test('GNU tar lists the new times and the same bytes', async () => {
  const place = new Place();
  const layer = await place.pack(
    itemsOf([
      { time: 5, origin: 'source', kind: 'file' },
      { time: 9, origin: 'build', kind: 'directory' },
    ]),
    {
      epoch: undefined,
      began: BEGAN,
    },
  );
  const { layer: now } = await retimed(place, layer, timesOn(layer.times, []), 7);
  const listed = run('tar', ['--full-time', '-tvf', tarOf(now)], { env: { TZ: 'UTC' } });
  expect(listed.match(/1970-01-01 00:00:0\d/g)).toEqual(
    [1, 5, 7].map((second) => `1970-01-01 00:00:0${second}`),
  );
  const [before, after] = [layer, now].map((each) => run('tar', ['-xOf', tarOf(each), 'first', '0']));
  expect(after).toBe(before);
});

describe('what a layer was made from', () => {
  const packed = { carried: [5, 10, 20] };

  test('with an epoch: what has it as its time is not later than what was lost below', () => {
    expect(timesOn({ ...packed, epoch: 10 }, [{ epoch: 10 }])).toEqual({ epoch: 10 });
    expect(timesOn({ ...packed, epoch: 11 }, [{ epoch: 11, until: 15 }])).toEqual({ epoch: 11 });
    const below = [undefined, { epoch: 10, until: 30 }, { epoch: 10, told: [[3, 1, 25]] as const }];
    expect(timesOn({ ...packed, epoch: 10 }, below)).toEqual({ epoch: 10, until: 25 });
  });

  test('without: a time may be one that a build gave from the earliest of those on', () => {
    expect(timesOn(packed, [undefined, {}])).toEqual({});
    expect(timesOn(packed, [{ since: 30 }])).toEqual({});
    expect(timesOn(packed, [{ since: 6 }, { epoch: 8 }])).toEqual({ until: 10, since: 10 });
  });

  test('too many times for a record are summed up', async () => {
    const place = new Place();
    const files = Array.from({ length: 600 }, (_, number) => ({
      time: 100 + number,
      origin: number % 2 === 0 ? ('source' as const) : ('build' as const),
      kind: 'empty',
    }));
    const real = await place.pack(itemsOf(files), { epoch: undefined });
    expect(timesOn(real.times, [])).toEqual({ until: 101, since: 101 });
    const early = await place.pack(itemsOf(files), { epoch: 50 });
    expect(timesOn(early.times, [])).toEqual({ epoch: 50, until: 100 });
    const { layer: now } = await retimed(place, early, timesOn(early.times, []), 100);
    expect(now.diffId).toBe((await place.pack(itemsOf(files), { epoch: 100 })).diffId);
  });
});

test('a damaged table of contents, or bytes that are gone, leave nothing', async () => {
  const place = new Place();
  const layer = await place.pack(itemsOf([]));
  const output = place.output({ epoch: 1 });
  const toc = place.path('toc');
  const tar = tarOf(layer);
  await expect(retimeLayer({ layer: { toc, tar }, times: {}, output })).rejects.toMatchObject({
    code: 'STORE_CORRUPT_TOC',
  });
  const gone = { toc: layer.tocPath, tar: place.path('gone') };
  const other = place.output({ epoch: 1 });
  await expect(retimeLayer({ layer: gone, times: {}, output: other })).rejects.toMatchObject({
    code: 'COPY_FILE_CHANGED',
  });
  expect(run('ls', ['-A', place.directory])).not.toContain('layer.tar');
});
