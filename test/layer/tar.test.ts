/** The tar codec against GNU tar and python, and against itself for whatever an entry can say. */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Entry } from '../../src/layer/entry.ts';
import { encodeHeader, padding, writeHeader } from '../../src/layer/tar-header.ts';
import { type TarMember, TarReader } from '../../src/layer/tar-reader.ts';
import { run } from '../setup/run.ts';
import { entry, file, listTar, Place, pythonTar } from './layers.ts';

function read(tar: Buffer, pieces = tar.length): { members: TarMember[]; data: Map<string, string> } {
  const members: TarMember[] = [];
  const data = new Map<string, string>();
  const reader = new TarReader({
    member: (member) => void members.push(member),
    data: (chunk) => {
      const name = members.at(-1)?.name ?? '';
      data.set(name, (data.get(name) ?? '') + chunk.toString('latin1'));
    },
    end: () => undefined,
  });
  for (let at = 0; at < tar.length; at += pieces) reader.write(tar.subarray(at, at + pieces));
  reader.finish();
  return { members, data };
}

const ODD = '\xff\xfe odd\n"name';

test('names, owners, sizes and times of every kind are what GNU tar and python read', async () => {
  const place = new Place();
  const long = `${'d'.repeat(120)}/${'e'.repeat(120)}/${'f'.repeat(90)}`;
  const { blobs } = await place.pack([
    { entry: entry('etc', { type: 'directory', mode: 0o1777 }) },
    file('etc/passwd', 'root\n', { uid: 1000, gid: 2_097_152 }),
    file(ODD, 'x'),
    file('gr\xc3\xbc\xc3\x9fe', 'y'),
    file(`${'p'.repeat(60)}/${'q'.repeat(60)}`, 'split'),
    file(long, 'long', { mtime: -5 }),
    { entry: entry('link', { type: 'symlink', linkTarget: 't'.repeat(130), mode: 0o777 }) },
    { entry: entry('hard', { type: 'hardlink', linkTarget: 'etc/passwd' }) },
    { entry: entry('tty', { type: 'char', devMajor: 5, devMinor: 300_000 }) },
    { entry: entry('disk', { type: 'block', devMajor: 259, devMinor: 3 }) },
    { entry: entry('pipe', { type: 'fifo' }) },
    { entry: entry('suid', { mode: 0o6755, mtime: 2 ** 34 }) },
    { entry: entry('gone', { type: 'whiteout', mode: 0 }) },
    { entry: entry('etc', { type: 'opaque', mode: 0 }) },
  ]);
  const tar = blobs[0]?.path ?? '';
  expect(listTar(tar)).toEqual([
    'etc 5 1777 0:0 0 1700000000  ',
    'etc/passwd 0 644 1000:2097152 5 1700000000  ',
    '\\xff\\xfe odd\\n"name 0 644 0:0 1 1700000000  ',
    'gr\\xc3\\xbc\\xc3\\x9fe 0 644 0:0 1 1700000000  ',
    `${'p'.repeat(60)}/${'q'.repeat(60)} 0 644 0:0 5 1700000000  `,
    `${long} 0 644 0:0 4 -5.0  `,
    `link 2 777 0:0 0 1700000000 ${'t'.repeat(130)} `,
    'hard 1 644 0:0 0 1700000000 etc/passwd ',
    'tty 3 644 0:0 0 1700000000  5,300000',
    'disk 4 644 0:0 0 1700000000  259,3',
    'pipe 6 644 0:0 0 1700000000  0,0',
    'suid 0 6755 0:0 0 17179869184.0  ',
    '.wh.gone 0 0 0:0 0 1700000000  ',
    'etc/.wh..wh..opq 0 0 0:0 0 1700000000  ',
  ]);
  const listed = run('tar', ['--numeric-owner', '-tvf', tar]);
  expect(listed).toMatch(/^-rw-r--r-- 1000\/2097152 +5 2023-11-14 .* etc\/passwd$/m);
  expect(listed).toMatch(/^crw-r--r-- 0\/0 +5,300000 .* tty$/m);
  expect(listed.split('\n')).toHaveLength(15);
});

