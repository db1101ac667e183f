import { describe, expect, test } from 'vitest';
import { ROOTLESS, VARIANTS, Workspace } from '../helpers/workspace.ts';

describe.each(VARIANTS)('RUN as $user over $snapshotter', (variant) => {
  test('shell and exec forms, working directory, environment, user', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      ENV COLOUR=green
      WORKDIR /data/deep
      RUN echo "shell $COLOUR $PWD $(id -u):$(id -g)" > shell
      RUN ["/bin/sh", "-c", "echo exec $COLOUR $PWD > exec; echo \\"$0 $1\\" >> exec", "zero", "$COLOUR"]
      USER nobody
      RUN id -un > /tmp/who; id -u >> /tmp/who; echo "$HOME" >> /tmp/who
    `);
    expect(image.text('data/deep/shell')).toBe('shell green /data/deep 0:0\n');
    expect(image.text('data/deep/exec')).toBe('exec green /data/deep\nzero $COLOUR\n');
    expect(image.text('tmp/who')).toBe('nobody\n65534\n/nonexistent\n');
    expect(image.tree.get('data/deep/shell')).toMatchObject({ owner: '0:0', mode: '644' });
    expect(image.tree.get('tmp/who')).toMatchObject({ owner: '65534:65534' });
    expect(image.checkDiffIds()).toEqual(image.config.rootfs.diff_ids);
    image.validate();
  });

  test('a layer holds the change and nothing else', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN mkdir -p /opt/tool/bin && echo a > /opt/tool/bin/a && chmod 750 /opt/tool
      RUN echo b > /opt/tool/bin/b
      RUN true
      RUN cat /etc/passwd > /dev/null; touch -c /etc/nothing; ls -R / > /dev/null 2>&1; true
    `);
    expect(image.namesInLayer(1)).toEqual(['opt', 'opt/tool', 'opt/tool/bin', 'opt/tool/bin/a']);
    expect(image.namesInLayer(2)).toEqual(['opt', 'opt/tool', 'opt/tool/bin', 'opt/tool/bin/b']);
    const parent = image.listLayer(2).find((entry) => entry.name === 'opt/tool');
    expect(parent?.mode).toBe('drwxr-x---');
    for (const layer of image.manifest.layers.slice(3).keys())
      expect(image.namesInLayer(layer + 3)).toEqual([]);
  });

  test('what the sandbox mounts never becomes a file of the image', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN test -s /etc/resolv.conf && test -s /etc/hosts && echo touched > /dev/shm/x && ls /proc/self /sys /dev/null > /dev/null
    `);
    for (const name of [
      'etc/resolv.conf',
      'etc/hosts',
      'etc/hostname',
      'dev/shm',
      'dev/null',
      'dev/pts',
      'proc/self',
    ]) {
      expect(image.tree.has(name), name).toBe(false);
    }
    expect(image.tree.get('dev')?.type).toBe('directory');
  });

  test('a changed mode or owner alone is a change', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN chmod 700 /var/tmp && chown 33:50 /home
      RUN chmod 600 /etc/group
    `);
    expect(image.tree.get('var/tmp')?.mode).toBe('700');
    expect(image.tree.get('home')?.owner).toBe('33:50');
    expect(image.tree.get('etc/group')?.mode).toBe('600');
    expect(image.namesInLayer(-1)).toEqual(['etc', 'etc/group']);
  });
});

