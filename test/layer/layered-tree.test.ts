/** Stacks of layers as one tree: the same as the kernel shows when it mounts them. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { completeLayer } from '../../src/layer/complete-layer.ts';
import type { Entry, LayerToc } from '../../src/layer/entry.ts';
import type { FileTree } from '../../src/layer/file-tree.ts';
import { LayeredTree } from '../../src/layer/layered-tree.ts';
import { readSmallFile } from '../../src/layer/read-file.ts';
import { resolvePath } from '../../src/layer/resolve-path.ts';
import { loadToc } from '../../src/layer/toc-file.ts';
import { run } from '../setup/run.ts';
import { entry, Place, pythonTar } from './layers.ts';

const DIFF_ID = `sha256:${'0'.repeat(64)}` as const;

/** A layer of names: "d/" is a directory, "-x" a whiteout, "d/!" an opaque mark, "a=b" a hard link, "a>b" a symlink. */
function names(...paths: string[]): { toc: LayerToc; tarPath: undefined } {
  const entries = paths.map((text): Entry => {
    if (text.startsWith('-')) return entry(text.slice(1), { type: 'whiteout' });
    if (text === '!') return entry('', { type: 'opaque' });
    if (text.endsWith('/!')) return entry(text.slice(0, -2), { type: 'opaque' });
    if (text.endsWith('/')) return entry(text.slice(0, -1), { type: 'directory' });
    const [path = '', link] = text.split('=');
    if (link !== undefined) return entry(path, { type: 'hardlink', linkTarget: link });
    const [name = '', target] = text.split('>');
    if (target !== undefined) return entry(name, { type: 'symlink', linkTarget: target });
    const [file = '', size] = text.split('#');
    return entry(file, { size: Number(size ?? 0) });
  });
  return { toc: { diffId: DIFF_ID, tarSize: 0, entries }, tarPath: undefined };
}

function all(tree: FileTree, path = ''): string[] {
  return tree.list(path).flatMap((name) => {
    const child = path === '' ? name : `${path}/${name}`;
    const { type, linkTarget, path: own } = tree.lstat(child) ?? { type: 'nothing', path: child };
    expect(own).toBe(child);
    return [
      `${child}${type === 'directory' ? '/' : type === 'symlink' ? `>${linkTarget}` : ''}`,
      ...all(tree, child),
    ];
  });
}

const merged = (...layers: ReturnType<typeof names>[]): string[] => all(new LayeredTree(layers));

test('whiteouts and opaque directories hide layers below, in any order in their tar', () => {
  const base = names('a/', 'a/1', 'a/2', 'b/', 'b/c/', 'b/c/3', 'd');
  expect(merged(base, names('a/', '-a/1', '-b'))).toEqual(['a/', 'a/2', 'd']);
  expect(merged(base, names('a/', 'a/new', 'a/!'))).toEqual(['a/', 'a/new', 'b/', 'b/c/', 'b/c/3', 'd']);
  expect(merged(base, names('b/', 'b/x', '-b', 'd', '-d'))).toEqual(['a/', 'a/1', 'a/2', 'b/', 'b/x', 'd']);
  expect(merged(base, names('-b'), names('b/', 'b/c/', 'b/c/4'))).toEqual([
    'a/',
    'a/1',
    'a/2',
    'b/',
    'b/c/',
    'b/c/4',
    'd',
  ]);
  expect(merged(base, names('!', 'x'))).toEqual(['x']);
});

test('a file takes the place of a directory and a directory that of a file', () => {
  const base = names('a/', 'a/x', 'b');
  expect(merged(base, names('a', 'b/', 'b/y'))).toEqual(['a', 'b/', 'b/y']);
  expect(merged(base, names('a', 'b/', 'b/y'), names('a/', 'a/z'))).toEqual(['a/', 'a/z', 'b/', 'b/y']);
});

