/** Layers unpacked again: everything comes back, in the form overlayfs reads. */
import { randomBytes } from 'node:crypto';
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { expect, test } from 'vitest';
import { completeLayer } from '../../src/layer/complete-layer.ts';
import { compareTrees, readTree } from '../helpers/tree.ts';
import { run } from '../setup/run.ts';
import { file, outline, Place, pythonTar, sha256Of } from './layers.ts';

const FORMS = [
  { compression: 'gzip', level: 1 },
  { compression: 'zstd', level: 1 },
] as const;

test.each(['uncompressed', 'gzip', 'zstd'] as const)(
  '%s: pack and unpack changes nothing',
  async (compression) => {
    const place = new Place();
    const files = place.script(`
    mkdir -p a/b/c setgid sticky empty; echo x > a/b/c/f; echo 1 > one; ln one a/two; ln one a/b/three
    cp /bin/true cap; setcap cap_net_raw+ep cap; chmod 4755 a/b/c/f; chmod 2775 setgid; chown 7:50 setgid
    mkdir setgid/inner; echo s > setgid/inner/file; chgrp 0 setgid/inner setgid/inner/file; chmod 755 setgid/inner
    chmod 1777 sticky; chown -h 12:13 one; ln -s ../nowhere link; chown -h 33:34 link; touch -hd @1000000 link
    mkfifo -m 600 pipe; mknod -m 666 null c 1 3; mknod disk b 8 17; chown 0:6 disk
    setfacl -m u:1234:rw one; setfacl -d -m g:55:rwx a; mkdir a/acl; echo > a/acl/f; setfacl -b a/acl a/acl/f
    setfattr -n user.empty -v "" one; setfattr -n user.bytes -v 0x00ff0a one; chmod 555 a/b; chmod 0 one
    echo odd > "$(printf '\\377\\376 \\n"')"; mkdir "$(printf 'gr\\303\\274n')"; truncate -s 3M hole
    head -c 3000000 /dev/urandom > big; find a setgid -exec touch -hd @1500000000 {} +
  `);
    const layer = await place.packChanges(files, [], { forms: FORMS });
    const { directory, incomplete, skippedDevices } = await place.unpack(layer, compression);
    expect(incomplete).toEqual({ directories: [], links: [] });
    expect(skippedDevices).toEqual([]);
    const differences = compareTrees(readTree(files), readTree(directory), { times: true });
    // The root is not part of a layer.
    expect(differences.filter((line) => !line.startsWith('/:'))).toEqual([]);
    expect(run('getcap', [`${directory}/cap`])).toContain('cap_net_raw=ep');
    // 3 MiB of zeros take next to no room, however the tar was cut into chunks.
    expect(statSync(`${directory}/hole`).blocks * 512).toBeLessThan(300_000);
  },
);

test('whiteouts and opaque directories work in an overlay', async () => {
  const place = new Place();
  const base = place.script(
    'mkdir -p a b/c d; echo 1 > a/1; echo 2 > a/2; echo 3 > b/c/3; echo 4 > d/4; echo 5 > e',
  );
  const script =
    'rm a/1 e; rm -r b; mkdir b; echo new > b/new; mv d moved; rm a/2; mkdir a/2; echo in > a/2/in';
  const upper = place.overlay([base], script);
  const { directory } = await place.unpack(await place.packChanges(upper, [base]));
  const copy = `find . -mindepth 1 -printf '%p %y %m %s\\n' | sort > "$OUT"`;
  const [expected, found] = [place.path('list'), place.path('list')];
  place.overlay([upper, base], `OUT=${expected}; ${copy}`);
  place.overlay([directory, base], `OUT=${found}; ${copy}`);
  expect(run('cat', [found])).toBe(run('cat', [expected]));
  expect(run('cat', [found])).toContain('./a/2/in f');
});

