import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { OciImage } from '../helpers/oci-image.ts';
import { ROOTLESS, VARIANTS, Workspace } from '../helpers/workspace.ts';
import { makeRepository, type ServedFile, serveFiles, serveGit } from '../remote/servers.ts';
import { run } from '../setup/run.ts';

/** When `makeRepository` commits. */
const COMMITTED = '2024-01-02T03:04:05Z';
/** A Last-Modified header, and the same as RFC 3339 and in seconds. */
const HEADER = 'Wed, 05 Jun 2024 06:07:08 GMT';
const MODIFIED = '2024-06-05T06:07:08Z';

/** Has one layer of the build's own making, and says what a stage sees. */
const DOCKERFILE = `FROM scratch
ARG SOURCE_DATE_EPOCH
LABEL seen=\${SOURCE_DATE_EPOCH-unset}
COPY <<EOF /made/f
EOF
`;

/** Checks that a time is the only one of an image: config, history, layer, and what a stage sees. Undefined: none is fixed. */
function expectTime(image: OciImage, time: string | undefined): void {
  const { created, history, config } = image.config;
  const seconds = time === undefined ? undefined : Date.parse(time) / 1000;
  expect(config.Labels).toEqual({ seen: String(seconds ?? 'unset') });
  if (seconds === undefined) {
    expect(Date.now() - Date.parse(created ?? '')).toBeLessThan(600_000);
    return;
  }
  expect(created).toBe(time);
  expect(new Set(history.map((entry) => entry.created))).toEqual(new Set([time]));
  for (const path of ['made', 'made/f']) expect(image.tree.get(path)?.mtime, path).toBe(seconds);
}

interface Ways {
  readonly flag?: string;
  readonly buildArg?: string;
  readonly env?: string;
  /** Of an ARG before the first FROM. */
  readonly file?: string;
}

describe('SOURCE_DATE_EPOCH as a number', () => {
  test.each<readonly [string, Ways, number | undefined]>([
    ['not at all', {}, undefined],
    ['in the environment', { env: '1000000003', file: '1000000004' }, 1_000_000_003],
    ['by --build-arg', { buildArg: '1000000002', env: '1000000003', file: '1000000004' }, 1_000_000_002],
    ['by its flag', { flag: '1000000001', buildArg: '1000000002', file: '4' }, 1_000_000_001],
    ['empty in the environment: not set there', { env: '', file: '1000000004' }, 1_000_000_004],
    ['empty by its flag: none', { flag: '', buildArg: '2', env: '3', file: '4' }, undefined],
    ['zero', { flag: '0' }, 0],
  ])('%s', async (_name, { flag, buildArg, env, file }, seconds) => {
    const work = new Workspace();
    const { image } = await work.build(
      file === undefined ? DOCKERFILE : `ARG SOURCE_DATE_EPOCH=${file}\n${DOCKERFILE}`,
      {
        args: flag === undefined ? [] : ['--source-date-epoch', flag],
        buildArgs: buildArg === undefined ? {} : { SOURCE_DATE_EPOCH: buildArg },
        env: env === undefined ? {} : { SOURCE_DATE_EPOCH: env },
      },
    );
    const time = seconds === undefined ? undefined : new Date(seconds * 1000).toISOString();
    expectTime(image, time?.replace('.000', ''));
  });

  test('the last there is: nothing is later, and a tool can still read it', async () => {
    const work = new Workspace();
    const { image } = await work.build('FROM scratch\nWORKDIR /w\n', {
      args: ['--timestamp', '253402300799'],
    });
    expect(image.config.created).toBe('9999-12-31T23:59:59Z');
    const [layer] = image.manifest.layers;
    const listed = run('tar', ['--full-time', '-tvzf', image.blobPath(layer?.digest ?? '')], {
      env: { TZ: 'UTC' },
    });
    expect(listed).toContain('9999-12-31 23:59:59 w/');
  });

  test('the default of a stage is no time of the build, and a global one does not replace it', async () => {
    const work = new Workspace();
    const stage = `FROM scratch\nARG SOURCE_DATE_EPOCH=7\nLABEL seen=$SOURCE_DATE_EPOCH\nCOPY <<EOF /f\nEOF\n`;
    const { image } = await work.build(stage);
    expect(image.config.config.Labels).toEqual({ seen: '7' });
    expect(image.tree.get('f')?.mtime).toBeGreaterThan(7);
    const both = await work.build(`ARG SOURCE_DATE_EPOCH=1000000000\n${stage}`);
    expect(both.image.config.config.Labels).toEqual({ seen: '7' });
    expect(both.image.tree.get('f')?.mtime).toBe(1_000_000_000);
  });

  test('a layer made for another time is taken from the cache, with the time of this build', async () => {
    const work = new Workspace();
    const dockerfile = 'ARG BASE\nFROM $BASE\nRUN echo 1 > /ran\nCOPY <<EOF /made/f\nEOF\nWORKDIR /w\n';
    const times = async (epoch: string): Promise<(number | undefined)[]> => {
      const { image } = await work.build(dockerfile, { env: { SOURCE_DATE_EPOCH: epoch } });
      return ['ran', 'made', 'made/f', 'w'].map((path) => image.tree.get(path)?.mtime);
    };
    for (const time of await times('')) expect(time).toBeGreaterThan(1_700_000_000);
    expect(await times('1000')).toEqual([1000, 1000, 1000, 1000]);
    expect(await times('2000')).toEqual([2000, 2000, 2000, 2000]);
    const other = await work.tryBuild(dockerfile, {
      env: { SOURCE_DATE_EPOCH: '3000' },
      args: ['--explain'],
    });
    expect(
      other.stderr.match(/hit: the same step on the same steps; its times become SOURCE_DATE_EPOCH/g),
    ).toHaveLength(3);
    expect(other.stderr).not.toContain('miss');
    const again = await work.tryBuild(dockerfile, { env: { SOURCE_DATE_EPOCH: '1000' } });
    expect(again.stderr.match(/CACHED/g)).toHaveLength(3);
    for (const time of await times('')) expect(time).toBeGreaterThan(1_700_000_000);
  });
});

