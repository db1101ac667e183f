import { appendFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOTLESS, type Variant, Workspace } from '../helpers/workspace.ts';
import { run } from '../setup/run.ts';

const AS_ROOT: Variant = { user: 'root', snapshotter: 'overlay' };
const DOCKERFILE = 'ARG BASE\nFROM $BASE\nCOPY f /f\nRUN echo made > /made\nRUN cat /f /made > /both\n';

async function builtStore(variant: Variant): Promise<Workspace> {
  const work = new Workspace(variant);
  work.write('f', 'content');
  // Old enough for its digest to be remembered.
  work.shell('touch -d "1 hour ago" f; sleep 0.1');
  const layout = work.fresh('layout');
  const built = await work.tryBuild(DOCKERFILE, {
    args: [
      '-t',
      'app',
      '--output',
      'type=image',
      '--output',
      `type=oci,tar=false,dest=${layout},compression=gzip`,
    ],
  });
  expect(built.exitCode, built.stderr).toBe(0);
  return work;
}

interface Said {
  readonly lost: boolean;
  readonly kinds: readonly string[];
}

async function doctor(work: Workspace, ...args: string[]): Promise<Said> {
  const { exitCode, stdout, stderr } = await work.kiln(['doctor', '--store', '--format', 'json', ...args]);
  expect(stderr).toBe('');
  const { problems } = JSON.parse(stdout) as { problems: { kind: string; lost: boolean }[] };
  expect(exitCode).toBe(problems.some(({ lost }) => lost) ? 1 : 0);
  return { lost: exitCode === 1, kinds: [...new Set(problems.map(({ kind }) => kind))].sort() };
}

