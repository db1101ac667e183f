import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { kilnProgram } from '../helpers/bases.ts';
import { resultOf, startKiln } from '../helpers/run-kiln.ts';
import { ROOTLESS, type Variant, Workspace } from '../helpers/workspace.ts';
import { run } from '../setup/run.ts';

const AS_ROOT: Variant = { user: 'root', snapshotter: 'overlay' };

async function said(work: Workspace, args: readonly string[], input?: Buffer): Promise<string> {
  const { exitCode, stdout, stderr } = await work.kiln(args, input === undefined ? {} : { input });
  expect(exitCode, stderr).toBe(0);
  return stdout;
}

/** Two images that share a base and a layer: one of gzip layers from elsewhere, one of plain ones. */
async function twoImages(work: Workspace): Promise<void> {
  work.write('f', 'shared');
  for (const name of ['app:1', 'example.com/team/other:2']) {
    const built = await work.tryBuild(`ARG BASE\nFROM $BASE\nCOPY f /f\nLABEL name=${name}\n`, {
      args: ['-t', name],
    });
    expect(built.exitCode, built.stderr).toBe(0);
  }
}

async function idOf(work: Workspace, name: string): Promise<string> {
  return (await said(work, ['inspect', '-f', '{{.Id}}', name])).trim();
}

describe.each([ROOTLESS, AS_ROOT])('as $user', (variant) => {
  test.each(['docker', 'oci'])(
    '%s archives are read by skopeo, and load gives the same images',
    async (format) => {
      const work = new Workspace(variant);
      await twoImages(work);
      const ids = [await idOf(work, 'app:1'), await idOf(work, 'example.com/team/other:2')];
      const file = work.fresh('images.tar');
      await said(work, ['save', '--format', format, '-o', file, 'app:1', 'example.com/team/other:2']);
      const stream = startKiln(['save', '--format', format, 'app:1', 'example.com/team/other'], {
        ...work.variant,
        cwd: work.context,
        home: work.home,
      });
      const chunks: Buffer[] = [];
      stream.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
      expect(await resultOf(stream)).toMatchObject({ exitCode: 0 });
      expect(Buffer.concat(chunks).equals(readFileSync(file)), 'standard output holds the same').toBe(true);
      const names = run('tar', ['-tf', file]).trim().split('\n');
      expect(new Set(names).size, 'what is shared is there once').toBe(names.length);
      for (const [index, name] of ['app:1', 'example.com/team/other:2'].entries()) {
        const source =
          format === 'docker' ? `docker-archive:${file}:${name}` : `oci-archive:${file}:${index + 1}`;
        const config = JSON.parse(run('skopeo', ['inspect', '--config', source]));
        expect(config.config.Labels.name).toBe(name);
        run('skopeo', ['copy', '-q', '--insecure-policy', source, `oci:${work.fresh('copy')}:a`]);
      }
      const other = new Workspace(variant);
      expect(await said(other, ['load', '-i', file])).toBe(
        'Loaded image: app:1\nLoaded image: example.com/team/other:2\n',
      );
      expect([await idOf(other, 'app:1'), await idOf(other, 'example.com/team/other:2')]).toEqual(ids);
      if (format === 'oci') {
        const digest = '{{.Descriptor.digest}}';
        expect(await said(other, ['inspect', '-f', digest, 'app:1'])).toBe(
          await said(work, ['inspect', '-f', digest, 'app:1']),
        );
      }
      const { image } = await other.build('FROM app:1\nRUN cat /f > /g\n');
      expect(image.text('g')).toBe('shared');
    },
  );
});

test('load reads what skopeo and tar wrote, compressed in any way, from a file and a pipe', async () => {
  const work = new Workspace();
  await twoImages(work);
  const id = await idOf(work, 'app:1');
  const store = `oci:${work.home}:docker.io/library/app:1`;
  const archives: [string, string][] = [];
  for (const [transport, name] of [
    ['docker-archive', 'app:1'],
    ['oci-archive', 'docker.io/library/app:1'],
  ]) {
    const file = work.fresh('archive.tar');
    run('skopeo', ['copy', '-q', '--insecure-policy', store, `${transport}:${file}:${name}`]);
    archives.push([file, 'Loaded image: app:1\n']);
  }
  const unnamed = work.fresh('unnamed.tar');
  run('skopeo', ['copy', '-q', '--insecure-policy', store, `oci-archive:${unnamed}`]);
  archives.push([unnamed, `Loaded image ID: ${id}\n`]);
  const layout = work.fresh('layout');
  run('skopeo', ['copy', '-q', '--insecure-policy', store, `oci:${layout}:app:1`]);
  const odd = work.fresh('odd.tar');
  run('tar', ['--format=pax', '-C', layout, '-cf', odd, '.']);
  archives.push([odd, 'Loaded image: app:1\n']);
  const other = new Workspace();
  for (const [file, expected] of archives) {
    expect(await said(other, ['load', '-i', file])).toBe(expected);
    expect(await said(other, ['rmi', expected.startsWith('Loaded image ID') ? id : 'app:1'])).toMatch(
      /^(?:Untagged|Deleted)/,
    );
  }
  const [[file = ''] = []] = archives;
  for (const program of ['gzip', 'zstd', 'xz', 'bzip2']) {
    run('sh', ['-c', `${program} -c "$1" > "$1.${program}"`, 'sh', file]);
    expect(await said(other, ['load', '-q'], readFileSync(`${file}.${program}`)), program).toBe(
      'Loaded image: app:1\n',
    );
  }
  // Two members are one file to gzip and zstd.
  for (const program of ['gzip', 'zstd']) {
    const split = `{ head -c 100000 "$1" | ${program} -c; tail -c +100001 "$1" | ${program} -c; } > "$1.two"`;
    run('sh', ['-c', split, 'sh', file]);
    expect(await said(other, ['load'], readFileSync(`${file}.two`)), program).toBe('Loaded image: app:1\n');
  }
  expect(await idOf(other, 'app:1')).toBe(id);
});