test('what a layer deletes and what it adds do not get in each other\u2019s way, in any order', async () => {
  const place = new Place();
  const base = place.script('mkdir dir other; echo old > dir/old; echo old > file; echo old > other/old');
  const tar = place.path('tar');
  const diffId = pythonTar(
    tar,
    `
add('.wh.dir'); add('dir', DIR); add('dir/new')
add('file', data=b'new'); add('.wh.file')
add('other', DIR); add('other/new'); add('other/.wh..wh..opq')`,
  );
  const { directory, toc } = await place.unpackFile({ blob: tar, diffId });
  expect(outline(toc)).toContain('other opaque');
  const list = place.path('list');
  place.overlay([directory, base], `find . -type f | sort > ${list}; cat file >> ${list}`);
  expect(run('cat', [list])).toBe('./dir/new\n./file\n./other/new\nnew');
});

test('an entry that comes twice is what it was last', async () => {
  const place = new Place();
  const tar = place.path('tar');
  const diffId = pythonTar(
    tar,
    `
add('a', data=b'file'); add('a', DIR); add('a/x')
add('b', DIR, mode=0o2777); add('b/y'); add('b', SYM, linkname='a')
add('c', SYM, linkname='a'); add('c', data=b'now a file')
add('d', DIR, mode=0o700, uid=5); add('d/z'); add('d', DIR, mode=0o751, gid=6)`,
  );
  const { directory } = await place.unpackFile({ blob: tar, diffId });
  const seen = run('find', [directory, '-mindepth', '1', '-printf', '%P %y %m %U:%G\\n'])
    .trim()
    .split('\n')
    .sort();
  expect(seen).toEqual([
    'a d 755 0:0',
    'a/x f 644 0:0',
    'b l 777 0:0',
    'c f 644 0:0',
    'd d 751 0:6',
    'd/z f 644 0:0',
  ]);
});

test('a tar without its directories: they are made, and told', async () => {
  const place = new Place();
  const tar = place.path('tar');
  const diffId = pythonTar(
    tar,
    "add('usr/share/doc/x', data=b'x'); add('etc', DIR, mode=0o700); add('etc/f')",
  );
  const { directory, incomplete } = await place.unpackFile({ blob: tar, diffId });
  expect(incomplete.directories).toEqual(['usr', 'usr/share', 'usr/share/doc']);
  const lower = place.script(
    'mkdir -p usr/share; chmod 711 usr; chown 3:4 usr; setfattr -n user.a -v b usr/share',
  );
  completeLayer({ directory, lowers: [lower], incomplete });
  const tree = readTree(directory);
  expect(tree.get('usr')).toMatchObject({ mode: '711', owner: '3:4' });
  expect(tree.get('usr/share')).toMatchObject({ mode: '755', xattrs: ['user.a=0x62'] });
  expect(tree.get('etc')).toMatchObject({ mode: '700' });
});

test('files below a symlink of a lower layer are where the link leads', async () => {
  const place = new Place();
  const lower = place.script(
    'mkdir -p usr/lib/x; chmod 700 usr/lib; ln -s usr/lib lib; ln -s /usr/lib/x abs',
  );
  const tar = place.path('tar');
  const lines =
    "add('lib/a'); add('lib/x/b'); add('abs/c'); add('usr/lib/x/d'); add('lib/x/hard', LNK, linkname='lib/a')";
  const diffId = pythonTar(tar, lines);
  const { directory, incomplete } = await place.unpackFile({ blob: tar, diffId });
  completeLayer({ directory, lowers: [lower], incomplete });
  const seen = run('find', [directory, '-type', 'f', '-printf', '%P\\n']).trim().split('\n').sort();
  expect(seen).toEqual(['usr/lib/a', 'usr/lib/x/b', 'usr/lib/x/c', 'usr/lib/x/d', 'usr/lib/x/hard']);
  expect(readdirSync(directory)).toEqual(['usr']);
  expect(readTree(directory).get('usr/lib')).toMatchObject({ mode: '700' });
});

