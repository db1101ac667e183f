/** Layer work in threads. */
import { existsSync, writeFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { BuildError } from '../../src/errors.ts';
import { LayerPool } from '../../src/layer/layer-pool.ts';
import { loadToc } from '../../src/layer/toc-file.ts';
import { entry, file, outline, Place } from './layers.ts';

const signal = new AbortController().signal;

function pool(threads: number): LayerPool {
  const made = new LayerPool({ threads });
  onTestFinished(() => made.close());
  return made;
}

test('every kind of job', async () => {
  const place = new Place();
  const threads = pool(2);
  const items = [file('a/\xff', 'bytes'), { entry: entry('l', { type: 'symlink', linkTarget: 'a' }) }];
  const packed = await threads.run('packTree', { items, output: place.output() }, signal);
  const upper = place.script('mkdir d; echo x > d/f');
  const changes = await threads.run('packSnapshot', { upper, lowers: [], output: place.output() }, signal);
  expect(outline(loadToc(changes.tocPath))).toEqual(['d/', 'd/f']);
  const tar = packed.blobs[0]?.path ?? '';
  const gzip = { tar, compression: 'gzip', level: 9, path: place.path('gzip') } as const;
  const compressed = await threads.run('compress', gzip, signal);
  const blob = { blob: compressed.path, compression: 'gzip', diffId: packed.diffId } as const;
  const [toc, again] = [place.path('toc'), place.path('tar')];
  await threads.run('scan', { ...blob, toc, tar: again }, signal);
  expect(outline(loadToc(toc))).toEqual(['a/\xff', 'l -> a']);
  const directory = place.make('unpacked');
  const { incomplete } = await threads.run('unpack', { ...blob, toc, directory }, signal);
  expect(incomplete.directories).toEqual(['a']);
  await threads.run('complete', { directory, lowers: [upper], incomplete }, signal);
});

test.each([
  ['a small job', 3],
  ['a thread', 3 << 20],
])('an error of %s keeps its code, message and ways out', async (_where, size) => {
  const place = new Place();
  const threads = pool(1);
  const items = [{ entry: entry('f', { size }), content: { kind: 'file', path: '/nowhere' } as const }];
  const error: unknown = await threads
    .run('packTree', { items, output: place.output() }, signal)
    .catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(BuildError);
  expect(error).toMatchObject({
    code: 'COPY_FILE_CHANGED',
    message: '/nowhere changed while it was being copied',
    suggestions: [expect.stringContaining('run the build again') as string],
  });
  const other = threads.run(
    'compress',
    { tar: '/nowhere', compression: 'gzip', level: 1, path: place.path('never') },
    signal,
  );
  await expect(other).rejects.toMatchObject({ code: 'ENOENT' });
});

test('an abort ends the wait at once, and a closed pool takes nothing', async () => {
  const place = new Place();
  const threads = new LayerPool({ threads: 1 });
  const path = place.path('big');
  writeFileSync(path, Buffer.alloc(50 << 20, 'x'));
  const items = [{ entry: entry('f', { size: 50 << 20 }), content: { kind: 'file', path } as const }];
  const abort = new AbortController();
  const output = place.output({ forms: [{ compression: 'gzip', level: 9 }] });
  const working = threads.run('packTree', { items, output }, abort.signal);
  setTimeout(() => abort.abort(new Error('stopped')), 50);
  await expect(working).rejects.toThrow('stopped');
  await expect(threads.run('packTree', { items, output }, abort.signal)).rejects.toThrow('stopped');
  const left = threads
    .run('packTree', { items, output: place.output() }, signal)
    .catch((error: unknown) => error);
  await threads.close();
  expect(await left).toBeInstanceOf(Error);
  await expect(threads.run('packTree', { items, output }, signal)).rejects.toThrow('closed');
  expect(existsSync(path)).toBe(true);
});

test('many jobs share few threads', async () => {
  const place = new Place();
  const threads = pool(2);
  const forms = [{ compression: 'gzip', level: 1 }] as const;
  const jobs = Array.from({ length: 12 }, (_, i) => {
    const items = [file(`f${i}`, Buffer.alloc(3 << 20, `${i}`))];
    return threads.run('packTree', { items, output: place.output({ forms }) }, signal);
  });
  const layers = await Promise.all(jobs);
  expect(new Set(layers.map(({ diffId }) => diffId)).size).toBe(12);
  const alone = await place.pack([file('f7', Buffer.alloc(3 << 20, '7'))], { forms });
  expect(layers[7]?.blobs.map(({ digest }) => digest)).toEqual(alone.blobs.map(({ digest }) => digest));
});

test('few files take no thread, many or large ones do, and both give the same layer', async () => {
  const place = new Place();
  const few = place.script('mkdir d; for i in 1 2 3; do echo $i > d/$i; done; ln -s d/1 l; ln d/2 d/two');
  const many = place.script('mkdir d; for i in $(seq 100); do echo $i > d/$i; done');
  const large = place.script('head -c 3000000 /dev/zero > f');
  const bare = async (upper: string) => {
    const workers = process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;
    const threads = pool(1);
    const output = place.output();
    const { diffId } = await threads.run('packSnapshot', { upper, lowers: [], output }, signal);
    const started =
      process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length > workers;
    await threads.close();
    const inThread = new LayerPool({ threads: 1 });
    // A thread that is there already takes small jobs too.
    await inThread.run('packSnapshot', { upper: large, lowers: [], output: place.output() }, signal);
    const again = await inThread.run('packSnapshot', { upper, lowers: [], output: place.output() }, signal);
    await inThread.close();
    expect(again.diffId).toBe(diffId);
    return started;
  };
  expect(await bare(few)).toBe(false);
  expect(await bare(many)).toBe(true);
  expect(await bare(large)).toBe(true);
});

test('closing waits for a small job', async () => {
  const place = new Place();
  const threads = new LayerPool({ threads: 1 });
  const output = place.output();
  const working = threads.run('packTree', { items: [file('a', 'bytes')], output }, signal);
  await threads.close();
  const { tocPath } = await working;
  expect(outline(loadToc(tocPath))).toEqual(['a']);
});