test('directories that no tar has are there, with the attributes of a lower layer if one has them', () => {
  const tree = new LayeredTree([names('usr/'), names('usr/share/doc/x')]);
  expect(all(tree)).toEqual(['usr/', 'usr/share/', 'usr/share/doc/', 'usr/share/doc/x']);
  expect(tree.lstat('usr')?.mtime).toBe(1_700_000_000);
  expect(tree.lstat('usr/share')).toMatchObject({ type: 'directory', mode: 0o755, uid: 0, mtime: 0 });
  expect(tree.lstat('')).toMatchObject({ type: 'directory', path: '' });
  expect(tree.lstat('usr/share/doc/x/y')).toBeUndefined();
});

test('no symlink is ever followed by lstat', () => {
  const tree = new LayeredTree([names('real/', 'real/f', 'link>real')]);
  expect(tree.lstat('link/f')).toBeUndefined();
  expect(tree.list('link')).toEqual([]);
});

test('hard links are the file they name, in the layer that made them', () => {
  const tree = new LayeredTree([names('a#5', 'b=a', 'single#3'), names('a#7', 'c=b', 'd=gone')]);
  expect(['a', 'b', 'c'].map((path) => tree.lstat(path)?.size)).toEqual([7, 5, 5]);
  expect(tree.lstat('b')).toMatchObject({ path: 'b', type: 'file' });
  expect(tree.linkIdentity('b')).toBe(tree.linkIdentity('c'));
  expect(tree.linkIdentity('b')).not.toBe(tree.linkIdentity('a'));
  expect(tree.linkIdentity('single')).toBeUndefined();
  expect(tree.lstat('d')).toMatchObject({ type: 'file', size: 0 });
});

test('hard links that name each other end', () => {
  const tree = new LayeredTree([names('a=b', 'b=a')]);
  expect(tree.lstat('a')).toMatchObject({ type: 'file', size: 0 });
});

test('files over a symlink of a layer below are where it leads', () => {
  const tree = new LayeredTree([
    names('usr/', 'usr/lib/', 'lib>usr/lib', 'abs>/usr/lib'),
    names('lib/x#3', 'abs/y', 'h=lib/x'),
  ]);
  expect(all(tree)).toEqual([
    'abs>/usr/lib',
    'h',
    'lib>usr/lib',
    'usr/',
    'usr/lib/',
    'usr/lib/x',
    'usr/lib/y',
  ]);
  expect(tree.lstat('h')?.size).toBe(3);
  // With an entry of its own the directory takes the symlink's place.
  expect(merged(names('usr/', 'lib>usr'), names('lib/', 'lib/x'))).toEqual(['lib/', 'lib/x', 'usr/']);
});

test('the merged view is the one that the kernel mounts', async () => {
  const place = new Place();
  const first = place.script(`
    mkdir -p a/b c/d/e f; echo 1 > a/1; echo 2 > a/b/2; ln a/1 c/one; echo e > c/d/e/x; ln -s ../a f/l; chmod 700 a
  `);
  const second = place.overlay(
    [first],
    'rm -r c/d; mkdir c/d; echo n > c/d/n; mv a g; rm f/l; mkdir f/l; echo in > f/l/in',
  );
  const third = place.overlay(
    [second, first],
    'rm g/1; echo 22 > g/b/2; rm -r f; echo f > f; ln c/one c/two; chmod 711 c',
  );
  const stack: [string, string[]][] = [
    [first, []],
    [second, [first]],
    [third, [second, first]],
  ];
  const layers = [];
  for (const [upper, lowers] of stack) {
    const { tocPath, blobs } = await place.packChanges(upper, lowers);
    layers.push({ toc: loadToc(tocPath), tarPath: blobs[0]?.path });
  }
  const tree = new LayeredTree(layers);
  const found: string[] = [];
  const visit = (path: string): void => {
    for (const name of tree.list(path)) {
      const child = path === '' ? name : `${path}/${name}`;
      const { type = '', mode = 0 } = tree.lstat(child) ?? {};
      const text = type === 'file' ? readSmallFile(tree, child).toString().trim() : '';
      if (type === 'file') {
        const sum = run('sha256sum', [], { input: readSmallFile(tree, child) }).slice(0, 64);
        expect(tree.digest(child)).toBe(`sha256:${sum}`);
      }
      found.push(`${child} ${type[0]} ${mode.toString(8)} ${text}`);
      if (type === 'directory') visit(child);
    }
  };
  visit('');
  const list = place.path('list');
  const show = `find . -mindepth 1 | sed 's,^./,,' | while read -r p; do
    printf '%s %s %s %s\\n' "$p" "$(stat -c %F "$p" | sed 's/regular //; s/symbolic link/s/' | cut -c1)" "$(stat -c %a "$p")" "$([ -f "$p" ] && cat "$p")"; done > ${list}`;
  place.overlay([third, second, first], show);
  expect(found.sort()).toEqual(readFileSync(list, 'utf8').trimEnd().split('\n').sort());
});

