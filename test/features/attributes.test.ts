import { describe, expect, test } from 'vitest';
import { debianBase } from '../helpers/bases.ts';
import { VARIANTS, Workspace } from '../helpers/workspace.ts';

/** cap_net_bind_service=ep as the kernel stores it without a user namespace: VFS_CAP_REVISION_2. */
const NET_BIND_V2 = 'security.capability=0x0100000200040000000000000000000000000000';

describe.each(VARIANTS)('attributes of files as $user over $snapshotter', (variant) => {
  test('setuid, setgid and sticky bits, odd modes, fifos, times', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN mkdir /m && cd /m && for mode in 4755 2755 6711 1644 0000 0777 7777; do echo $mode > $mode && chmod $mode $mode; done \\
       && chown 33:33 4755 && chmod 4755 4755 && mkdir -m 3777 dir && mkfifo -m 620 pipe && ln -s /nowhere/at/all dangling \\
       && touch -d @981173106 old
    `);
    for (const mode of ['4755', '2755', '6711', '1644', '777', '7777']) {
      const name = `m/${mode.padStart(4, '0')}`;
      expect(image.tree.get(name)?.mode, name).toBe(mode);
    }
    expect(image.tree.get('m/0000')?.mode).toBe('0');
    expect(image.tree.get('m/4755')?.owner).toBe('33:33');
    expect(image.tree.get('m/dir')).toMatchObject({ type: 'directory', mode: '3777' });
    expect(image.tree.get('m/pipe')).toMatchObject({ type: 'fifo', mode: '620' });
    expect(image.tree.get('m/dangling')).toMatchObject({ type: 'symlink', link: '/nowhere/at/all' });
    expect(image.tree.get('m/old')?.mtime).toBe(981173106);
  });

  test('file capabilities and extended attributes, through RUN, COPY --from and a second build on the image', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(
      `
      ARG BASE
      FROM $BASE AS tools
      RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libcap2-bin attr > /dev/null
      RUN mkdir /x && cd /x && cp /bin/true capable && setcap cap_net_bind_service=+ep capable \\
       && echo text > marked && setfattr -n user.note -v "a value" marked && setfattr -n user.bytes -v 0x00ff0a marked \\
       && mkdir dir && setfattr -n user.dir -v yes dir
      RUN getcap /x/capable > /x/seen && getfattr -n user.note --only-values /x/marked >> /x/seen
      FROM scratch
      COPY --from=tools /x /copied
      FROM tools
      COPY --from=1 /copied /again
    `,
      { base: debianBase(), timeout: 170_000 },
    );
    expect(image.text('x/seen')).toBe('/x/capable cap_net_bind_service=ep\na value');
    for (const root of ['x', 'again']) {
      expect(image.tree.get(`${root}/capable`)?.xattrs, root).toEqual([NET_BIND_V2]);
      expect(image.tree.get(`${root}/marked`)?.xattrs, root).toEqual([
        'user.bytes=0x00ff0a',
        'user.note=0x612076616c7565',
      ]);
    }
    expect(image.tree.get('x/dir')?.xattrs).toEqual(['user.dir=0x796573']);
  });

  test('sparse files keep their content', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN truncate -s 64M /sparse && printf middle | dd of=/sparse bs=1 seek=33554432 conv=notrunc 2> /dev/null && sha256sum /sparse | cut -c 1-64 > /sum
    `);
    expect(image.tree.get('sparse')).toMatchObject({ size: 64 << 20, sha256: image.text('sum').trim() });
    expect(image.manifest.layers.at(-1)?.size).toBeLessThan(1 << 20);
  });

  test('sockets are left out', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN mkdir /s && (nc -lU /s/socket & sleep 0.3; kill %1 2> /dev/null; test -S /s/socket && touch /s/there || touch /s/no-socket-made)
    `);
    expect(image.tree.has('s/socket')).toBe(false);
  });
});

describe.each(VARIANTS.filter(({ user }) => user === 'root'))(
  'device nodes as $user over $snapshotter',
  (variant) => {
    test('of a base image stay what they are', async () => {
      const work = new Workspace(variant);
      work.shell(`
      mkdir -p ../root/nodes && cd ../root && mknod -m 640 nodes/character c 10 200 && mknod -m 600 nodes/block b 8 17 && echo f > nodes/file
      tar --numeric-owner -cf ../context/nodes.tar . && rm -r ../root`);
      const { image } = await work.build('ARG BASE\nFROM $BASE\nADD nodes.tar /\n');
      expect(image.tree.get('nodes/character')).toMatchObject({
        type: 'character',
        device: '10,200',
        mode: '640',
      });
      expect(image.tree.get('nodes/block')).toMatchObject({ type: 'block', device: '8,17', mode: '600' });
    });
  },
);