test('only what ustar cannot hold becomes a pax header', () => {
  expect(encodeHeader(entry('a'.repeat(100)))).toHaveLength(512);
  expect(encodeHeader(entry(`${'a'.repeat(155)}/${'b'.repeat(100)}`))).toHaveLength(512);
  expect(encodeHeader(entry('a'.repeat(101)))).toHaveLength(1536);
  expect(encodeHeader(entry('big', { size: 8 ** 11 - 1 }))).toHaveLength(512);
  expect(encodeHeader(entry('big', { size: 8 ** 11 }))).toHaveLength(1536);
});

const bytes = (max: number): fc.Arbitrary<string> =>
  fc
    .array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: max })
    .map((codes) => String.fromCharCode(...codes.map((code) => (code === 0x2f ? 0x61 : code))))
    .filter((name) => name !== '.' && name !== '..');

const entries: fc.Arbitrary<Entry> = fc
  .record({
    path: fc.array(bytes(90), { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/')),
    type: fc.constantFrom('file', 'directory', 'symlink', 'hardlink', 'char', 'block', 'fifo'),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
    gid: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
    mtime: fc.integer({ min: -(2 ** 35), max: 2 ** 35 }),
    size: fc.integer({ min: 0, max: 3000 }),
    linkTarget: bytes(200),
    devMajor: fc.integer({ min: 0, max: 4095 }),
    devMinor: fc.integer({ min: 0, max: 1_048_575 }),
    xattrs: fc.option(fc.dictionary(fc.constantFrom('user.a', 'user.b', 'security.capability'), bytes(300))),
  })
  .map(({ path, type, mode, uid, gid, mtime, size, linkTarget, devMajor, devMinor, xattrs }) => ({
    ...{ path, type, mode, uid, gid, mtime, size: type === 'file' ? size : 0 },
    ...(type === 'symlink' || type === 'hardlink' ? { linkTarget } : {}),
    ...(type === 'char' || type === 'block' ? { devMajor, devMinor } : {}),
    ...(xattrs === null || Object.keys(xattrs).length === 0 ? {} : { xattrs: { ...xattrs } }),
  }));

test('any entry reads back as it was written, in pieces of any size', () => {
  fc.assert(
    fc.property(fc.array(entries, { maxLength: 6 }), fc.integer({ min: 1, max: 2000 }), (list, pieces) => {
      const parts = list.flatMap((one) => [
        encodeHeader(one),
        Buffer.alloc(one.size + padding(one.size), 'x').fill(0, one.size),
      ]);
      const { members } = read(Buffer.concat([...parts, Buffer.alloc(1024)]), pieces);
      const back = members.map(
        ({ name, linkName, offset: _, devMajor, devMinor, xattrs, ...rest }): Entry => ({
          ...rest,
          path: rest.type === 'directory' ? name.slice(0, -1) : name,
          ...(rest.type === 'symlink' || rest.type === 'hardlink' ? { linkTarget: linkName } : {}),
          ...(rest.type === 'char' || rest.type === 'block' ? { devMajor, devMinor } : {}),
          ...(xattrs === undefined ? {} : { xattrs }),
        }),
      );
      expect(back).toEqual(list);
    }),
    { numRuns: 300 },
  );
});

test('a header written in place is the same as one made apart', () => {
  fc.assert(
    fc.property(entries, (one) => {
      const block = Buffer.alloc(1024, 7);
      if (writeHeader(one, block, 256)) expect(block.subarray(256, 768)).toEqual(encodeHeader(one));
      else expect(block).toEqual(Buffer.alloc(1024, 7));
    }),
  );
});

test('GNU and V7 archives: long names, base-256 numbers, old directories', () => {
  const place = new Place();
  const files = place.script(`
    mkdir -p ${'l'.repeat(110)}; echo deep > ${'l'.repeat(110)}/${'m'.repeat(110)}
    ln -s ${'n'.repeat(140)} link; echo one > a; chown 3000000:4000000 a
  `);
  for (const format of ['gnu', 'posix', 'oldgnu']) {
    const tar = place.path('tar');
    run('tar', [`--format=${format}`, '--numeric-owner', '--sort=name', '-cf', tar, '-C', files, '.']);
    const { members, data } = read(readFileSync(tar), 700);
    expect(members.map(({ name }) => name)).toEqual([
      './',
      './a',
      './link',
      `./${'l'.repeat(110)}/`,
      `./${'l'.repeat(110)}/${'m'.repeat(110)}`,
    ]);
    expect(members[1]).toMatchObject({ uid: 3_000_000, gid: 4_000_000, size: 4 });
    expect(members[2]).toMatchObject({ type: 'symlink', linkName: 'n'.repeat(140) });
    expect(data.get(`./${'l'.repeat(110)}/${'m'.repeat(110)}`)).toBe('deep\n');
  }
  const short = place.script('mkdir d; echo x > d/x');
  const v7 = place.path('tar');
  run('tar', ['--format=v7', '--sort=name', '-cf', v7, '-C', short, '.']);
  expect(read(readFileSync(v7)).members.map(({ name, type }) => `${name} ${type}`)).toEqual([
    './ directory',
    './d/ directory',
    './d/x file',
  ]);
});

test('global pax records hold until a member has its own', () => {
  const place = new Place();
  const tar = place.path('tar');
  run('python3', [
    '-c',
    `import sys, tarfile, io
t = tarfile.open(sys.argv[1], 'w', format=tarfile.PAX_FORMAT, pax_headers={'uid': '77', 'comment': 'x'})
for name, headers in (('a', {}), ('b', {'uid': '88'}), ('c', {})):
    m = tarfile.TarInfo(name); m.pax_headers = headers; t.addfile(m)
t.close()`,
    tar,
  ]);
  expect(read(readFileSync(tar)).members.map(({ name, uid }) => `${name} ${uid}`)).toEqual([
    'a 77',
    'b 88',
    'c 77',
  ]);
});

test('what is cut off or damaged is told apart from what is whole', () => {
  const place = new Place();
  const tar = place.path('tar');
  pythonTar(tar, `add('a', data=b'x' * 2000); add('${'n'.repeat(120)}')`);
  const whole = readFileSync(tar);
  const code = (change: (tar: Buffer) => Buffer): string => {
    try {
      read(change(Buffer.from(whole)));
      return 'fine';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  expect(code((b) => b)).toBe('fine');
  // The zero blocks at the end are a formality.
  expect(code((b) => b.subarray(0, 2560 + 1536))).toBe('fine');
  for (const length of [100, 600, 2400, 2560 + 512, 2560 + 1024, 2560 + 1100])
    expect(code((b) => b.subarray(0, length))).toBe('LAYER_TRUNCATED');
  expect(code((b) => Buffer.concat([b.subarray(0, 3), Buffer.from('Z'), b.subarray(4)]))).toBe(
    'LAYER_CORRUPT',
  );
  expect(code(() => Buffer.alloc(4096, 'garbage '))).toBe('LAYER_CORRUPT');
  expect(
    code((b) => {
      b.write('99 path=', 2560 + 512, 'latin1');
      b.write('xx', 2560 + 512, 'latin1');
      return b;
    }),
  ).toBe('LAYER_CORRUPT');
});

test('sparse members are refused, not misread', () => {
  const place = new Place();
  const files = place.script('truncate -s 1M hole; echo x >> hole');
  for (const format of ['gnu', 'posix']) {
    const tar = place.path('tar');
    run('tar', [`--format=${format}`, '-S', '-cf', tar, '-C', files, 'hole']);
    expect(() => read(readFileSync(tar))).toThrow(/sparse/);
  }
});

test('no bytes after the end of the archive matter', () => {
  const place = new Place();
  const tar = place.path('tar');
  pythonTar(tar, "add('a', data=b'1')");
  truncateSync(tar, 2048);
  writeFileSync(tar, Buffer.concat([readFileSync(tar), Buffer.alloc(5000, 'junk')]));
  expect(read(readFileSync(tar), 333).members).toHaveLength(1);
});
