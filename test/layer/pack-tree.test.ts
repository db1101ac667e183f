/** Layers from lists of entries: one pass, several forms, always the same bytes. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { makeCompressor } from '../../src/layer/compress.ts';
import { compressTar } from '../../src/layer/compress-tar.ts';
import { packTree } from '../../src/layer/pack-tree.ts';
import { loadToc } from '../../src/layer/toc-file.ts';
import { run } from '../setup/run.ts';
import { entry, file, listTar, Place, sha256Of } from './layers.ts';

const FORMS = [
  { compression: 'gzip', level: undefined },
  { compression: 'zstd', level: undefined },
] as const;

/** Compresses well in parts, so that later blocks are done before earlier ones. */
function uneven(size: number): Buffer {
  const bytes = randomBytes(size);
  for (let at = 0; at < size; at += 5 << 20) bytes.fill('a', at, Math.min(size, at + (2 << 20)));
  return bytes;
}

test('tar, gzip and zstd hold the same bytes and have the digests and sizes they say', async () => {
  const place = new Place();
  // More than is ever under way at a time, and no whole number of blocks.
  const big = uneven(45 * 1_000_003);
  const { blobs, diffId, tarSize, tocPath } = await place.pack([file('big', big), file('small', 'abc')], {
    forms: FORMS,
  });
  expect(blobs.map(({ compression, mediaType }) => [compression, mediaType])).toEqual([
    ['uncompressed', 'application/vnd.oci.image.layer.v1.tar'],
    ['gzip', 'application/vnd.oci.image.layer.v1.tar+gzip'],
    ['zstd', 'application/vnd.oci.image.layer.v1.tar+zstd'],
  ]);
  for (const { path, digest, size } of blobs) {
    expect(digest).toBe(sha256Of(path));
    expect(size).toBe(statSync(path).size);
  }
  const [tar, gzip, zstd] = blobs.map(({ path }) => path) as [string, string, string];
  expect(diffId).toBe(sha256Of(tar));
  expect(tarSize).toBe(statSync(tar).size);
  run('gzip', ['-t'], { input: readFileSync(gzip) });
  run('zstd', ['-tq', zstd]);
  const plain = readFileSync(tar);
  expect(gunzipSync(readFileSync(gzip)).equals(plain)).toBe(true);
  expect(zstdDecompressSync(readFileSync(zstd)).equals(plain)).toBe(true);
  const toc = loadToc(tocPath);
  expect(toc.diffId).toBe(diffId);
  const found = toc.entries.map(({ offset = 0, size }) => plain.subarray(offset, offset + size));
  expect(toc.entries.map(({ path }) => path)).toEqual(['big', 'small']);
  expect(found[0]?.equals(big)).toBe(true);
  expect(found[1]?.toString()).toBe('abc');
});

test('thousands of small files stay in order in every form', async () => {
  const place = new Place();
  const items = Array.from({ length: 6000 }, (_, i) => file(`f${i}`, uneven(100 + ((i * 7919) % 4000))));
  const { blobs } = await place.pack(items, { forms: FORMS });
  const [tar, gzip, zstd] = blobs.map(({ path }) => readFileSync(path)) as [Buffer, Buffer, Buffer];
  expect(gunzipSync(gzip).equals(tar)).toBe(true);
  expect(zstdDecompressSync(zstd).equals(tar)).toBe(true);
});

test('compressed bytes depend on content and level alone', async () => {
  const place = new Place();
  const content = uneven(11_500_000);
  for (const compression of ['gzip', 'zstd'] as const) {
    const digests = new Set<string>();
    for (const pieces of [content.length, 1 << 20, 65_537, 3_000_001]) {
      const compressor = makeCompressor({ compression, level: 5, path: place.path(compression) });
      for (let at = 0; at < content.length; at += pieces)
        await compressor.push(content.subarray(at, at + pieces));
      digests.add((await compressor.finish()).digest);
    }
    const tar = place.path('tar');
    writeFileSync(tar, content);
    digests.add((await compressTar({ tar, compression, level: 5, path: place.path('again') })).digest);
    expect(digests.size).toBe(1);
    const other = await compressTar({ tar, compression, level: 1, path: place.path('other') });
    expect(digests).not.toContain(other.digest);
  }
});