describe.each([ROOTLESS, VARIANTS[2]])('SOURCE_DATE_EPOCH=context as $user', (variant) => {
  /** Builds a context at an address or on standard input. */
  async function buildContext(work: Workspace, context: string, input?: Buffer): Promise<OciImage> {
    const layout = work.fresh('layout');
    const args = ['build', '--build-arg', 'SOURCE_DATE_EPOCH=context'];
    const result = await work.kiln([...args, `--output=type=oci,tar=false,dest=${layout}`, context], {
      ...(input === undefined ? {} : { input }),
    });
    if (result.exitCode !== 0) throw new Error(result.stderr);
    return work.open(`oci:${layout}`);
  }

  test('a repository: the time of the commit', async () => {
    const work = new Workspace(variant);
    makeRepository(work.directory, 'r', DOCKERFILE);
    const { url } = await serveGit(work.directory);
    expectTime(await buildContext(work, `${url}/r.git`), COMMITTED);
  });

  test('an archive at an address: Last-Modified, else its newest file', async () => {
    const work = new Workspace(variant);
    work.write('Dockerfile', DOCKERFILE);
    work.shell(
      'mkdir d; touch -d 2020-05-05T00:00:00Z old; touch -d 2022-02-02T02:02:02Z new Dockerfile; tar -czf ../c.tgz .',
    );
    const body = readFileSync(`${work.directory}/c.tgz`);
    const headers = { 'last-modified': HEADER };
    const { url } = await serveFiles({ '/said.tgz': { body, headers }, '/unsaid.tgz': { body } });
    expectTime(await buildContext(work, `${url}/said.tgz`), MODIFIED);
    expectTime(await buildContext(work, `${url}/unsaid.tgz`), '2022-02-02T02:02:02Z');
    expectTime(await buildContext(work, '-', body), '2022-02-02T02:02:02Z');
  });

  test('a Dockerfile at an address: Last-Modified, else none', async () => {
    const work = new Workspace(variant);
    const file: ServedFile = { body: DOCKERFILE };
    const { url } = await serveFiles({
      '/said': { ...file, headers: { 'last-modified': HEADER } },
      '/unsaid': file,
    });
    expectTime(await buildContext(work, `${url}/said`), MODIFIED);
    expectTime(await buildContext(work, `${url}/unsaid`), undefined);
  });

  test('a directory: none', async () => {
    const work = new Workspace(variant);
    work.write('Dockerfile', DOCKERFILE);
    expectTime(await buildContext(work, '.'), undefined);
  });
});

