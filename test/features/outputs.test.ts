import { existsSync, lstatSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { compareTrees, readTree } from '../helpers/tree.ts';
import { ROOTLESS, VARIANTS, type Variant, Workspace } from '../helpers/workspace.ts';
import { run } from '../setup/run.ts';

const AS_ROOT: Variant = { user: 'root', snapshotter: 'overlay' };

const DOCKERFILE = `
  ARG BASE
  FROM $BASE
  RUN mkdir /d && echo content > /d/f && chown 33:50 /d/f && chmod 4755 /d/f && rm /bin/yes
  LABEL out=put
`;

function write(work: Workspace, ...outputs: string[]) {
  return work.tryBuild(DOCKERFILE, { args: outputs.flatMap((output) => ['--output', output]) });
}

describe.each(VARIANTS)('outputs as $user over $snapshotter', (variant) => {
  test('oci archive, oci directory and docker archive hold the same image', async () => {
    const work = new Workspace(variant);
    const [tar, directory, docker] = [work.fresh('oci.tar'), work.fresh('oci'), work.fresh('docker.tar')];
    const result = await write(
      work,
      `type=oci,dest=${tar}`,
      `type=oci,tar=false,dest=${directory}`,
      `type=docker,dest=${docker},name=example.com/app:1`,
    );
    expect(result.exitCode, result.stderr).toBe(0);
    const images = [
      work.open(`oci:${directory}`),
      work.open(`oci-archive:${tar}`),
      work.open(`docker-archive:${docker}:example.com/app:1`, ['--format=oci']),
    ];
    for (const image of images) {
      expect(image.config.config.Labels).toEqual({ out: 'put' });
      expect(image.checkDiffIds()).toEqual(image.config.rootfs.diff_ids);
      expect(image.tree.get('d/f')).toMatchObject({ owner: '33:50', mode: '4755' });
      expect(image.tree.has('bin/yes')).toBe(false);
    }
    expect(images[1]?.digest).toBe(images[0]?.digest);
    expect(images[2]?.config.rootfs).toEqual(images[0]?.config.rootfs);
    const listed = JSON.parse(run('tar', ['-xOf', docker, 'manifest.json'])) as [{ RepoTags: string[] }];
    expect(listed[0].RepoTags).toEqual(['example.com/app:1']);
  });

  test('tar is the root file system with its owners; local is its files', async () => {
    const work = new Workspace(variant);
    const [tar, local, layout] = [work.fresh('root.tar'), work.fresh('root'), work.fresh('oci')];
    const result = await write(
      work,
      `type=tar,dest=${tar}`,
      `type=local,dest=${local}`,
      `type=oci,tar=false,dest=${layout}`,
    );
    expect(result.exitCode, result.stderr).toBe(0);
    const image = work.open(`oci:${layout}`);
    const unpacked = work.fresh('unpacked');
    run('mkdir', [unpacked]);
    run('tar', ['--numeric-owner', '--xattrs', '--xattrs-include=*', '-xpf', tar, '-C', unpacked]);
    expect(
      compareTrees(readTree(unpacked), image.tree, { ignore: [''] }).filter((line) => !line.startsWith('/:')),
    ).toEqual([]);
    expect(readFileSync(join(local, 'd/f'), 'utf8')).toBe('content\n');
    expect(readdirSync(local).sort()).toEqual(readdirSync(image.root).sort());
  });
});

describe('compression', () => {
  test.each([
    ['gzip', 'application/vnd.oci.image.layer.v1.tar+gzip'],
    ['zstd', 'application/vnd.oci.image.layer.v1.tar+zstd'],
    ['uncompressed', 'application/vnd.oci.image.layer.v1.tar'],
  ])('%s', async (compression, mediaType) => {
    const work = new Workspace(ROOTLESS);
    const layout = work.fresh('layout');
    const result = await write(
      work,
      `type=oci,tar=false,dest=${layout},compression=${compression},force-compression=true`,
    );
    expect(result.exitCode, result.stderr).toBe(0);
    const image = work.open(`oci:${layout}`);
    expect(image.manifest.layers.map((layer) => layer.mediaType)).toEqual(
      image.manifest.layers.map(() => mediaType),
    );
    expect(image.checkDiffIds()).toEqual(image.config.rootfs.diff_ids);
    expect(image.listLayer(-1).map((entry) => entry.name)).toContain('d/f');
  });

  test('a level is obeyed, and the bytes are the same every time', async () => {
    const work = new Workspace(ROOTLESS);
    work.shell('seq 1 200000 > numbers');
    const sizes = [];
    for (const level of [1, 9, 9]) {
      const layout = work.fresh('layout');
      const result = await work.tryBuild('FROM scratch\nCOPY numbers /\n', {
        args: ['--output', `type=oci,tar=false,dest=${layout},compression-level=${level}`, '--no-cache'],
        env: { SOURCE_DATE_EPOCH: '1700000000' },
      });
      expect(result.exitCode, result.stderr).toBe(0);
      sizes.push(work.open(`oci:${layout}`).manifest.layers[0]);
    }
    expect(sizes[0]?.size).toBeGreaterThan(sizes[1]?.size ?? 0);
    expect(sizes[2]).toEqual(sizes[1]);
  });
});

test.each([ROOTLESS, AS_ROOT])(
  'a layout of large layers, fresh and cached, here and on another filesystem: $user',
  async (variant) => {
    const work = new Workspace(variant);
    work.shell(
      'dd if=/dev/urandom of=big bs=1M count=5 2> /dev/null; mkdir ../far && mount -t tmpfs -o mode=777 none ../far',
    );
    onTestFinished(() => void work.shell('umount ../far'));
    const text = `
    ARG BASE
    FROM $BASE
    RUN dd if=/dev/urandom of=/made bs=1M count=5
    COPY big /
  `;
    const far = join(dirname(work.context), 'far', 'layout');
    const [first, second] = [work.fresh('layout'), work.fresh('layout')];
    for (const [layout, ...more] of [[first], [second], [far, '--no-cache']] as const) {
      const result = await work.tryBuild(text, {
        args: ['--output', `type=oci,tar=false,dest=${layout}`, ...more],
      });
      expect(result.exitCode, result.stderr).toBe(0);
      const image = work.open(`oci:${layout}`);
      expect(image.checkDiffIds()).toEqual(image.config.rootfs.diff_ids);
      expect(readdirSync(join(layout, 'blobs', 'sha256'))).toHaveLength(2 + image.manifest.layers.length);
    }
    expect(work.open(`oci:${second}`).digest).toBe(work.open(`oci:${first}`).digest);
    const failing = work.fresh('layout');
    const failed = await work.tryBuild(`${text}\n RUN false`, {
      args: ['--no-cache', '--output', `type=oci,tar=false,dest=${failing}`],
    });
    expect(failed.exitCode).toBe(1);
    expect(existsSync(failing)).toBe(false);
  },
);

test('builds that write one layout at once all have their image there', async () => {
  const work = new Workspace(ROOTLESS);
  work.shell('dd if=/dev/urandom of=big bs=1M count=3 2> /dev/null');
  const layout = work.fresh('layout');
  const numbers = [1, 2, 3, 4];
  const results = await Promise.all(
    numbers.map((number) =>
      work.tryBuild(`FROM scratch\nCOPY big /\nLABEL number=${number}\n`, {
        args: ['--output', `type=oci,tar=false,dest=${layout},name=example.com/app:${number}`],
      }),
    ),
  );
  for (const { exitCode, stderr } of results) expect(exitCode, stderr).toBe(0);
  for (const number of numbers) {
    const image = work.open(`oci:${layout}:${number}`);
    expect(image.config.config.Labels).toEqual({ number: String(number) });
    expect(image.checkDiffIds()).toEqual(image.config.rootfs.diff_ids);
  }
  expect(readdirSync(layout).sort()).toEqual(['blobs', 'index.json', 'oci-layout']);
  // One layer, and a config and a manifest each.
  expect(readdirSync(join(layout, 'blobs', 'sha256'))).toHaveLength(1 + 2 * numbers.length);
});

test('layers that are only asked for compressed are kept so, and serve whatever comes after', async () => {
  const work = new Workspace(ROOTLESS);
  work.write('f', 'from the context');
  const dockerfile = (last: string) => `
    ARG BASE
    FROM $BASE AS tools
    RUN echo tool > /tool
    FROM $BASE
    COPY f /before
    RUN cat /before > /d && echo worker:x:4711:0::/:/bin/sh >> /etc/passwd
    COPY --from=tools /tool /tool
    COPY --chown=worker f /f
    ${last}
  `;
  const first = await work.build(dockerfile('LABEL a=b'));
  const own = first.image.config.rootfs.diff_ids.slice(-4);
  const kept = own.map((diffId) => existsSync(join(work.home, 'blobs', diffId.replace(':', '/'))));
  // A RUN stands on the first one, and one of the others says who worker is.
  expect(kept).toEqual([true, true, true, false]);
  const stored = await work.tryBuild(dockerfile('LABEL a=b'), { args: ['-t', 'kept:1'] });
  expect(stored.exitCode, stored.stderr).toBe(0);
  expect(stored.stderr.match(/\bCACHED\b/g)).toHaveLength(5);
  const root = work.fresh('root.tar');
  const more = dockerfile('RUN cat /before /tool /f > /all\n    COPY --from=tools /tool /again');
  const after = await work.build(more, { args: ['--output', `type=tar,dest=${root}`] });
  expect(after.image.text('all')).toBe('from the contexttool\nfrom the context');
  expect(after.image.tree.get('f')).toMatchObject({ owner: '4711:0' });
  expect(run('tar', ['-xOf', root, 'all'])).toBe('from the contexttool\nfrom the context');
  const fresh = new Workspace(ROOTLESS);
  fresh.write('f', 'from the context');
  const other = await fresh.build(more, {
    args: ['--output', `type=docker,dest=${fresh.fresh('docker.tar')}`],
  });
  expect(other.image.text('all')).toBe('from the contexttool\nfrom the context');
  expect(other.image.tree.get('f')).toMatchObject({ owner: '4711:0' });
});

test('to standard output: the archive and nothing else', async () => {
  const work = new Workspace(ROOTLESS);
  const file = work.fresh('piped.tar');
  const [, ...args] = work.buildCommand(DOCKERFILE, { args: ['--output', 'type=oci,dest=-'] });
  const { kilnProgram } = await import('../helpers/bases.ts');
  const { resultOf, spawnAs } = await import('../helpers/run-kiln.ts');
  const quoted = ['build', ...args].map((word) => `'${word}'`).join(' ');
  const child = spawnAs(['sh', '-c', `${kilnProgram()} ${quoted} > ${file}`], {
    user: ROOTLESS.user,
    cwd: work.context,
    home: work.home,
  });
  const result = await resultOf(child);
  expect(result.exitCode, result.stderr).toBe(0);
  expect(work.open(`oci-archive:${file}`).config.config.Labels).toEqual({ out: 'put' });
});

test('--iidfile, --metadata-file and -q agree', async () => {
  const work = new Workspace(ROOTLESS);
  const [id, metadata, layout] = [work.fresh('id'), work.fresh('metadata'), work.fresh('layout')];
  const result = await work.tryBuild(DOCKERFILE, {
    args: [
      '-q',
      '--iidfile',
      id,
      '--metadata-file',
      metadata,
      '-t',
      'one:1',
      '-t',
      'two',
      '--output',
      `type=oci,tar=false,dest=${layout}`,
    ],
  });
  expect(result.exitCode, result.stderr).toBe(0);
  const image = work.open(`oci:${layout}:1`);
  expect(work.open(`oci:${layout}:latest`).digest).toBe(image.digest);
  expect(result.stdout).toBe(`${image.manifest.config.digest}\n`);
  expect(result.stderr).toBe('');
  expect(readFileSync(id, 'utf8')).toBe(image.manifest.config.digest);
  expect(JSON.parse(readFileSync(metadata, 'utf8'))).toMatchObject({
    'containerimage.config.digest': image.manifest.config.digest,
    'containerimage.digest': image.digest,
  });
});

test.each([
  'type=oci,dest=/proc/nowhere/x.tar',
  'type=tar,dest=/usr/x.tar',
  'type=docker,dest=/usr',
  'type=oci,tar=false,dest=/usr/layout',
  'type=local,dest=/usr/files',
])('an output that cannot be written fails, is named, and leaves nothing: %s', async (output) => {
  const work = new Workspace(ROOTLESS);
  const result = await write(work, output);
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain(/dest=(.*)/.exec(output)?.[1]);
  expect(result.stderr).toContain('[OUTPUT_NOT_WRITABLE]');
});

test('a file in a directory that takes no other is written to itself', async () => {
  const work = new Workspace(ROOTLESS);
  work.shell(
    'mkdir ../kept && echo old > ../kept/out.tar && chmod 666 ../kept/out.tar && chmod 755 ../kept && chown -R 0:0 ../kept',
  );
  const file = join(dirname(work.context), 'kept', 'out.tar');
  const result = await write(work, `type=oci,dest=${file}`);
  expect(result.exitCode, result.stderr).toBe(0);
  expect(work.open(`oci-archive:${file}`).config.config.Labels).toEqual({ out: 'put' });
});

test.each(['type=oci', 'type=oci,dest=-', 'type=oci,dest=/dev/stdout'])(
  'standard output gets the archive and nothing after it: %s',
  async (output) => {
    const work = new Workspace(AS_ROOT);
    const result = await write(work, output);
    expect(result.exitCode, result.stderr).toBe(0);
    expect(result.stdout).not.toMatch(/sha256:[0-9a-f]{64}\n$/);
    expect(lstatSync('/dev/stdout').isSymbolicLink()).toBe(true);
  },
);

test('standard output takes one output, and none if it is a terminal', async () => {
  const work = new Workspace(ROOTLESS);
  const twice = await write(work, '-', 'type=oci');
  expect(twice.exitCode).toBe(2);
  expect(twice.stderr).toContain('[USAGE_OUTPUT]');
  const terminal = join(import.meta.dirname, '../helpers/pty.py');
  const [, ...args] = work.buildCommand(DOCKERFILE, { args: ['--output', 'type=docker'] });
  const wrapper = ['python3', '-c', readFileSync(terminal, 'utf8'), '24', '80', '[]'];
  const shown = await work.kiln(['build', ...args], { wrapper });
  expect(shown.exitCode).toBe(2);
  expect(shown.stdout).toContain('[USAGE_OUTPUT]');
});

test('a failed build writes no output, no iidfile and no name', async () => {
  const work = new Workspace(ROOTLESS);
  const [id, tar] = [work.fresh('id'), work.fresh('tar')];
  const result = await work.tryBuild('ARG BASE\nFROM $BASE\nRUN exit 9\n', {
    args: ['--iidfile', id, '--output', `type=oci,dest=${tar}`, '-t', 'never'],
  });
  expect(result.exitCode).toBe(1);
  for (const path of [id, tar]) expect(statSync(path, { throwIfNoEntry: false }), path).toBeUndefined();
  expect((await work.kiln(['images'])).stdout).not.toContain('never');
});

test('the image runs: runc starts what umoci makes of it', async () => {
  const work = new Workspace(ROOTLESS);
  const { image } = await work.build(
    'ARG BASE\nFROM $BASE\nENV WHO=world\nUSER 33\nWORKDIR /home\nENTRYPOINT ["/bin/sh", "-c", "echo hello $WHO from $(pwd) as $(id -u) $0"]\nCMD ["argument"]\n',
  );
  const bundle = dirname(image.root);
  const file = join(bundle, 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as {
    process: { terminal: boolean; rlimits?: unknown };
    linux: { namespaces: { type: string }[]; resources?: unknown };
  };
  config.process.terminal = false;
  delete config.process.rlimits;
  delete config.linux.resources;
  writeFileSync(file, JSON.stringify(config));
  const said = run('runc', [
    '--root',
    work.fresh('runc'),
    'run',
    '--bundle',
    bundle,
    `kiln-test-${process.pid}`,
  ]);
  expect(said).toBe('hello world from /home as 33 argument\n');
});
