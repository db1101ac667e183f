import { describe, expect, test } from 'vitest';
import { ROOTLESS, VARIANTS, Workspace } from '../helpers/workspace.ts';

const MAKE = `
  mkdir -p in/sub && echo one > in/one && echo two > in/sub/two && ln in/one in/linked && ln -s sub/two in/soft
  chmod 4711 in/one; chown -R 1000:50 in/sub
  tar -cf plain.tar -C in . && gzip -k plain.tar && bzip2 -k plain.tar && xz -k plain.tar && zstd -q -k plain.tar
  mv plain.tar.gz no-suffix-gzip; mv plain.tar.bz2 data.tbz; tar --format=v7 -cf old.tar -C in . ; tar --format=gnu -cf gnu.tar -C in .
  rm -r in
`;

describe.each(VARIANTS)('ADD of local archives as $user over $snapshotter', (variant) => {
  test('plain, gzip, bzip2, xz and zstd are unpacked, by content and not by name', async () => {
    const work = new Workspace(variant);
    work.shell(MAKE);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      ADD plain.tar /plain
      ADD no-suffix-gzip /gzip/
      ADD data.tbz /bzip2
      ADD plain.tar.xz /xz
      ADD plain.tar.zst /zstd
      ADD old.tar /old
      ADD gnu.tar /gnu
      RUN cat /xz/sub/two > /seen
    `);
    for (const root of ['plain', 'gzip', 'bzip2', 'xz', 'zstd', 'old', 'gnu']) {
      expect(image.text(`${root}/sub/two`), root).toBe('two\n');
      expect(image.tree.get(`${root}/sub/two`), root).toMatchObject({ owner: '1000:50' });
      expect(image.tree.get(`${root}/soft`), root).toMatchObject({ type: 'symlink', link: 'sub/two' });
      expect(image.tree.get(`${root}/linked`), root).toMatchObject({ mode: '4711' });
      expect(image.tree.get(`${root}/one`)?.sameAs, root).toBe(`${root}/linked`);
    }
    expect(image.text('seen')).toBe('two\n');
  });

  test('--chown overrides the owners in the archive', async () => {
    const work = new Workspace(variant);
    work.shell(MAKE);
    const { image } = await work.build('ARG BASE\nFROM $BASE\nADD --chown=www-data:staff plain.tar.xz /x\n');
    expect(image.tree.get('x/one')?.owner).toBe('33:50');
    expect(image.tree.get('x/sub/two')?.owner).toBe('33:50');
  });
});

describe('ADD', () => {
  test('copies what is no archive, and COPY never unpacks', async () => {
    const work = new Workspace(ROOTLESS);
    work.shell(
      `${MAKE} echo text > text; head -c 600 plain.tar.xz > broken.tar.xz; echo x | gzip > single.gz`,
    );
    const { image } = await work.build(`
      FROM scratch
      ADD text /text
      ADD single.gz /single.gz
      COPY plain.tar /plain.tar
      ADD --unpack=false plain.tar /kept.tar
    `);
    expect(image.text('text')).toBe('text\n');
    expect(image.tree.get('single.gz')?.type).toBe('file');
    expect(image.tree.get('plain.tar')?.type).toBe('file');
    expect(image.tree.get('kept.tar')?.type).toBe('file');
  });

  test('an archive never writes outside its destination', async () => {
    const work = new Workspace(ROOTLESS);
    work.shell(`
      mkdir -p w/in && cd w && echo evil > evil && ln -s /etc in/etc && ln -s ../../.. in/up && echo ok > in/fine
      tar -P -cf ../escape.tar -C in . && tar -P --transform='s,^evil,etc/passwd,' -rf ../escape.tar evil
      tar -P --transform='s,^evil,up/climbed,' -rf ../escape.tar evil
      tar -P --transform='s,^evil,../../dotdot,' -rf ../escape.tar evil
      tar -P --transform='s,^evil,/absolute,' -rf ../escape.tar evil
      cd .. && rm -r w`);
    const result = await work.tryBuild(`
      ARG BASE
      FROM $BASE
      ADD escape.tar /opt/here/
    `);
    // Refused or confined: never a write through a link or a "..", in the image or on the machine.
    if (result.exitCode === 0) {
      const { image } = await work.build('ARG BASE\nFROM $BASE\nADD escape.tar /opt/here/\n');
      expect(image.text('etc/passwd')).toContain('root:x:0:0');
      for (const name of ['dotdot', 'climbed', 'absolute', 'opt/dotdot'])
        expect(image.tree.has(name), name).toBe(false);
    } else {
      expect(result.stderr).toMatch(/[A-Z]+_[A-Z_]+/);
    }
  });
});
