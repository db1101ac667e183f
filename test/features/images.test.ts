import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { busyboxBase } from '../helpers/bases.ts';
import { Workspace } from '../helpers/workspace.ts';

async function storeWithImages(): Promise<Workspace> {
  const work = new Workspace();
  work.write('f', 'x'.repeat(5000));
  for (const [name, epoch] of [
    ['app:1', '1000000000'],
    ['example.com/team/app:2', '1100000000'],
  ] as const) {
    const dockerfile = `FROM scratch\nCOPY f /f\nLABEL name=${name} kind=test\nENV A=1 B=2\nCMD ["x"]\n`;
    const built = await work.tryBuild(dockerfile, { args: ['-t', name], env: { SOURCE_DATE_EPOCH: epoch } });
    expect(built.exitCode, built.stderr).toBe(0);
  }
  return work;
}

async function said(work: Workspace, ...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await work.kiln(args);
  expect(exitCode, stderr).toBe(0);
  return stdout;
}

/** Takes the name off an entry of the index, which leaves a dangling image. */
function loseName(work: Workspace, name: string): void {
  const path = join(work.home, 'index.json');
  const index = JSON.parse(readFileSync(path, 'utf8'));
  const entry = index.manifests.find((each: { annotations?: object }) => JSON.stringify(each).includes(name));
  delete entry.annotations;
  writeFileSync(path, JSON.stringify(index));
}

describe('with images in the store', async () => {
  test('images lists, filters and formats them', async () => {
    const work = await storeWithImages();
    expect((await said(work, 'images')).split('\n')).toEqual([
      expect.stringMatching(/^REPOSITORY {13}TAG {3}IMAGE ID {7}CREATED {8}SIZE$/),
      expect.stringMatching(/^example\.com\/team\/app {3}2 {5}[0-9a-f]{12} {3}\d+ years ago {3}7\.\d+kB$/),
      expect.stringMatching(/^app {20}1 {5}[0-9a-f]{12} {3}\d+ years ago {3}7\.\d+kB$/),
      '',
    ]);
    const names = async (...args: string[]): Promise<string[]> =>
      (await said(work, 'images', '--format', '{{.Repository}}:{{.Tag}}', ...args)).trim().split('\n');
    const [first, second] = ['app:1', 'example.com/team/app:2'];
    expect(await names('app')).toEqual([first]);
    expect(await names('*/team/*')).toEqual([second]);
    expect(await names('app:2')).toEqual(['']);
    expect(await names('-a', '-f', 'reference=app:*', '--filter', 'reference=*/*/app')).toEqual([
      second,
      first,
    ]);
    expect(await names('--filter', 'before=example.com/team/app:2')).toEqual([first]);
    expect(await names('--filter', 'since=app:1')).toEqual([second]);
    expect(await names('--filter', 'label=kind=test', '--filter', 'label=name=app:1')).toEqual([first]);
    expect(await names('--filter', 'label=kind=other')).toEqual(['']);
    expect(await names('--filter', 'until=2003-01-01T00:00:00Z')).toEqual([first]);
    expect(await names('--filter', 'until=24h')).toEqual([second, first]);
    expect(await names('--filter', 'dangling=true')).toEqual(['']);
    const rows = (await said(work, 'images', '--format', 'json'))
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row));
    expect(rows[1]).toMatchObject({
      Repository: 'app',
      Tag: '1',
      CreatedAt: '2001-09-09 01:46:40 +0000 UTC',
    });
    expect(rows[1].SizeBytes).toBeGreaterThan(5000);
    expect(await said(work, 'images', '-q')).toBe(`${rows.map(({ ID }) => ID).join('\n')}\n`);
    expect(await said(work, 'images', '-q', '--no-trunc', 'app')).toMatch(/^sha256:[0-9a-f]{64}\n$/);
    expect(await said(work, 'images', '--digests')).toMatch(
      /TAG +DIGEST +IMAGE ID.*\n.* sha256:[0-9a-f]{64} /,
    );
    for (const filter of ['size=3', 'dangling=x', 'until=x', 'x']) {
      const wrong = await work.kiln(['images', '--filter', filter]);
      expect(wrong).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('USAGE_FILTER') });
    }
    const wrong = await work.kiln(['images', '--format', '{{.Nmae}}']);
    expect(wrong).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/no field \.Nmae[\s\S]*\n +\{\{\.Nmae\}\}\n +\^/),
    });
  });

  test('history and inspect tell of one, by name, digest and ID', async () => {
    const work = await storeWithImages();
    const history = (await said(work, 'history', 'app:1')).trim().split('\n');
    expect(history[0]).toMatch(/^IMAGE +CREATED +CREATED BY +SIZE +COMMENT$/);
    expect(history.map((line) => line.slice(0, 12).trim()).slice(2)).toEqual(Array(3).fill('<missing>'));
    expect(history[4]).toContain('COPY f /f');
    expect(await said(work, 'history', '--format', '{{.CreatedBy}}', 'app:1')).toContain('CMD ["x"]');
    expect(
      await said(work, 'history', '--human=false', '--format', '{{.Size}} {{.CreatedSince}}', 'app:1'),
    ).toMatch(/\n\d{4} 2001-09-09T01:46:40Z\n$/);
    expect(await said(work, 'history', '-q', 'app:1')).toMatch(/^[0-9a-f]{12}\n(?:<missing>\n){3}$/);
    const [app] = JSON.parse(await said(work, 'inspect', 'app:1'));
    expect(app).toMatchObject({
      RepoTags: ['app:1'],
      Config: { Cmd: ['x'] },
      Variant: expect.any(String),
    });
    const digest = app.Descriptor.digest;
    for (const name of [
      app.Id,
      app.Id.slice(7, 15),
      digest,
      digest.slice(7, 19),
      `app@${digest}`,
      'docker.io/library/app:1',
    ]) {
      expect(await said(work, 'inspect', '-f', '{{index .RepoTags 0}}', name)).toBe('app:1\n');
    }
    expect(
      await said(
        work,
        'inspect',
        '--type',
        'image',
        '--format',
        '{{range .Config.Env}}{{println .}}{{end}}{{join .Config.Cmd " "}}',
        'app:1',
      ),
    ).toMatch(/^PATH=.*\nA=1\nB=2\nx\n$/);
    const some = await work.kiln(['inspect', 'nothing', 'app:1', `other@${digest}`]);
    expect(some).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/no image named nothing/) });
    expect(JSON.parse(some.stdout)).toHaveLength(1);
    expect(await work.kiln(['inspect', '-f', '{{.Config.User.Name}}', 'app:1'])).toMatchObject({
      exitCode: 0,
    });
  });

  test('tag and rmi take names and IDs; an image without a name goes by its ID', async () => {
    const work = await storeWithImages();
    const [id = ''] = (await said(work, 'images', '-q', 'app')).trim().split('\n');
    await said(work, 'tag', id.slice(0, 7), 'app:3');
    const several = await work.kiln(['rmi', id]);
    expect(several).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('STORE_SEVERAL_NAMES') });
    expect(await said(work, 'rmi', '-f', id)).toBe('Untagged: app:1\nUntagged: app:3\n');
    loseName(work, 'team/app');
    expect(
      await said(work, 'images', '--filter', 'dangling=true', '--format', '{{.Repository}} {{.Tag}}'),
    ).toBe('<none> <none>\n');
    const [left = ''] = (await said(work, 'images', '-q')).trim().split('\n');
    expect(await said(work, 'inspect', '-f', '{{len .RepoTags}} {{.Config.Labels.kind}}', left)).toBe(
      '0 test\n',
    );
    const some = await work.kiln(['rmi', 'nothing', left]);
    expect(some).toMatchObject({
      exitCode: 1,
      stdout: expect.stringMatching(/^Deleted: sha256:[0-9a-f]{64}\n$/),
    });
    expect(await said(work, 'images', '-q')).toBe('');
    expect(await said(work, 'rmi', '-f', 'nothing')).toBe('');
  });
});