describe.each([ROOTLESS, VARIANTS[2]])('SOURCE_DATE_EPOCH by a name as $user', (variant) => {
  test('a named context, a stage; the same where a step must run', async () => {
    const work = new Workspace(variant);
    makeRepository(work.directory, 'r');
    const git = await serveGit(work.directory);
    work.shell(
      'mkdir in; touch -d 2021-01-01T00:00:00Z in/a; touch -d 2022-02-02T02:02:02Z in/b; touch in; tar -cJf ../a.txz in',
    );
    const body = readFileSync(`${work.directory}/a.txz`);
    const http = await serveFiles({
      '/said': { body: 'x', headers: { 'last-modified': HEADER } },
      '/unsaid': { body: 'x' },
      '/a.txz': { body },
    });
    const build = async (
      value: string,
      { stage = '', contexts = [] as string[] } = {},
    ): Promise<OciImage> => {
      const args = contexts.flatMap((context) => ['--build-context', context]);
      const { image } = await work.build(`ARG SOURCE_DATE_EPOCH=${value}\n${stage}${DOCKERFILE}`, { args });
      return image;
    };
    const repository = `${git.url}/r.git`;
    expectTime(await build('src', { contexts: [`src=${repository}#v1:app`] }), COMMITTED);
    expectTime(await build('src', { contexts: [`src=${http.url}/said`] }), MODIFIED);
    expectTime(await build('src', { contexts: [`src=${http.url}/a.txz`] }), '2022-02-02T02:02:02Z');
    expectTime(await build('src', { contexts: ['src=in'] }), undefined);
    expectTime(await build('src', { contexts: ['src=docker-image://nowhere.example.com/none'] }), undefined);
    // A context goes before a stage of the same name.
    const stage = `FROM scratch AS src\nADD ${repository} /\n`;
    expectTime(await build('src', { stage, contexts: [`src=${http.url}/said`] }), MODIFIED);

    expectTime(await build('SRC', { stage }), COMMITTED);
    expectTime(await build('src', { stage: `FROM scratch AS src\nADD ${http.url}/said /\n` }), MODIFIED);
    expectTime(await build('src', { stage: `FROM scratch AS src\nADD ${http.url}/unsaid /\n` }), undefined);
    expectTime(
      await build('src', { stage: `FROM scratch AS src\nADD ${http.url}/a.txz /\n` }),
      '2022-02-02T02:02:02Z',
    );
    const args = `ARG HOST=${http.url}\nFROM scratch AS src\nARG NAME=nope\nARG NAME=said\nADD \${HOST}/$NAME /\n`;
    expectTime(await build('src', { stage: args }), MODIFIED);
    const keep = `FROM scratch AS src\nADD --keep-git-dir=false ${repository} /\n`;
    expectTime(await build('src', { stage: keep }), COMMITTED);

    const { image } = await work.build(
      `ARG BASE\nARG SOURCE_DATE_EPOCH=src\n${stage}FROM $BASE\nARG SOURCE_DATE_EPOCH
       RUN echo $SOURCE_DATE_EPOCH > /seen\nCOPY --from=src /app/a /a\n`,
    );
    expect(image.text('seen')).toBe(`${Date.parse(COMMITTED) / 1000}\n`);
    expect(image.tree.get('seen')?.mtime).toBe(Date.parse(COMMITTED) / 1000);
  });
});

describe('a wrong SOURCE_DATE_EPOCH', () => {
  test('is wrong usage by a flag, and a wrong Dockerfile in one, for a check too', async () => {
    const work = new Workspace();
    const message = 'invalid SOURCE_DATE_EPOCH: yesterday';
    const flag = await work.tryBuild(DOCKERFILE, { args: ['--source-date-epoch=yesterday'] });
    expect([flag.exitCode, flag.stderr]).toEqual([2, expect.stringContaining(`${message} [USAGE_EPOCH]`)]);
    work.write('Dockerfile', `\nARG SOURCE_DATE_EPOCH=yesterday\n${DOCKERFILE}`);
    for (const command of [['build', '.'], ['lint']]) {
      const file = await work.kiln(command);
      expect([file.exitCode, file.stderr]).toEqual([
        2,
        expect.stringContaining(`${message} [DOCKERFILE_EPOCH]`),
      ]);
      expect(file.stderr).toMatch(/\b2 \| >>> ARG SOURCE_DATE_EPOCH=/);
    }
  });

  test('what cannot be fetched is told at its line', async () => {
    const work = new Workspace();
    const { url } = await serveFiles({});
    const stage = `ARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD ${url}/none /\n`;
    const { exitCode, stderr } = await work.tryBuild(`${stage}${DOCKERFILE}`);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('invalid response status 404 [COPY_DOWNLOAD]');
    expect(stderr).toMatch(/3 \| >>> ADD/);
  });
});