test('what save writes has the form that docker load reads; podman and buildah load it, and what podman saves is loaded', async () => {
  const work = new Workspace(AS_ROOT);
  await twoImages(work);
  await said(work, ['tag', 'app:1', 'app:again']);
  const file = work.fresh('images.tar');
  await said(work, ['save', '-o', file, 'app:1', 'app:again', 'example.com/team/other:2']);
  const entries = new Set(run('tar', ['-tf', file]).trim().split('\n'));
  const images = JSON.parse(run('tar', ['-xOf', file, 'manifest.json'])) as {
    Config: string;
    RepoTags: string[];
    Layers: string[];
  }[];
  expect(images.map(({ RepoTags }) => RepoTags)).toEqual([
    ['app:1', 'app:again'],
    ['example.com/team/other:2'],
  ]);
  expect(images[0]?.Layers).toEqual(images[1]?.Layers);
  for (const { Config, Layers } of images) {
    const config = JSON.parse(run('tar', ['-xOf', file, Config])) as { rootfs: { diff_ids: string[] } };
    expect(Layers).toHaveLength(config.rootfs.diff_ids.length);
    for (const [index, layer] of Layers.entries()) {
      expect(entries).toContain(layer);
      const sum = run('sh', ['-c', 'tar -xOf "$1" "$2" | sha256sum | cut -c -64', 'sh', file, layer]).trim();
      expect(`sha256:${sum}`).toBe(config.rootfs.diff_ids[index]);
    }
  }

  const storage = ['--root', work.fresh('root'), '--runroot', work.fresh('run'), '--storage-driver', 'vfs'];
  run('podman', [...storage, 'load', '-q', '-i', file]);
  const listed = run('podman', [...storage, 'images', '--format', '{{.Repository}}:{{.Tag}}'])
    .trim()
    .split('\n');
  const names = ['localhost/app:1', 'localhost/app:again', 'example.com/team/other:2'];
  expect(listed.sort()).toEqual([...names].sort());
  const id = (await idOf(work, 'app:1')).slice(7);
  const built = ['--root', work.fresh('root'), '--runroot', work.fresh('run'), '--storage-driver', 'vfs'];
  expect(run('buildah', [...built, 'pull', '-q', `docker-archive:${file}:app:1`]).trim()).toBe(id);

  for (const [words, expected] of [
    [['--format', 'docker-archive', '--multi-image-archive'], names],
    [['--format', 'docker-archive'], names.slice(0, 1)],
    [['--format', 'oci-archive'], names.slice(2)],
  ] as const) {
    const archive = work.fresh('podman.tar');
    run('podman', [...storage, 'save', '-q', ...words, '-o', archive, ...expected]);
    for (const program of ['cat', 'gzip', 'zstd']) {
      run('sh', ['-c', `${program} < "$1" > "$1.out"`, 'sh', archive]);
      const other = new Workspace(ROOTLESS);
      const loaded = await said(other, ['load'], readFileSync(`${archive}.out`));
      expect(loaded).toBe(expected.map((name) => `Loaded image: ${name}\n`).join(''));
      if (expected[0] === names[0]) expect(await idOf(other, 'localhost/app:1')).toBe(`sha256:${id}`);
    }
  }
});

test('an image for several platforms is saved and loaded whole, or one of it', async () => {
  const work = new Workspace();
  work.write('f', '1');
  const built = await work.tryBuild('FROM scratch\nCOPY f /f\n', {
    args: ['-t', 'multi', '--platform', 'linux/amd64,linux/arm64'],
  });
  expect(built.exitCode, built.stderr).toBe(0);
  const file = work.fresh('multi.tar');
  await said(work, ['save', '--format', 'oci', '-o', file, 'multi']);
  const other = new Workspace();
  await said(other, ['load', '-i', file]);
  const index = JSON.parse(
    run('skopeo', ['inspect', '--raw', `oci:${other.home}:docker.io/library/multi:latest`]),
  );
  expect(index.manifests).toHaveLength(2);
  const one = work.fresh('one.tar');
  await said(work, ['save', '--platform', 'linux/arm64', '-o', one, 'multi']);
  expect(JSON.parse(run('skopeo', ['inspect', '--config', `docker-archive:${one}`])).architecture).toBe(
    'arm64',
  );
});