test('a large file is learned from its part of the tar, and given up when that is wanted', async () => {
  const place = new Place();
  const layer = await place.packChanges(
    place.script('head -c 40000001 /dev/urandom > large; echo before > a; echo after > z; : > empty'),
  );
  const tarPath = layer.blobs[0]?.path;
  const made = (): LayeredTree => new LayeredTree([{ toc: loadToc(layer.tocPath), tarPath }]);
  const [tree, other] = [made(), made()];
  const { signal } = new AbortController();
  for (const name of ['large', 'a', 'empty']) {
    await tree.learn(name, signal);
    expect(tree.digest(name)).toBe(other.digest(name));
  }
  await expect(made().learn('large', AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped');
});

test('bytes come from the tar they are in', async () => {
  const place = new Place();
  const layer = await place.packChanges(place.script('printf hello > a; : > empty; printf world > b'));
  const tree = new LayeredTree([{ toc: loadToc(layer.tocPath), tarPath: layer.blobs[0]?.path }]);
  expect(readSmallFile(tree, 'b').toString()).toBe('world');
  expect(tree.content('empty')).toEqual({ kind: 'bytes', bytes: Buffer.alloc(0) });
  const blind = new LayeredTree([{ toc: loadToc(layer.tocPath), tarPath: undefined }]);
  expect(() => blind.content('a')).toThrow('no bytes at hand');
});

test('unpacking and the merged view agree on tars without directories', async () => {
  const place = new Place();
  const base = place.script('mkdir -p usr/lib; ln -s usr/lib lib; echo x > usr/lib/x');
  const below = await place.packChanges(base);
  const tar = place.path('tar');
  const diffId = pythonTar(
    tar,
    "add('lib/y', data=b'y'); add('lib/sub/z'); add('opt/tool', LNK, linkname='lib/x')",
  );
  const { directory, incomplete, toc } = await place.unpackFile({ blob: tar, diffId });
  completeLayer({ directory, lowers: [base], incomplete });
  const tree = new LayeredTree([
    { toc: loadToc(below.tocPath), tarPath: below.blobs[0]?.path },
    { toc, tarPath: tar },
  ]);
  const list = place.path('list');
  place.overlay([directory, base], `find . -mindepth 1 | sed 's,^./,,' | sort > ${list}`);
  expect(all(tree).map((path) => path.replace(/\/$|>.*/, ''))).toEqual(
    readFileSync(list, 'utf8').trimEnd().split('\n'),
  );
  expect(readSmallFile(tree, 'opt/tool').toString()).toBe('x\n');
});

test('paths are resolved inside the tree, whatever the links say', () => {
  const tree = new LayeredTree([
    names('a/', 'a/b/', 'up>../../..', 'abs>/a/b', 'a/rel>../abs', 'loop>loop', 'dangling>x/y'),
  ]);
  const resolve = (path: string, followLast = true): string => resolvePath(tree, path, { followLast });
  expect(resolve('/a/rel/new/file')).toBe('a/b/new/file');
  expect(resolve('up/up/a//./b/..')).toBe('a');
  expect(resolve('abs', false)).toBe('abs');
  expect(resolve('dangling/z')).toBe('x/y/z');
  expect(() => resolve('loop/x')).toThrow(/too many levels/);
});
