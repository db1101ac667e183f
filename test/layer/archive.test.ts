/** Local archives that ADD takes apart. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { archiveCompression, isTarHeader, readArchive } from '../../src/layer/archive.ts';
import { run, runBytes } from '../setup/run.ts';
import { Place, pythonTar } from './layers.ts';

const head = (bytes: Buffer): Buffer => bytes.subarray(0, 512);

test('compressed files are known by their first bytes', () => {
  const input = Buffer.alloc(2000, 'some text ');
  const of = (program: string): string | undefined =>
    archiveCompression(head(runBytes(program, ['-c'], { input })));
  expect(['gzip', 'bzip2', 'xz', 'zstd'].map(of)).toEqual(['gzip', 'bzip2', 'xz', 'zstd']);
  expect(archiveCompression(input)).toBeUndefined();
  expect(archiveCompression(Buffer.from('\x1f\x8b'))).toBeUndefined();
  expect(archiveCompression(Buffer.alloc(0))).toBeUndefined();
});

test('a tar is known by its first header', () => {
  const place = new Place();
  const files = place.script('echo x > a');
  for (const format of ['v7', 'ustar', 'gnu', 'posix']) {
    const tar = runBytes('tar', [`--format=${format}`, '-c', '-C', files, 'a']);
    expect(isTarHeader(head(tar))).toBe(true);
  }
  expect(isTarHeader(Buffer.alloc(512))).toBe(false);
  expect(isTarHeader(Buffer.alloc(512, 'text '))).toBe(false);
  expect(isTarHeader(Buffer.alloc(100))).toBe(false);
});

test('members with their attributes; bytes stay where they are', () => {
  const place = new Place();
  const tar = place.path('tar');
  pythonTar(
    tar,
    `
add('./', DIR); add('/abs/f', data=b'content', uid=5, gid=6, mode=0o4711, mtime=77)
add('l', SYM, linkname='../../x'); add('h', LNK, linkname='./abs/f'); add('.wh.name', data=b'no whiteout here')
add('x', pax_headers={'SCHILY.xattr.user.a': 'b', 'SCHILY.xattr.user.overlay.opaque': 'y'})`,
  );
  const start = 1000;
  const path = place.path('larger');
  writeFileSync(path, Buffer.concat([Buffer.alloc(start, 1), readFileSync(tar), Buffer.alloc(99, 2)]));
  const items = readArchive({ path, start, size: statSync(tar).size });
  expect(items.map(({ entry }) => `${entry.path} ${entry.type} ${entry.linkTarget ?? ''}`)).toEqual([
    ' directory ',
    'abs/f file ',
    'l symlink ../../x',
    'h hardlink abs/f',
    '.wh.name file ',
    'x file ',
  ]);
  expect(items[1]?.entry).toMatchObject({ uid: 5, gid: 6, mode: 0o4711, mtime: 77, size: 7 });
  expect(items[5]?.entry.xattrs).toEqual({ 'user.a': 'b' });
  const content = items[1]?.content;
  if (content?.kind !== 'range') throw new Error('no range');
  const bytes = readFileSync(content.path).subarray(content.offset, content.offset + content.size);
  expect(bytes.toString()).toBe('content');
});

test('names that lead out and archives that end too early are refused', () => {
  const place = new Place();
  const tar = place.path('tar');
  pythonTar(tar, "add('a/../../evil')");
  const read = (size = statSync(tar).size): unknown => readArchive({ path: tar, start: 0, size });
  expect(read).toThrow(expect.objectContaining({ code: 'LAYER_UNSAFE_PATH' }));
  pythonTar(tar, "add('a', data=b'x' * 5000)");
  expect(() => read(3000)).toThrow(expect.objectContaining({ code: 'LAYER_TRUNCATED' }));
  run('true', []);
});