test('save names what it is asked for, and refuses what it cannot do', async () => {
  const work = new Workspace();
  work.write('f', '1');
  for (const name of ['app:1', 'app:2', 'apple:1'])
    await work.tryBuild('FROM scratch\nCOPY f /f\n', { args: ['-t', name] });
  const nowhere = await work.kiln(['save', '-o', 'missing/images.tar', 'app:1']);
  expect(nowhere).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('there is no directory') });
  expect(existsSync(join(work.context, 'missing'))).toBe(false);
  const tags = async (...images: string[]): Promise<unknown> => {
    const file = work.fresh('saved.tar');
    await said(work, ['save', '-o', file, ...images]);
    return JSON.parse(run('tar', ['-xOf', file, 'manifest.json'])).map(
      ({ RepoTags: names }: { RepoTags: unknown }) => names,
    );
  };
  expect(await tags('app')).toEqual([['app:1', 'app:2']]);
  expect(await tags('app:2', 'apple:1')).toEqual([['app:2', 'apple:1']]);
  expect(await tags((await idOf(work, 'app:1')).slice(7, 19))).toEqual([[]]);
  const nothing = await work.kiln(['save', '-o', work.fresh('x'), 'nothing']);
  expect(nothing).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('STORE_NO_IMAGE') });
  const command = `${kilnProgram()} save --root ${work.home} app:1; echo status $?`;
  expect(run('script', ['-qec', command, '/dev/null'])).toMatch(/nothing for a terminal[\s\S]*status 2\r\n$/);
});

test('import makes an image of a tar', async () => {
  const work = new Workspace();
  work.shell(
    'mkdir -p root/bin root/etc; echo hello > root/etc/motd; cp $(command -v busybox || echo /bin/true) root/bin/sh; tar -C root -czf root.tar.gz .',
  );
  const tar = join(work.context, 'root.tar.gz');
  const env = { SOURCE_DATE_EPOCH: '1000000000' };
  const args = [
    '-c',
    'CMD ["cat", "/etc/motd"]',
    '--change',
    'ENV A=1\nENV B=$A',
    '-c',
    'WORKDIR /etc',
    '-m',
    'made by hand',
  ];
  const first = await work.kiln(['import', ...args, tar, 'imported:1'], { env });
  expect(first, first.stderr).toMatchObject({
    exitCode: 0,
    stdout: expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/),
  });
  const piped = await work.kiln(['import', ...args, '-', 'imported:2'], { env, input: readFileSync(tar) });
  expect(piped.stdout).toBe(first.stdout);
  const server = createServer((request, response) => {
    if (request.url === '/root.tar.gz') response.end(readFileSync(tar));
    else response.writeHead(404).end();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  const fetched = await work.kiln(['import', ...args, `http://127.0.0.1:${port}/root.tar.gz`], { env });
  expect(fetched.stdout).toBe(first.stdout);
  const config = JSON.parse(
    run('skopeo', ['inspect', '--config', `oci:${work.home}:docker.io/library/imported:1`]),
  );
  expect(config).toMatchObject({
    created: '2001-09-09T01:46:40Z',
    config: {
      Cmd: ['cat', '/etc/motd'],
      Env: [expect.stringContaining('PATH='), 'A=1', 'B=1'],
      WorkingDir: '/etc',
    },
    history: [{ comment: 'made by hand' }],
  });
  const { image } = await work.build('FROM imported:2\nCOPY --from=imported:1 /etc/motd /seen\n');
  expect(image.text('seen')).toBe('hello\n');
  for (const [words, code, status] of [
    [['-c', 'RUN true', tar], 'USAGE_CHANGE', 2],
    [['-c', 'CMDD x', tar], 'DOCKERFILE_', 2],
    [['/nothing.tar'], 'USAGE_INPUT', 2],
    [[work.context], 'USAGE_INPUT', 2],
    [[`http://127.0.0.1:${port}/nothing`], 'USAGE_INPUT', 2],
    [[work.write('no.tar', 'x'.repeat(2000))], 'IMAGE_INVALID_ARCHIVE', 1],
    [[tar, 'UPPER:1'], 'IMAGE_INVALID_REFERENCE', 1],
  ] as const) {
    const wrong = await work.kiln(['import', ...words]);
    expect(wrong.stderr, words.join(' ')).toContain(code);
    expect(wrong.exitCode).toBe(status);
  }
  const cut = readFileSync(tar).subarray(0, -100);
  writeFileSync(work.write('cut.tar.gz'), cut);
  expect(await work.kiln(['import', join(work.context, 'cut.tar.gz')])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('IMAGE_INVALID_ARCHIVE'),
  });
});