test('a damaged image is in no other image’s way', async () => {
  const work = await storeWithImages();
  const [app] = JSON.parse(await said(work, 'inspect', 'app:1'));
  writeFileSync(join(work.home, 'blobs/sha256', app.Id.slice(7)), 'damage');
  const images = await work.kiln(['images']);
  expect(images).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('library/app:1 is damaged') });
  expect(images.stdout).toContain('team/app');
  expect(await work.kiln(['inspect', 'app:1'])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('STORE_CORRUPT_BLOB'),
  });
  expect(await said(work, 'inspect', '-f', '{{.Os}}', 'example.com/team/app:2')).toBe('linux\n');
  expect(await said(work, 'rmi', 'app:1')).toBe('Untagged: app:1\n');
});

test('flags that are on or off take true and false, as docker does', async () => {
  const work = await storeWithImages();
  const [id = ''] = (await said(work, 'images', '-q', 'app')).trim().split('\n');
  expect(await said(work, 'images', '-q=true', '--no-trunc=0', 'app')).toBe(`${id}\n`);
  expect(await said(work, 'images', '-q', '--no-trunc=T', 'app')).toMatch(/^sha256:[0-9a-f]{64}\n$/);
  expect(await work.kiln(['images', '--quiet=perhaps'])).toMatchObject({
    exitCode: 2,
    stderr: expect.stringMatching(/--quiet=perhaps: "perhaps" is neither true nor false \[USAGE_FLAGS\]/),
  });
  expect(await said(work, 'run', '--rm=true', busyboxBase(), 'echo', '--rm=false')).toBe('--rm=false\n');
  expect(await said(work, 'ps', '-aq')).toBe('');
  expect(await said(work, 'rmi', '--no-prune', 'app:1')).toBe('Untagged: app:1\n');
});

test('a missing argument is told, also by a command without flags of its own', async () => {
  const work = new Workspace();
  for (const command of [
    'tag',
    'rmi',
    'save',
    'inspect',
    'history',
    'push',
    'pull',
    'import',
    'commit',
    'rm',
  ]) {
    const result = await work.kiln([command]);
    expect(result, command).toMatchObject({ exitCode: 2, stdout: '' });
    expect(result.stderr, command).toMatch(/^error: Missing \d required args?:/);
    expect(result.stderr).toContain(`help: See kiln ${command} --help.`);
  }
  expect((await work.kiln(['tag', 'app'])).stderr).toContain('target  new name');
});
