/** A whole tree put out as one tar or as plain files. */
import { createWriteStream, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { expect, test } from 'vitest';
import { copyTree } from '../../src/layer/copy-tree.ts';
import { emptyTree } from '../../src/layer/empty-tree.ts';
import type { FileTree } from '../../src/layer/file-tree.ts';
import { flattenToDirectory, flattenToTar } from '../../src/layer/flatten.ts';
import { LayeredTree } from '../../src/layer/layered-tree.ts';
import { loadToc } from '../../src/layer/toc-file.ts';
import { compareTrees, readTree } from '../helpers/tree.ts';
import { run } from '../setup/run.ts';
import { Place } from './layers.ts';

const FILES = `
  mkdir -p d/e s; echo x > d/e/f; ln d/e/f d/hard; ln -s ../d s/link; mkfifo pipe; mknod null c 1 3
  ln null null2; head -c 2500000 /dev/urandom > big; truncate -s 3M hole; setfattr -n user.a -v b d; chmod 555 s; : > empty
  printf o > "$(printf '\\377')"; chown -R 5:6 d; chmod 4755 d/e/f; find . -mindepth 1 -exec touch -hd @1500000000 {} +
`;

async function tree(place: Place): Promise<{ tree: FileTree; files: string }> {
  const files = place.script(`${FILES} echo old > gone`);
  const upper = place.overlay([files], 'rm gone');
  const layers = [];
  for (const [directory, lowers] of [
    [files, []],
    [upper, [files]],
  ] as const) {
    const { tocPath, blobs } = await place.packChanges(directory, lowers);
    layers.push({ toc: loadToc(tocPath), tarPath: blobs[0]?.path });
  }
  run('rm', [`${files}/gone`]);
  return { tree: new LayeredTree(layers), files };
}

const noRoot = (line: string): boolean => !line.startsWith('/:');

test('as a tar: GNU tar makes the same files of it', async () => {
  const place = new Place();
  const { tree: layered, files } = await tree(place);
  const [tar, again] = [place.path('tar'), place.path('tar')];
  await pipeline(flattenToTar(layered), createWriteStream(tar));
  const directory = place.make('extracted');
  run('tar', ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-xpf', tar, '-C', directory]);
  expect(compareTrees(readTree(files), readTree(directory), { times: true }).filter(noRoot)).toEqual([]);
  await pipeline(flattenToTar(layered), createWriteStream(again));
  expect(readFileSync(again).equals(readFileSync(tar))).toBe(true);
});

test('two tars at once do not mix', async () => {
  const place = new Place();
  const { tree: layered } = await tree(place);
  const paths = [place.path('tar'), place.path('tar'), place.path('tar')];
  await Promise.all(paths.map((path) => pipeline(flattenToTar(layered), createWriteStream(path))));
  const [first, ...others] = paths.map((path) => run('sha256sum', [path]).slice(0, 64));
  expect(others).toEqual([first, first]);
});

test('as a directory: the same files but for owners, attributes and devices', async () => {
  const place = new Place();
  const { tree: layered, files } = await tree(place);
  const directory = place.make('out');
  await flattenToDirectory(layered, directory, new AbortController().signal);
  run('sh', [
    '-c',
    'cd $1; rm null null2; chown -R 0:0 d; setfattr -x user.a d; chmod 4755 d/e/f',
    'sh',
    files,
  ]);
  expect(compareTrees(readTree(files), readTree(directory)).filter(noRoot)).toEqual([]);
  expect(statSync(`${directory}/hole`).blocks * 512).toBeLessThan(300_000);
  expect(statSync(`${directory}/d/e`).mtimeMs).toBe(1_500_000_000_000);
});

test('into a directory with other things in it: no symlink there is followed', async () => {
  const place = new Place();
  const { tree: layered } = await tree(place);
  const [directory, outside] = [place.make('out'), place.make('outside')];
  symlinkSync(outside, `${directory}/d`);
  symlinkSync(`${outside}/file`, `${directory}/big`);
  mkdirSync(`${directory}/empty`);
  writeFileSync(`${directory}/empty/x`, '');
  writeFileSync(`${directory}/stays`, '');
  await flattenToDirectory(layered, directory, new AbortController().signal);
  expect(run('ls', ['-A', outside])).toBe('');
  expect(statSync(`${directory}/empty`).isFile()).toBe(true);
  expect(statSync(`${directory}/d/e/f`).isFile()).toBe(true);
  expect(statSync(`${directory}/stays`).isFile()).toBe(true);
});

test('Ctrl-C gets its turn while files are written', async () => {
  const place = new Place();
  const layer = await place.packChanges(
    place.script('for i in $(seq 300); do head -c 300000 /dev/zero | tr "\\0" x > $i; done'),
  );
  const layered = new LayeredTree([{ toc: loadToc(layer.tocPath), tarPath: layer.blobs[0]?.path }]);
  const abort = new AbortController();
  const writing = flattenToDirectory(layered, place.make('out'), abort.signal);
  setImmediate(() => abort.abort(new Error('interrupted')));
  await expect(writing).rejects.toThrow('interrupted');
});

test('nothing is an empty archive', async () => {
  const place = new Place();
  const tar = place.path('tar');
  await pipeline(flattenToTar(emptyTree), createWriteStream(tar));
  expect(run('tar', ['-tf', tar])).toBe('');
  expect(statSync(tar).size).toBe(1024);
});

test('a part of a tree as real files, with owners and modes', async () => {
  const place = new Place();
  const { tree: layered } = await tree(place);
  const target = `${place.make('copy')}/cache`;
  copyTree(layered, '/s/link', target);
  expect(readTree(target).get('e/f')).toMatchObject({ owner: '5:6', mode: '4755', size: 2 });
  copyTree(layered, '/nothing', `${target}2`);
  expect(run('ls', ['-A', `${target}2`])).toBe('');
});