test('hard links into lower layers become copies of what is there', async () => {
  const place = new Place();
  const first = place.script(
    'mkdir d; echo first > d/f; chown 5:6 d/f; chmod 4711 d/f; ln -s /etc/passwd d/link',
  );
  const second = place.overlay([first], 'echo second > g');
  const tar = place.path('tar');
  const diffId = pythonTar(
    tar,
    "add('n', DIR); add('n/f', LNK, linkname='d/f'); add('n/g', LNK, linkname='/g'); add('n/l', LNK, linkname='d/link')",
  );
  const { directory, incomplete } = await place.unpackFile({ blob: tar, diffId });
  completeLayer({ directory, lowers: [second, first], incomplete });
  const tree = readTree(directory);
  expect(tree.get('n/f')).toMatchObject({ type: 'file', size: 6, owner: '5:6', mode: '4711' });
  expect(tree.get('n/g')).toMatchObject({ type: 'file', size: 7 });
  // The link itself, not what the host has where it points.
  expect(tree.get('n/l')).toMatchObject({ type: 'symlink', link: '/etc/passwd' });
});

test('devices and attributes the user may not make are left out and told', async () => {
  const place = new Place();
  const tar = place.path('tar');
  pythonTar(
    tar,
    `
add('null', CHR, devmajor=1, devminor=3); add('zero-zero', CHR, devmajor=0, devminor=0)
add('f', pax_headers={'SCHILY.xattr.trusted.x': 'y', 'SCHILY.xattr.user.kept': 'z', 'SCHILY.xattr.security.selinux': 's'})`,
  );
  const [directory, toc] = [place.make('unpacked'), place.path('toc')];
  const script = `
    import { unpackLayer } from ${JSON.stringify(`${import.meta.dirname}/../../src/layer/unpack.ts`)};
    const [blob, directory, toc, diffId] = process.argv.slice(1);
    const result = await unpackLayer({ blob, directory, toc, diffId, compression: 'uncompressed' });
    console.log(JSON.stringify(result.skippedDevices));`;
  const inner = [
    process.execPath,
    '--input-type=module-typescript',
    '-e',
    script,
    tar,
    directory,
    toc,
    sha256Of(tar),
  ];
  expect(run('unshare', ['-r', ...inner])).toBe('["null","zero-zero"]\n');
  expect(readdirSync(directory)).toEqual(['f']);
  expect(run('getfattr', ['-m', '-', '--absolute-names', '-d', `${directory}/f`])).toContain('user.kept="z"');
});

test('long runs of zeros in large files become holes; everything else is written', async () => {
  const place = new Place();
  const bytes = Buffer.alloc(5_000_001);
  randomBytes(1000).copy(bytes, 1_234_567);
  bytes[4_999_000] = 1;
  const layer = await place.pack([
    file('sparse', bytes),
    file('zeros', Buffer.alloc(200_000)),
    file('tail', 'x'),
  ]);
  const { directory } = await place.unpack(layer);
  expect(run('cmp', ['-', `${directory}/sparse`], { input: bytes })).toBe('');
  expect(statSync(`${directory}/sparse`).blocks * 512).toBeLessThan(400_000);
  expect(statSync(`${directory}/zeros`).size).toBe(200_000);
});

test('the root\u2019s own mode, owner and attributes are applied', async () => {
  const place = new Place();
  const tar = place.path('tar');
  const diffId = pythonTar(tar, "add('./', DIR, mode=0o711, uid=4, gid=5, mtime=1000); add('./f')");
  const { directory, toc } = await place.unpackFile({ blob: tar, diffId });
  expect(outline(toc)).toEqual(['/', 'f']);
  const { mode, uid, gid, mtimeMs } = lstatSync(directory);
  expect([mode & 0o7777, uid, gid, mtimeMs]).toEqual([0o711, 4, 5, 1_000_000]);
});
