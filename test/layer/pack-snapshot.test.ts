/** Layers from what real overlay mounts leave in their upper directory. */
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadToc } from '../../src/layer/toc-file.ts';
import { run } from '../setup/run.ts';
import { listTar, outline, Place } from './layers.ts';

const BASE = `
  mkdir -p etc usr/bin var/log keep/deep; echo a > etc/a; echo b > etc/b; echo sh > usr/bin/sh
  echo log > var/log/x; echo k > keep/deep/k; ln -s usr/bin bin; chmod 2750 var; chown 5:6 var
`;

async function changes(place: Place, base: string, script: string): Promise<string[]> {
  const layer = await place.packChanges(place.overlay([base], script), [base]);
  return outline(loadToc(layer.tocPath));
}

test('a first layer holds everything, in byte order, parents first, without the root', async () => {
  const place = new Place();
  const layer = await place.packChanges(place.script(BASE));
  expect(outline(loadToc(layer.tocPath))).toEqual([
    'bin -> usr/bin',
    'etc/',
    'etc/a',
    'etc/b',
    'keep/',
    'keep/deep/',
    'keep/deep/k',
    'usr/',
    'usr/bin/',
    'usr/bin/sh',
    'var/',
    'var/log/',
    'var/log/x',
  ]);
});

test('deleted, replaced and new files; parents with their real mode and owner', async () => {
  const place = new Place();
  const base = place.script(BASE);
  const upper = place.overlay(
    [base],
    'rm etc/a; echo new > var/log/y; rm -r keep; echo now-a-file > keep; rm bin; mkdir bin; echo in > bin/in',
  );
  const layer = await place.packChanges(upper, [base]);
  expect(outline(loadToc(layer.tocPath))).toEqual([
    // overlayfs marks it opaque, but a symlink has nothing to hide.
    'bin/',
    'bin/in',
    'etc/',
    'etc/a gone',
    'keep',
    'var/',
    'var/log/',
    'var/log/y',
  ]);
  const lines = listTar(layer.blobs[0]?.path ?? '').map((line) => line.split(' ').slice(0, 4).join(' '));
  expect(lines).toContain('var 5 2750 5:6');
  expect(lines).toContain('etc/.wh.a 0 0 0:0');
});

test('a directory that was removed and made again is opaque', async () => {
  const place = new Place();
  expect(await changes(place, place.script(BASE), 'rm -r keep; mkdir keep; echo 1 > keep/one')).toEqual([
    'keep/',
    'keep opaque',
    'keep/one',
  ]);
});

test('a renamed directory is gone in one place and whole in the other', async () => {
  const place = new Place();
  expect(await changes(place, place.script(BASE), 'mv keep moved')).toEqual([
    'keep gone',
    'moved/',
    'moved/deep/',
    'moved/deep/k',
  ]);
});

test('what was copied up but did not change is left out', async () => {
  const place = new Place();
  const base = place.script(BASE);
  const touch = `chmod 644 etc/a; chown 0:0 etc/b; chmod 755 keep keep/deep; chown -h 0:0 bin; : >> usr/bin/sh
    setfattr -n user.x -v y keep; setfattr -x user.x keep`;
  expect(await changes(place, base, touch)).toEqual([]);
  expect(await changes(place, base, `${touch}; chmod 600 etc/b`)).toEqual(['etc/', 'etc/b']);
  // Same size and time, other bytes.
  expect(
    await changes(place, base, 'touch -r etc/a /tmp/$$; echo z > etc/a; touch -r /tmp/$$ etc/a; rm /tmp/$$'),
  ).toEqual(['etc/', 'etc/a']);
});

test('lowers are seen as merged: whiteouts, opaque directories and files in the way count', async () => {
  const place = new Place();
  const first = place.script('mkdir a b c; echo 1 > a/f; echo 1 > b/f; echo 1 > c/f');
  const second = place.overlay([first], 'rm -r a; rm -r b; mkdir b; rm -r c; echo file > c');
  const lowers = [second, first];
  const upper = place.overlay(
    lowers,
    'mkdir a; echo 2 > a/f; echo 2 > b/f; rm b/f; rm c; mkdir c; echo 2 > c/f',
  );
  const layer = await place.packChanges(upper, lowers);
  // Nothing of the first layer shows, so nothing is deleted and nothing opaque.
  expect(outline(loadToc(layer.tocPath))).toEqual(['a/', 'a/f', 'b/', 'c/', 'c/f']);
});

