/** Layers that are damaged, lie, or want out of their directory: refused, and nothing stays. */
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { completeLayer } from '../../src/layer/complete-layer.ts';
import { run } from '../setup/run.ts';
import { file, outline, Place, pythonTar } from './layers.ts';

const ESCAPES: readonly (readonly [name: string, lines: string])[] = [
  ['a name with ..', "add('a/../../evil', data=b'x')"],
  ['an absolute name with ..', "add('/../evil', data=b'x')"],
  ['an absolute link followed', "add('out', SYM, linkname='/tmp'); add('out/evil', data=b'x')"],
  ['a link that climbs out', "add('out', SYM, linkname='../..'); add('out/evil', data=b'x')"],
  [
    'links that climb out together',
    "add('d', DIR); add('d/up', SYM, linkname='..'); add('out', SYM, linkname='d/up/..'); add('out/evil', data=b'x')",
  ],
  [
    'links that go round',
    "add('a', SYM, linkname='b'); add('b', SYM, linkname='a'); add('a/evil', data=b'x')",
  ],
  ['a directory through a link', "add('out', SYM, linkname='/tmp'); add('out/evil', DIR)"],
  ['a whiteout through a link', "add('out', SYM, linkname='/tmp'); add('out/.wh.evil')"],
  ['an opaque mark through a link', "add('out', SYM, linkname='/tmp'); add('out/.wh..wh..opq')"],
  ['a hard link to ..', "add('evil', LNK, linkname='../../etc/passwd')"],
  ['a hard link through a link', "add('out', SYM, linkname='/etc'); add('evil', LNK, linkname='out/passwd')"],
  ['a hard link to itself', "add('evil', LNK, linkname='evil')"],
  ['a file for the root', "add('.', data=b'x')"],
  ['a whiteout of nothing', "add('a', DIR); add('a/.wh.')"],
  ['a whiteout of the directory itself', "add('a', DIR); add('a/.wh..')"],
  ['a whiteout of the parent', "add('a', DIR); add('a/.wh...')"],
  ['a whiteout of the parent of the root', "add('.wh...')"],
];

test.each(ESCAPES)('%s is refused by name and leaves nothing', async (_, lines) => {
  const place = new Place();
  const tar = place.path('tar');
  const diffId = pythonTar(tar, lines);
  const before = readdirSync(place.directory).length;
  await expect(place.unpackFile({ blob: tar, diffId })).rejects.toMatchObject({ code: 'LAYER_UNSAFE_PATH' });
  expect(readdirSync(place.directory)).toHaveLength(before);
  expect(existsSync('/tmp/evil')).toBe(false);
  expect(existsSync(`${dirname(place.directory)}/evil`)).toBe(false);
});

test('a link inside the layer is followed inside the layer, the same in both readings', async () => {
  const place = new Place();
  const tar = place.path('tar');
  const diffId = pythonTar(
    tar,
    `
add('usr/lib', DIR); add('lib', SYM, linkname='usr/lib'); add('lib/x', data=b'1')
add('usr/lib/up', SYM, linkname='../bin'); add('lib/up/y'); add('hard', LNK, linkname='lib/x')`,
  );
  const paths = [
    'usr/lib/',
    'lib -> usr/lib',
    'usr/lib/x',
    'usr/lib/up -> ../bin',
    'usr/bin/y',
    'hard = usr/lib/x',
  ];
  const { directory, toc } = await place.unpackFile({ blob: tar, diffId });
  expect(outline(toc)).toEqual(paths);
  expect(outline(await place.scan({ blob: tar, diffId }))).toEqual(paths);
  expect(readFileSync(`${directory}/usr/lib/x`, 'latin1')).toBe('1');
  expect(existsSync(`${directory}/usr/bin/y`)).toBe(true);
});

test('leading slashes and dots are names inside the root', async () => {
  const place = new Place();
  const tar = place.path('tar');
  const diffId = pythonTar(tar, "add('/etc/shadow', data=b'x'); add('././a//b'); add('...', data=b'dots')");
  const { toc } = await place.unpackFile({ blob: tar, diffId });
  expect(outline(toc)).toEqual(['etc/shadow', 'a/b', '...']);
});

test('a layer cannot speak to overlayfs', async () => {
  const place = new Place();
  const tar = place.path('tar');
  const diffId = pythonTar(
    tar,
    `add('d', DIR, pax_headers={'SCHILY.xattr.user.overlay.redirect': '/secret', 'SCHILY.xattr.user.overlay.opaque': 'y', 'SCHILY.xattr.trusted.overlay.metacopy': '', 'SCHILY.xattr.user.fuseoverlayfs.opaque': 'y', 'SCHILY.xattr.user.mine': '1'})`,
  );
  const { directory, toc } = await place.unpackFile({ blob: tar, diffId });
  expect(toc.entries[0]?.xattrs).toEqual({ 'user.mine': '1' });
  expect(run('getfattr', ['-m', '-', '--absolute-names', `${directory}/d`])).not.toContain('overlay');
});

