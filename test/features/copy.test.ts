import { describe, expect, test } from 'vitest';
import { ROOTLESS, VARIANTS, Workspace } from '../helpers/workspace.ts';

describe.each(VARIANTS)('COPY as $user over $snapshotter', (variant) => {
  test('files, directories, wildcards and several sources', async () => {
    const work = new Workspace(variant);
    work.writeAll({
      'a.txt': 'a',
      'b.txt': 'b',
      'c.md': 'c',
      'tree/x/one': '1',
      'tree/y/two': '2',
      'tree/.hidden': 'h',
    });
    work.write('run.sh', '#!/bin/sh\n', 0o755);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      COPY a.txt /renamed.txt
      COPY a.txt /into/
      COPY *.txt c.md /many/
      COPY tree /tree
      COPY tree/ /contents/
      COPY tre[d-f]/?/* /flat/
      COPY run.sh tree /mixed/
      RUN cat /many/b.txt > /seen-by-run
    `);
    expect(image.text('renamed.txt')).toBe('a');
    expect(image.text('into/a.txt')).toBe('a');
    expect([...image.tree.keys()].filter((name) => name.startsWith('many/'))).toEqual([
      'many/a.txt',
      'many/b.txt',
      'many/c.md',
    ]);
    for (const root of ['tree', 'contents']) {
      expect(image.text(`${root}/x/one`)).toBe('1');
      expect(image.text(`${root}/.hidden`)).toBe('h');
    }
    expect([...image.tree.keys()].filter((name) => name.startsWith('flat/'))).toEqual([
      'flat/one',
      'flat/two',
    ]);
    expect(image.tree.get('mixed/run.sh')).toMatchObject({ mode: '755', owner: '0:0' });
    expect(image.text('mixed/y/two')).toBe('2');
    expect(image.text('seen-by-run')).toBe('b');
    expect(image.tree.get('many')).toMatchObject({ mode: '755', owner: '0:0' });
    image.validate();
  });

  test('--chown and --chmod', async () => {
    const work = new Workspace(variant);
    work.writeAll({ 'd/f': 'x', single: 'y' });
    work.write('tool', '#!/bin/sh\n', 0o755);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      COPY --chown=www-data:staff d /named
      COPY --chown=1234:5678 d /numbers
      COPY --chown=www-data single /made/by/copy/single
      COPY --chmod=640 single /plain
      COPY --chmod=4755 tool /setuid
      COPY --chown=33 --chmod=u=rwX,go=rX d tool /symbolic/
    `);
    expect(image.tree.get('named')).toMatchObject({ owner: '33:50', type: 'directory' });
    expect(image.tree.get('named/f')).toMatchObject({ owner: '33:50' });
    expect(image.tree.get('numbers/f')).toMatchObject({ owner: '1234:5678' });
    expect(image.tree.get('made/by/copy/single')).toMatchObject({ owner: '33:33' });
    expect(image.tree.get('plain')).toMatchObject({ mode: '640', owner: '0:0' });
    expect(image.tree.get('setuid')).toMatchObject({ mode: '4755' });
    expect(image.tree.get('symbolic/f')).toMatchObject({ mode: '644', owner: '33:33' });
    expect(image.tree.get('symbolic/tool')).toMatchObject({ mode: '755' });
  });

  test('symbolic links: kept inside directories, followed when named, resolved in the image at the destination', async () => {
    const work = new Workspace(variant);
    work.writeAll({ target: 'content', 'd/inside': 'i' });
    work.shell(
      'ln -s target link; ln -s inside d/relative; ln -s /etc/hostname d/absolute; ln -s nowhere d/dangling; ln -s d dirlink',
    );
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      COPY link /followed
      COPY d /d
      COPY dirlink /through
      RUN mkdir -p /real/place && ln -s /real/place /door && ln -s ../real /etc/up
      COPY target /door/
      COPY target /etc/up/place/second
    `);
    expect(image.text('followed')).toBe('content');
    expect(image.tree.get('followed')?.type).toBe('file');
    expect(image.tree.get('d/relative')).toMatchObject({ type: 'symlink', link: 'inside' });
    expect(image.tree.get('d/absolute')).toMatchObject({ type: 'symlink', link: '/etc/hostname' });
    expect(image.tree.get('d/dangling')).toMatchObject({ type: 'symlink', link: 'nowhere' });
    expect(image.text('through/inside')).toBe('i');
    expect(image.tree.get('door')).toMatchObject({ type: 'symlink', link: '/real/place' });
    expect(image.text('real/place/target')).toBe('content');
    expect(image.text('real/place/second')).toBe('content');
  });

  test('over what is there: a file replaces a file, a directory merges into a directory', async () => {
    const work = new Workspace(variant);
    work.writeAll({ 'new/kept': 'new', 'new/more': 'more', file: 'replaced' });
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN mkdir -m 700 /there && echo old > /there/kept && echo stays > /there/stays && echo old > /file && chown 33:33 /there
      COPY new /there
      COPY file /file
      COPY file /there/stays
    `);
    expect(image.text('there/kept')).toBe('new');
    expect(image.text('there/more')).toBe('more');
    expect(image.text('there/stays')).toBe('replaced');
    expect(image.text('file')).toBe('replaced');
  });

  test('the layer has the parents with the owner and mode they have', async () => {
    const work = new Workspace(variant);
    work.write('f', 'f');
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN mkdir -m 2770 /srv && chown 33:50 /srv
      COPY f /srv/f
    `);
    expect(image.tree.get('srv')).toMatchObject({ mode: '2770', owner: '33:50' });
    expect(image.namesInLayer(-1)).toEqual(['srv', 'srv/f']);
  });

  test('an empty file, an empty directory, a large file', async () => {
    const work = new Workspace(variant);
    work.write('empty', '');
    work.shell('mkdir void; head -c 20000000 /dev/urandom > large; sha256sum large | cut -c 1-64 > ../sum');
    const { image } = await work.build('ARG BASE\nFROM $BASE\nCOPY . /all/\n');
    expect(image.tree.get('all/empty')).toMatchObject({ type: 'file', size: 0 });
    expect(image.tree.get('all/void')).toMatchObject({ type: 'directory' });
    expect(image.tree.get('all/large')?.sha256).toBe(work.shell('cat ../sum').trim());
  });
});

describe('COPY without a RUN', () => {
  test('unpacks and mounts nothing', async () => {
    const work = new Workspace(ROOTLESS);
    work.write('f', 'f');
    const trace = work.fresh('trace');
    await work.build('ARG BASE\nFROM $BASE\nCOPY f /etc/f\nCOPY --chown=www-data f /home/\n', {
      wrapper: ['strace', '-f', '-qq', '-e', 'trace=mount,unshare,chroot,pivot_root', '-o', trace],
    });
    expect(work.shell(`cat ${trace}`)).not.toMatch(/^\d+\s+(mount|unshare|chroot|pivot_root)\(/m);
  });

  test('keeps a whole name for a directory given with a trailing slash or a dot', async () => {
    const work = new Workspace(ROOTLESS);
    work.writeAll({ 'src/a': 'a', 'src/b/c': 'c' });
    const { image } = await work.build(`
      FROM scratch
      WORKDIR /app
      COPY src .
      COPY src/. ./dot
      COPY ./src/b ../b
      COPY ["src/a", "with space/"]
    `);
    expect([...image.tree.keys()].filter((name) => image.tree.get(name)?.type === 'file')).toEqual([
      'app/a',
      'app/b/c',
      'app/dot/a',
      'app/dot/b/c',
      'app/with space/a',
      'b/c',
    ]);
  });

  test('the same context gives the same layer, whatever the times and the clone', async () => {
    const first = new Workspace(ROOTLESS);
    const second = new Workspace(ROOTLESS);
    for (const work of [first, second]) work.writeAll({ 'a/b': 'x', 'a/c': 'y' });
    second.shell('touch -d 2031-01-01 a/b a');
    const env = { SOURCE_DATE_EPOCH: '1700000000' };
    const dockerfile = 'FROM scratch\nCOPY . /\n';
    const [one, two] = [await first.build(dockerfile, { env }), await second.build(dockerfile, { env })];
    expect(two.image.digest).toBe(one.image.digest);
  });
});