test('hard links, attributes, capabilities, ACLs, devices and special bits are kept; sockets are not', async () => {
  const place = new Place();
  const upper = place.script(`
    echo x > one; ln one two; mkdir z; ln two z/three; chmod 4755 one
    cp /bin/true cap; setcap cap_net_raw+ep cap; setfacl -m u:1234:r one; setfattr -n user.note -v hi z
    mkfifo pipe; mknod null c 1 3; mknod disk b 8 1; chmod 1777 z
    python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
    setfattr -n user.overlay.origin -v x z; setfattr -n trusted.overlay.impure -v y z
    printf odd > "$(printf '\\377\\376')"; ln -s "$(printf '\\303\\244')" "$(printf '\\200link')"
  `);
  const layer = await place.packChanges(upper);
  const capability = '0100000200200000000000000000000000000000';
  const acl = '0200000001000700ffffffff02000400d204000004000500ffffffff10000500ffffffff20000500ffffffff';
  expect(listTar(layer.blobs[0]?.path ?? '').map((line) => line.replace(/ 1[67]\d{8} /, ' '))).toEqual([
    `cap 0 755 0:0 ${statSync('/bin/true').size}   SCHILY.xattr.security.capability=${capability}`,
    'disk 4 644 0:0 0  8,1',
    'null 3 644 0:0 0  1,3',
    `one 0 4755 0:0 2   SCHILY.xattr.system.posix_acl_access=${acl}`,
    'pipe 6 644 0:0 0  0,0',
    'two 1 4755 0:0 0 one ',
    'z 5 1777 0:0 0   SCHILY.xattr.user.note=6869',
    'z/three 1 4755 0:0 0 one ',
    '\\x80link 2 777 0:0 0 \\xc3\\xa4 ',
    '\\xff\\xfe 0 644 0:0 3  ',
  ]);
});

test('a capability set in a user namespace loses the namespace', async () => {
  const place = new Place();
  const upper = place.script('cp /bin/true f');
  // vfs_ns_cap_data, revision 3: the last word is the root of the namespace, here UID 100000.
  const value = '0x0100000300200000000000000000000000000000a0860100';
  run('setfattr', ['-n', 'security.capability', '-v', value, `${upper}/f`]);
  const layer = await place.packChanges(upper);
  expect(listTar(layer.blobs[0]?.path ?? '')[0]).toContain(
    'SCHILY.xattr.security.capability=0100000200200000000000000000000000000000',
  );
});

test('a socket in place of a file deletes the file', async () => {
  const place = new Place();
  const bind = `python3 -c 'import os, socket; os.unlink("etc/a"); socket.socket(socket.AF_UNIX).bind("etc/a")'`;
  expect(await changes(place, place.script(BASE), bind)).toEqual(['etc/', 'etc/a gone']);
});

test('a hard link to an unchanged file brings the file along', async () => {
  const place = new Place();
  expect(await changes(place, place.script(BASE), 'ln etc/a etc/link')).toEqual([
    'etc/',
    'etc/a',
    'etc/link = etc/a',
  ]);
});

test('the root is in the layer only when a step changed it', async () => {
  const place = new Place();
  const base = place.script(BASE);
  expect(await changes(place, base, 'echo > new')).toEqual(['new']);
  expect(await changes(place, base, 'chmod 700 .')).toEqual(['/']);
  const layer = await place.packChanges(place.overlay([base], 'chown 7:8 .'), [base]);
  expect(listTar(layer.blobs[0]?.path ?? '')[0]).toMatch(/^\. 5 755 7:8 0/);
});

test('what fuse-overlayfs writes where it may not make devices', async () => {
  const place = new Place();
  const base = place.script(BASE);
  const upper = place.script(
    'mkdir etc keep; : > etc/.wh.a; : > keep/.wh..wh..opq; echo n > keep/n; : > .wh.bin',
  );
  const layer = await place.packChanges(upper, [base]);
  expect(outline(loadToc(layer.tocPath))).toEqual([
    'bin gone',
    'etc/',
    'etc/a gone',
    'keep/',
    'keep opaque',
    'keep/n',
  ]);
});

test('a name that would delete another file is refused', async () => {
  const place = new Place();
  await expect(place.packChanges(place.script('echo content > .wh.x'))).rejects.toMatchObject({
    code: 'LAYER_RESERVED_NAME',
  });
});

test('the same files give the same layer, wherever and whenever they were made', async () => {
  const place = new Place();
  const make = `mkdir d; for i in 3 1 2; do echo $i > d/$i; done; find . -exec touch -d @1600000000 {} +`;
  const first = await place.packChanges(place.script(make));
  const second = await place.packChanges(
    place.script(`${make}; rm d/2; echo 2 > d/2; touch -d @1600000000 d/2 d`),
  );
  expect(second.diffId).toBe(first.diffId);
});

test('a store whose path is not ASCII', async () => {
  const place = new Place();
  const upper = place.path('schr\u00e4g');
  mkdirSync(`${upper}/d`, { recursive: true });
  writeFileSync(`${upper}/d/f`, 'x');
  expect(outline(loadToc((await place.packChanges(upper)).tocPath))).toEqual(['d/', 'd/f']);
});