test('nothing at all compresses to a valid blob', async () => {
  const place = new Place();
  for (const compression of ['gzip', 'zstd'] as const) {
    const path = place.path(compression);
    await makeCompressor({ compression, level: undefined, path }).finish();
    const bytes = readFileSync(path);
    expect(compression === 'gzip' ? gunzipSync(bytes) : zstdDecompressSync(bytes)).toHaveLength(0);
  }
});

test('times later than the clamp are set to it, earlier ones stay', async () => {
  const place = new Place();
  const items = [file('new', 'x', { mtime: 2000 }), file('old', 'x', { mtime: 500 })];
  const { blobs, tocPath } = await place.pack(items, { epoch: 1000 });
  expect(listTar(blobs[0]?.path ?? '').map((line) => line.split(' ')[5])).toEqual(['1000', '500']);
  expect(loadToc(tocPath).entries.map(({ mtime }) => mtime)).toEqual([1000, 500]);
});

test('content comes from files, from parts of files and from memory', async () => {
  const place = new Place();
  const path = place.path('source');
  writeFileSync(path, '0123456789'.repeat(400_000));
  const size = 4_000_000;
  const { blobs, tocPath } = await place.pack([
    { entry: entry('whole', { size }), content: { kind: 'file', path } },
    { entry: entry('part', { size: 5 }), content: { kind: 'range', path, offset: 13, size: 5 } },
    {
      entry: entry('large', { size: size - 1 }),
      content: { kind: 'range', path, offset: 1, size: size - 1 },
    },
    { entry: entry('none') },
  ]);
  const tar = readFileSync(blobs[0]?.path ?? '');
  const sums = loadToc(tocPath).entries.map(({ offset = 0, size: length }) =>
    createHash('sha1')
      .update(tar.subarray(offset, offset + length))
      .digest('hex'),
  );
  const sha1 = (text: Buffer | string): string => createHash('sha1').update(text).digest('hex');
  const source = readFileSync(path);
  expect(sums).toEqual([sha1(source), sha1('34567'), sha1(source.subarray(1)), sha1('')]);
});

test.each([
  ['shorter', 'printf abc > f'],
  ['longer', 'printf abcdefghij > f'],
  ['gone', 'rm f'],
  ['a symlink', 'rm f; ln -s other f'],
  ['a pipe', 'rm f; mkfifo f'],
])('a file that became %s is named and leaves nothing behind', async (_, change) => {
  const place = new Place();
  const files = place.script(`printf abcdef > f; printf abcdef > other; ${change}`);
  const output = place.output({ forms: FORMS });
  const content = { kind: 'file', path: `${files}/f` } as const;
  const packing = packTree([{ entry: entry('app/f', { size: 6 }), content }], output);
  await expect(packing).rejects.toMatchObject({
    code: 'COPY_FILE_CHANGED',
    message: `${files}/f changed while it was being copied`,
  });
  expect(existsSync(output.directory)).toBe(false);
});

test('a name that would delete another file is refused', async () => {
  const place = new Place();
  const packing = place.pack([file('app/.wh.config', '')]);
  await expect(packing).rejects.toMatchObject({ code: 'LAYER_RESERVED_NAME' });
});

test('a full disk is called a full disk', async () => {
  const place = new Place();
  const mount = place.make('small');
  run('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', mount]);
  try {
    const items = [file('big', randomBytes(8 << 20))];
    for (const forms of [[], FORMS]) {
      const output = { directory: `${mount}/out`, forms, epoch: undefined };
      run('mkdir', [output.directory]);
      await expect(packTree(items, output)).rejects.toMatchObject({ code: 'STORE_DISK_FULL' });
    }
  } finally {
    run('umount', ['-l', mount]);
  }
});
