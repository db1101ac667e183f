import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type BuildOptions, ROOTLESS, type Variant, Workspace } from '../helpers/workspace.ts';
import { startRegistry } from '../registry/registry-server.ts';
import { run } from '../setup/run.ts';

const AS_ROOT: Variant = { user: 'root', snapshotter: 'overlay' };

interface Explained {
  readonly step: { readonly id: string };
  readonly cache: string;
  readonly reason: string;
  readonly difference?: Record<string, unknown>;
}

/** What --explain said of each step, by the step's id. */
async function explain(
  work: Workspace,
  dockerfile: string,
  { args = [], ...options }: BuildOptions = {},
): Promise<Map<string, Explained>> {
  const words = work.buildCommand(dockerfile, { ...options, args: ['--explain', ...args] });
  const result = await work.kiln(
    words.map((word) => (word === '--progress=plain' ? '--progress=json' : word)),
    options,
  );
  expect(result.exitCode, result.stderr).toBe(0);
  const events = result.stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Explained & { type: string });
  const explained = events.filter(({ type }) => type === 'step-explained');
  return new Map(explained.map((event) => [event.step.id, event]));
}

const DOCKERFILE = `
  ARG BASE
  FROM $BASE AS made
  ARG VERSION=1
  ARG API_TOKEN=one
  RUN echo $VERSION > /version
  FROM $BASE AS unused
  RUN exit 1
  FROM made AS app
  WORKDIR /app
  COPY src src
  RUN --mount=type=bind,source=bound,target=/in --mount=type=secret,id=s cat /in > out
`;

describe.each([ROOTLESS, AS_ROOT])('--explain as $user', (variant) => {
  test('says hit, miss or not needed for each step, and what differs first', async () => {
    const work = new Workspace(variant);
    work.writeAll({ bound: 'b', 'src/a': '1', 'src/b': '1', 'src/c': '1' });
    const args = ['--secret', 'id=s,env=SECRET'];
    const env = { SECRET: 'sesame-1' };
    const first = await explain(work, DOCKERFILE, { args, env });
    expect([...first].map(([id, { cache }]) => `${id} ${cache}`)).toEqual([
      'unused/2 not-needed',
      'made/2 miss',
      'app/1 miss',
      'app/2 miss',
      'app/3 miss',
    ]);
    expect(first.get('app/2')).toMatchObject({
      reason: 'never built here',
      difference: { part: 'no-record' },
    });

    const same = await explain(work, DOCKERFILE, { args, env: { SECRET: 'sesame-2' } });
    expect([...same.values()].map(({ cache }) => cache)).toEqual(['not-needed', 'hit', 'hit', 'hit', 'hit']);

    work.shell('echo 2 > src/a; chmod 600 src/b; rm src/c; touch src/new; touch bound');
    const files = await explain(work, DOCKERFILE, { args, env });
    expect(files.get('app/1')?.cache).toBe('hit');
    expect(files.get('app/2')).toMatchObject({
      cache: 'miss',
      reason: '4 files differ in the build context: src/a, src/b (mode), src/new (added), src/c (removed)',
      difference: { part: 'files', files: { 0: { path: 'src/a', change: 'content' } }, more: 0 },
    });
    expect(files.get('app/3')?.difference).toEqual({ part: 'parent', parent: 'app/2' });

    work.write('bound', 'c');
    const mounted = await explain(work, DOCKERFILE, { args, env });
    expect(mounted.get('app/2')?.cache).toBe('hit');
    expect(mounted.get('app/3')?.reason).toBe('1 file differs in the build context (mounted at /in): bound');

    const buildArgs = { VERSION: '2', API_TOKEN: 'hunter2' };
    const argued = await explain(work, DOCKERFILE, { args, env, buildArgs });
    expect(argued.get('made/2')).toMatchObject({
      reason: 'ARG VERSION differs: "2", was "1"',
      difference: { part: 'variable', name: 'VERSION', before: '1', after: '2' },
    });
    const secret = await explain(work, DOCKERFILE, { args, env, buildArgs: { VERSION: '2' } });
    expect(secret.get('made/2')?.difference).toEqual({ part: 'variable', name: 'API_TOKEN' });
    const records = run('sh', ['-c', 'cat "$1"/*/*', 'sh', join(work.home, 'cache')]);
    expect(records).not.toMatch(/hunter2|sesame/);

    const reworded = await explain(work, DOCKERFILE.replace('echo $VER', 'echo v $VER'), { args, env });
    expect(reworded.get('made/2')?.difference).toMatchObject({
      part: 'instruction',
      before: 'echo $VERSION > /version',
      after: 'echo v $VERSION > /version',
    });
    const filtered = await explain(work, DOCKERFILE, { args: [...args, '--no-cache-filter=app'], env });
    expect(filtered.get('made/2')?.cache).toBe('hit');
    expect(filtered.get('app/1')?.difference).toEqual({ part: 'no-cache' });
  });
});