describe('the sandbox', () => {
  test('has its own processes, and ends those a RUN leaves behind', async () => {
    const work = new Workspace(ROOTLESS);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN sh -c 'sleep 1000 & sleep 1000 &'; echo $$ > /pid; ls /proc | grep -c '^[0-9]' > /count
    `);
    expect(Number(image.text('pid'))).toBeLessThan(10);
    expect(Number(image.text('count'))).toBeLessThan(12);
  });

  test('has the usual devices and no others', async () => {
    const work = new Workspace(ROOTLESS);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN cd /dev && ls > /devices && echo x > null && head -c 4 zero | wc -c > /zero && test -c urandom -a -c tty -a -d pts -a -d shm -a -h fd
    `);
    const devices = image.text('devices').trim().split('\n');
    expect(devices).toEqual(
      expect.arrayContaining([
        'fd',
        'full',
        'null',
        'ptmx',
        'pts',
        'random',
        'shm',
        'stderr',
        'stdin',
        'stdout',
        'tty',
        'urandom',
        'zero',
      ]),
    );
    expect(devices.filter((name) => /^(sd|vd|nvme|mem|kmsg|fuse)/.test(name))).toEqual([]);
    expect(image.text('zero').trim()).toBe('4');
  });

  test("cannot see or signal the host's processes, and cannot write to /proc/sys", async () => {
    const work = new Workspace(ROOTLESS);
    const { image } = await work.build(
      `
      ARG BASE
      FROM $BASE
      ARG HOST_PID
      RUN if [ -d /proc/$HOST_PID ] && grep -q vitest /proc/$HOST_PID/cmdline; then echo seen; else echo hidden; fi > /seen
      RUN (echo 1 > /proc/sys/kernel/printk && echo wrote || echo refused) > /sysctl 2>/dev/null; mount -t tmpfs none /mnt 2>/dev/null && echo mounted >> /sysctl; true
    `,
      { buildArgs: { HOST_PID: String(process.pid) } },
    );
    expect(image.text('seen')).toBe('hidden\n');
    expect(image.text('sysctl')).toBe('refused\n');
  });

  test("has Docker's capabilities, and its seccomp filter is on", async () => {
    const work = new Workspace(ROOTLESS);
    const { image } = await work.build(
      'ARG BASE\nFROM $BASE\nRUN grep -E "^(CapEff|CapBnd|Seccomp|NoNewPrivs):" /proc/self/status > /status',
    );
    const status = Object.fromEntries(
      image
        .text('status')
        .trim()
        .split('\n')
        .map((line) => line.split(':\t')),
    );
    expect(status).toEqual({
      CapEff: '00000000a80425fb',
      CapBnd: '00000000a80425fb',
      Seccomp: '2',
      NoNewPrivs: '0',
    });
  });

  test('--network=none leaves only the loopback device; host reaches a server on this machine', async () => {
    const { createServer } = await import('node:http');
    const server = createServer((_, response) => response.end('reached')).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const work = new Workspace(ROOTLESS);
    const dockerfile = `
      ARG BASE
      FROM $BASE
      ARG PORT
      RUN wget -q -O /answer http://127.0.0.1:$PORT/ || echo unreachable > /answer
      RUN ls /sys/class/net > /devices
    `;
    try {
      const options = { buildArgs: { PORT: String(port) } };
      const host = await work.build(dockerfile, { ...options, args: ['--network', 'host'] });
      const none = await work.build(dockerfile, { ...options, args: ['--network', 'none'] });
      expect(host.image.text('answer')).toBe('reached');
      expect(none.image.text('answer')).toBe('unreachable\n');
      expect(none.image.text('devices')).toBe('lo\n');
    } finally {
      server.close();
    }
  });

  test('--network=private reaches out through its own stack', async () => {
    const work = new Workspace(ROOTLESS);
    const { image } = await work.build('ARG BASE\nFROM $BASE\nRUN ls /sys/class/net > /devices', {
      args: ['--network', 'private'],
    });
    const devices = image.text('devices').trim().split('\n');
    expect(devices).toHaveLength(2);
    expect(devices).toContain('lo');
  });

  test('standard input is empty, and output arrives line by line', async () => {
    const work = new Workspace(ROOTLESS);
    const { result } = await work.build(
      'ARG BASE\nFROM $BASE\nRUN cat; echo to-stdout; echo to-stderr >&2; printf unfinished',
      { input: 'must not be read' },
    );
    for (const word of ['to-stdout', 'to-stderr', 'unfinished']) expect(result.stderr).toContain(word);
    expect(result.stderr).not.toContain('must not be read');
  });
});