const files = (work: Workspace, folder: string, pattern: RegExp): string[] =>
  readdirSync(join(work.home, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => pattern.test(name))
    .map((name) => join(work.home, folder, name));

const change = (paths: readonly string[], content: (old: Buffer) => Buffer | string): number => {
  for (const path of paths) writeFileSync(path, content(readFileSync(path)));
  return paths.length;
};

const flipped = (old: Buffer): Buffer =>
  Buffer.from(old.map((byte, index) => (index === 600 ? byte ^ 1 : byte)));

describe.each([ROOTLESS, AS_ROOT])('as $user', (variant) => {
  test('a whole store is found whole, and a damaged one mended', async () => {
    const work = await builtStore(variant);
    expect(await doctor(work)).toEqual({ lost: false, kinds: [] });
    const said = await work.kiln(['doctor', '--store']);
    expect(said.stdout).toMatch(
      /^checked 1 images, \d+ blobs \(\d.*\), 3 cache records, \d+ layer files, [1-9]\d* snapshot names, 0 containers\nthe store is whole\n$/,
    );
    change(files(work, 'layers', /\.toc$/), () => '');
    change(files(work, 'blobs/sha256', /./), flipped);
    expect((await doctor(work)).lost).toBe(true);
    expect(await doctor(work)).toEqual({ lost: false, kinds: [] });
  });
});

test.each<[string, (work: Workspace) => number, Said]>([
  [
    'a table of contents',
    (work) => change(files(work, 'layers', /\.toc$/), (old) => old.subarray(9)),
    { lost: false, kinds: ['toc'] },
  ],
  [
    'a compressed form',
    (work) => change(files(work, 'layers', /\.gzip/), () => 'x'),
    { lost: false, kinds: ['variant'] },
  ],
  [
    'a snapshot’s name',
    (work) => change(files(work, 'chains', /./), () => '../../etc'),
    { lost: false, kinds: ['snapshot'] },
  ],
  [
    'a snapshot',
    (work) => {
      const paths = files(work, 'snapshots', /^[^/]+$/);
      run('rm', ['-rf', ...paths]);
      return paths.length;
    },
    { lost: false, kinds: ['snapshot'] },
  ],
  [
    'a list of files',
    (work) => change(files(work, 'cache/trees', /./), () => 'x'),
    { lost: false, kinds: ['files'] },
  ],
  [
    'a memory of file digests',
    (work) =>
      change(files(work, 'cache', /^files-/), (old) => old.toString('latin1').replace(/[0-9a-f]{64}/, 'x')),
    { lost: false, kinds: ['memory'] },
  ],
  [
    'a list of steps of one shape',
    (work) => change(files(work, 'cache/shapes', /./).slice(0, 1), () => 'sha256:x'),
    { lost: false, kinds: ['memory'] },
  ],
  [
    'a memory of sizes',
    (work) => {
      writeFileSync(join(work.home, 'cache', 'directory-sizes'), '{');
      return 1;
    },
    { lost: false, kinds: ['memory'] },
  ],
  [
    'a record',
    (work) => change(files(work, 'cache', /^[0-9a-f]{2}\/.{64}$/).slice(0, 1), () => '{'),
    { lost: true, kinds: ['record'] },
  ],
  [
    'a part of a record',
    (work) =>
      change(files(work, 'cache', /^[0-9a-f]{2}\/.{64}$/).slice(0, 1), (old) =>
        old.toString().replace('"parent"', '"parents"'),
      ),
    { lost: true, kinds: ['record'] },
  ],
  [
    'every layer',
    (work) =>
      change(
        files(work, 'blobs/sha256', /./).filter((path) => readFileSync(path).length > 600),
        flipped,
      ),
    { lost: true, kinds: ['blob', 'image', 'record'] },
  ],
  [
    'a manifest',
    (work) => {
      const index = JSON.parse(readFileSync(join(work.home, 'index.json'), 'utf8'));
      rmSync(join(work.home, 'blobs/sha256', index.manifests[0].digest.slice(7)));
      return 1;
    },
    { lost: true, kinds: ['image'] },
  ],
  [
    'the index',
    (work) => change([join(work.home, 'index.json')], () => '{'),
    { lost: true, kinds: ['index'] },
  ],
])(
  '%s that is damaged is told and mended, and the next build makes an image again',
  async (_what, spoil, expected) => {
    const work = await builtStore(ROOTLESS);
    expect(spoil(work)).toBeGreaterThan(0);
    if (!expected.kinds.includes('index')) expect(await doctor(work, '--dry-run')).toEqual(expected);
    expect(await doctor(work)).toEqual(expected);
    expect(await doctor(work), 'a second look').toEqual({ lost: false, kinds: [] });
    const built = await work.tryBuild(DOCKERFILE, { args: ['-t', 'app'] });
    expect(built.exitCode, built.stderr).toBe(0);
    expect(work.open(`oci:${work.home}:docker.io/library/app:latest`).text('both')).toBe('contentmade\n');
    expect(await doctor(work), 'after the build').toEqual({ lost: false, kinds: [] });
  },
);

test('what is lost is told with the way to get it back', async () => {
  const work = await builtStore(ROOTLESS);
  writeFileSync(join(work.home, 'index.json'), '');
  appendFileSync(
    files(work, 'blobs/sha256', /./).filter((path) => readFileSync(path, 'latin1').includes('"rootfs"'))[0] ??
      '',
    'x',
  );
  const said = await work.kiln(['doctor', '--store']);
  expect(said.stdout).toMatch(/^mended index index\.json: it cannot be read/m);
  expect(said.stdout).toMatch(/^mended blob sha256:[0-9a-f]{64}: its bytes have another digest$/m);
  expect(said.stdout).toMatch(/^lost: image sha256:[0-9a-f]{64}; build or pull it again$/m);
  expect(said.exitCode).toBe(1);
  const left = await builtStore(ROOTLESS);
  writeFileSync(join(left.home, 'index.json'), '');
  await left.kiln(['doctor', '--store']);
  const [id = ''] = (await left.kiln(['images', '-q', '--filter', 'dangling=true'])).stdout.split('\n');
  expect(await left.kiln(['tag', id, 'again'])).toMatchObject({ exitCode: 0 });
  expect(left.open(`oci:${left.home}:docker.io/library/again:latest`).text('both')).toBe('contentmade\n');
});

test('containers: one without a record goes, one without its image is told', async () => {
  const work = await builtStore(ROOTLESS);
  for (const name of ['kept', 'spoilt']) {
    const ran = await work.kiln(['run', '--name', name, 'app', 'touch', '/x']);
    expect(ran.exitCode, ran.stderr).toBe(0);
  }
  expect(await doctor(work)).toEqual({ lost: false, kinds: [] });
  const ps = await work.kiln(['ps', '-aq', '--no-trunc', '--filter', 'name=spoilt']);
  const id = ps.stdout.trim();
  writeFileSync(join(work.home, 'containers', id, 'state.json'), '{');
  expect(await doctor(work, '--dry-run')).toEqual({ lost: true, kinds: ['container'] });
  expect(await doctor(work)).toEqual({ lost: true, kinds: ['container'] });
  expect(await doctor(work)).toEqual({ lost: false, kinds: [] });
  expect((await work.kiln(['prune'])).exitCode).toBe(0);
  expect(readdirSync(join(work.home, 'containers'))).toHaveLength(1);
  expect(readdirSync(join(work.home, 'tmp'))).toEqual([]);

  await work.kiln(['rmi', '-f', 'app']);
  run('sh', ['-c', 'rm -r "$1"/blobs/sha256/*', 'sh', work.home]);
  const said = await work.kiln(['doctor', '--store']);
  expect(said.exitCode).toBe(1);
  expect(said.stdout).toMatch(/^found container kept: its image: its manifest sha256:\w+ is missing/m);
  expect(said.stdout).toMatch(/^lost: container kept; kiln rm removes/m);
  expect((await work.kiln(['rm', 'kept'])).exitCode).toBe(0);
  expect(await doctor(work)).toEqual({ lost: false, kinds: [] });
});