test('many files: the first few, and how many more; a list that is gone is said to be gone', async () => {
  const work = new Workspace(ROOTLESS);
  for (let n = 0; n < 12; n++) work.write(`d/${n}`, 'x');
  const dockerfile = 'FROM scratch\nCOPY d /d\n';
  await explain(work, dockerfile);
  for (let n = 0; n < 12; n++) work.write(`d/${n}`, 'y');
  const { reason, difference } = (await explain(work, dockerfile)).get('stage-0/1') ?? {};
  expect(reason).toBe('12 files differ in the build context: d/0, d/1, d/10, d/11, d/2 and 7 more');
  expect(difference).toMatchObject({ part: 'files', more: 7 });
  for (const name of readdirSync(join(work.home, 'cache/trees')))
    rmSync(join(work.home, 'cache/trees', name));
  work.write('d/1', 'z');
  expect((await explain(work, dockerfile)).get('stage-0/1')?.reason).toMatch(/is gone$/);
});

test.each(['a registry', 'a directory', 'the image itself'])(
  'on a machine that has nothing, the records of %s tell which files differ',
  async (place) => {
    const registry = await startRegistry();
    onTestFinished(() => registry.stop());
    const work = new Workspace(ROOTLESS);
    const other = new Workspace(ROOTLESS);
    for (let n = 0; n < 9; n++) work.write(`d/${n}`, 'x');
    for (let n = 0; n < 9; n++) other.write(`d/${n}`, n < 2 ? 'x' : 'y');
    other.write('d/new', 'y');
    const dockerfile = 'FROM scratch\nARG VERSION=1\nCOPY d /d\nCOPY d/1 /one\n';
    const image = `${registry.host}/app:1`;
    const directory = work.fresh('cache');
    const [to, from] =
      place === 'a registry'
        ? [`type=registry,ref=${registry.host}/cache:1`, `${registry.host}/cache:1`]
        : place === 'a directory'
          ? [`type=local,dest=${directory}`, `type=local,src=${directory}`]
          : ['type=inline', image];
    await explain(work, dockerfile, { args: ['--push', '-t', image, '--cache-to', to] });
    const explained = await explain(other, dockerfile, { args: ['--cache-from', from] });
    const files = explained.get('stage-0/1');
    expect(files?.cache).toBe('miss');
    // An image is not burdened with lists of files.
    expect(files?.reason).toBe(
      place === 'the image itself'
        ? 'files of the build context differ; which ones is not known, for the list of the earlier build is gone'
        : '8 files differ in the build context: d/2, d/3, d/4, d/5, d/6 and 3 more',
    );
    expect(explained.get('stage-0/2')).toMatchObject({ cache: 'miss', difference: { part: 'parent' } });
  },
);

test('a pruned layer, another base, another stage that made what is copied', async () => {
  const work = new Workspace(ROOTLESS);
  const dockerfile = 'ARG BASE\nFROM scratch AS one\nCOPY f /f\nFROM scratch AS two\nCOPY --from=one /f /g\n';
  work.write('f', '1');
  const first = await work.build(dockerfile);
  work.write('f', '2');
  const changed = await explain(work, dockerfile);
  expect(changed.get('two/1')?.reason).toBe('1 file differs in stage one: f');
  const [layer] = first.image.manifest.layers;
  const blob = join(work.home, 'blobs/sha256', layer?.digest.slice(7) ?? '');
  expect(existsSync(blob)).toBe(true);
  rmSync(blob);
  work.write('f', '1');
  expect((await explain(work, dockerfile)).get('two/1')).toMatchObject({
    cache: 'miss',
    difference: { part: 'layer' },
  });
  const based = (base: string) => `ARG BASE\nFROM ${base}\nWORKDIR /w\n`;
  await explain(work, based('scratch'));
  expect((await explain(work, based('$BASE'))).get('stage-0/2')?.difference).toMatchObject({ part: 'base' });
});

test('plain progress names each step once, with the answer below', async () => {
  const work = new Workspace(ROOTLESS);
  work.write('f', '1');
  const build = () => work.tryBuild('FROM scratch\nCOPY f /f\n', { args: ['--explain'] });
  expect((await build()).stderr).toContain('#1 [1/1] COPY f /f\n#1 cache miss: never built here\n#1 DONE');
  expect((await build()).stderr).toMatch(/#1 \[1\/1\] COPY f \/f\n#1 cache hit: .*\n#1 CACHED\n/);
});