test('a move behind a link of a lower layer does not go through a link of this one', async () => {
  const place = new Place();
  const lower = place.script('mkdir -p usr/lib; ln -s usr/lib lib');
  const outside = place.make('outside');
  const tar = place.path('tar');
  const diffId = pythonTar(tar, `add('lib/evil', data=b'x'); add('usr', SYM, linkname='${outside}')`);
  const { directory, incomplete } = await place.unpackFile({ blob: tar, diffId });
  const complete = (): void => completeLayer({ directory, lowers: [lower], incomplete });
  expect(complete).toThrow(/leads to \/usr, which is no directory/);
  expect(readdirSync(outside)).toEqual([]);
});

test('a hard link to a file that is nowhere', async () => {
  const place = new Place();
  const lower = place.script('mkdir -p real; ln -s /etc out');
  for (const target of ['nowhere', 'real', 'out/passwd']) {
    const tar = place.path('tar');
    const diffId = pythonTar(tar, `add('evil', LNK, linkname='${target}')`);
    const { directory, incomplete } = await place.unpackFile({ blob: tar, diffId });
    expect(() => completeLayer({ directory, lowers: [lower], incomplete })).toThrow(/hard link to/);
    expect(existsSync(`${directory}/evil`)).toBe(false);
  }
});

test('AUFS\u2019s own files are no part of the image', async () => {
  const place = new Place();
  const tar = place.path('tar');
  const diffId = pythonTar(
    tar,
    "add('.wh..wh.plnk', DIR); add('.wh..wh.plnk/1.2', data=b'x'); add('.wh..wh.aufs'); add('f')",
  );
  const { directory, toc } = await place.unpackFile({ blob: tar, diffId });
  expect(outline(toc)).toEqual(['f']);
  expect(readdirSync(directory)).toEqual(['f']);
});

const FORMS = [
  { compression: 'gzip', level: undefined },
  { compression: 'zstd', level: undefined },
] as const;

test.each(['uncompressed', 'gzip', 'zstd'] as const)(
  '%s: cut short, damaged, or another layer',
  async (compression) => {
    const place = new Place();
    const items = Array.from({ length: 40 }, (_, i) => file(`f${i}`, `${i}`.repeat(50_000)));
    const layer = await place.pack(items, { forms: FORMS });
    const blob = layer.blobs.find((candidate) => candidate.compression === compression)?.path ?? '';
    const { diffId } = layer;
    const refused = async (path: string, code: string | RegExp, id = diffId): Promise<void> => {
      const matches = { code: expect.stringMatching(code) as string };
      const before = readdirSync(place.directory).length;
      await expect(place.unpackFile({ blob: path, compression, diffId: id })).rejects.toMatchObject(matches);
      await expect(place.scan({ blob: path, compression, diffId: id })).rejects.toMatchObject(matches);
      expect(readdirSync(place.directory)).toHaveLength(before);
    };
    const other = await place.pack([file('other', 'x')]);
    await refused(blob, 'LAYER_DIFFID_MISMATCH', other.diffId);
    const size = readFileSync(blob).length;
    for (const length of [size - 20, size >> 1, size >> 3]) {
      const path = place.path('short');
      writeFileSync(path, readFileSync(blob));
      truncateSync(path, length);
      await refused(path, /LAYER_(TRUNCATED|CORRUPT|DIFFID_MISMATCH)/);
    }
    for (const at of [size >> 1, size >> 2, size - 700]) {
      const bytes = readFileSync(blob);
      bytes[at] = (bytes[at] ?? 0) ^ 0x55;
      const path = place.path('damaged');
      writeFileSync(path, bytes);
      await refused(path, /LAYER_(CORRUPT|DIFFID_MISMATCH|TRUNCATED)/);
    }
  },
);

test('the first bytes of a blob count, not what its media type says', async () => {
  const place = new Place();
  const layer = await place.pack([file('f', 'x')], { forms: FORMS });
  for (const { path } of layer.blobs) {
    const { toc } = await place.unpackFile({ blob: path, compression: 'gzip', diffId: layer.diffId });
    expect(outline(toc)).toEqual(['f']);
  }
});

test('blobs of several gzip members and zstd frames are read to the end', async () => {
  const place = new Place();
  const tar = place.path('tar');
  const diffId = pythonTar(tar, "add('a', data=b'1' * 100000); add('b', data=b'2' * 100000)");
  for (const program of ['gzip', 'zstd']) {
    const blob = place.path('blob');
    run('sh', [
      '-c',
      `head -c 70000 $1 | ${program} -c > $2; tail -c +70001 $1 | ${program} -c >> $2`,
      'sh',
      tar,
      blob,
    ]);
    expect(outline(await place.scan({ blob, diffId }))).toEqual(['a', 'b']);
  }
});

test('a name too long for the file system is named', async () => {
  const place = new Place();
  const tar = place.path('tar');
  const diffId = pythonTar(tar, "add('x' * 300, data=b'x')");
  await expect(place.unpackFile({ blob: tar, diffId })).rejects.toMatchObject({
    code: 'LAYER_UNPACK',
    message: expect.stringContaining('/xxxx') as string,
  });
});
