import { describe, expect, test } from 'vitest';
import { VARIANTS, Workspace } from '../helpers/workspace.ts';
import { makeRepository, serveGit } from './servers.ts';

describe.each([VARIANTS[0], VARIANTS[2]])('ADD of git repositories as $user', (variant) => {
  test('branches, tags, commits, directories, in both ways of writing', async () => {
    const work = new Workspace(variant);
    const { first } = makeRepository(work.directory, 'r');
    const { url } = await serveGit(work.directory);
    const repo = `${url}/r.git`;
    const { image } = await work.build(`
      FROM scratch
      ADD ${repo} /head/
      ADD ${repo}#v1 /tag/
      ADD ${repo}#old:app /branch-dir/
      ADD ${repo}#${first}:/app/ /commit-dir/
      ADD ${repo}?branch=old&subdir=app /query/
      ADD ${repo}?tag=v1 /query-tag/
      ADD --chown=5:6 ${repo}#refs/heads/main:app /owned/
    `);
    expect(image.text('head/app/b')).toBe('b\n');
    for (const path of ['tag/app', 'branch-dir', 'commit-dir', 'query', 'query-tag/app']) {
      expect(image.text(`${path}/a`), path).toBe('a\n');
      expect(image.tree.has(`${path}/b`), path).toBe(false);
    }
    expect(image.tree.has('head/.git')).toBe(false);
    expect(image.tree.get('tag/app/a')).toMatchObject({ mode: '755', owner: '0:0', mtime: 1704164645 });
    expect(image.tree.get('tag/Dockerfile')).toMatchObject({ mode: '644' });
    expect(image.tree.get('tag/app/link')).toMatchObject({ type: 'symlink', link: 'a' });
    expect(image.tree.get('owned/b')).toMatchObject({ owner: '5:6' });
  });

  test('inside the namespace too: a step before it must run', async () => {
    const work = new Workspace(variant);
    makeRepository(work.directory, 'r');
    const { url } = await serveGit(work.directory);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN echo 1 > /ran
      ADD ${url}/r.git#v1 /src/
      RUN cat /src/app/a > /seen
    `);
    expect(image.text('seen')).toBe('a\n');
    expect(image.tree.get('src/Dockerfile')).toMatchObject({ mode: '644' });
  });
});

describe('ADD of git repositories', () => {
  test('--keep-git-dir keeps a repository that git can use', async () => {
    const work = new Workspace();
    const { first } = makeRepository(work.directory, 'r');
    const { url } = await serveGit(work.directory);
    const { image } = await work.build(`FROM scratch\nADD --keep-git-dir=true ${url}/r.git#v1 /src/\n`);
    expect(image.text('src/.git/HEAD')).toBe(`${first}\n`);
    expect(image.tree.has('src/.git/FETCH_HEAD')).toBe(false);
    expect(image.text('src/.git/config')).toContain(`${url}/r.git`);
  });

  test('the commit is the key: an unchanged ref is a cache hit without a fetch', async () => {
    const work = new Workspace();
    const { first } = makeRepository(work.directory, 'r');
    const server = await serveGit(work.directory);
    await work.build(`FROM scratch\nADD ${server.url}/r.git#${first} /src/\n`);
    const before = server.fetches();
    const { result } = await work.build(`FROM scratch\nADD ${server.url}/r.git#${first} /src/\n`);
    expect(result.stderr).toContain('CACHED');
    expect(server.fetches()).toBe(before);
    const byTag = await work.build(`FROM scratch\nADD ${server.url}/r.git#v1 /src/\n`);
    expect(byTag.result.stderr).toContain('CACHED');
  });

  test('--checksum takes a commit or its beginning, and refuses another', async () => {
    const work = new Workspace();
    const { first, second } = makeRepository(work.directory, 'r');
    const { url } = await serveGit(work.directory);
    const add = (checksum: string): string =>
      `FROM scratch\nADD --checksum=${checksum} ${url}/r.git#v1 /src/\n`;
    expect((await work.tryBuild(add(first))).exitCode).toBe(0);
    expect((await work.tryBuild(add(first.slice(0, 10)))).exitCode).toBe(0);
    const { exitCode, stderr } = await work.tryBuild(add(second));
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(new RegExp(`expected checksum to match ${second}, got \\w{40} or ${first} `));
    expect(stderr).toContain('[COPY_CHECKSUM]');
  });

  test('a login comes from a secret, and its lack is told without a prompt', async () => {
    const work = new Workspace();
    makeRepository(work.directory, 'r');
    const { url } = await serveGit(work.directory, 'x-access-token:hunter2');
    const dockerfile = `FROM scratch\nADD ${url}/r.git#v1 /src/\n`;
    const without = await work.tryBuild(dockerfile);
    expect(without.exitCode).toBe(1);
    expect(without.stderr).toContain('[COPY_GIT]');
    expect(without.stderr).toContain('GIT_AUTH_TOKEN');
    const built = await work.build(dockerfile, {
      args: ['--secret', 'id=GIT_AUTH_TOKEN,env=TOKEN'],
      env: { TOKEN: 'hunter2' },
    });
    expect(built.image.text('src/app/a')).toBe('a\n');
    expect(built.result.stderr).not.toContain('hunter2');
  });

  test('errors name the cause: no such ref, no such directory, no such repository, git missing', async () => {
    const work = new Workspace();
    makeRepository(work.directory, 'r');
    const { url } = await serveGit(work.directory);
    const say = async (address: string, env: Record<string, string> = {}): Promise<string> => {
      const { exitCode, stderr } = await work.tryBuild(`FROM scratch\nADD ${address} /src/\n`, { env });
      expect(exitCode, stderr).toBe(1);
      expect(stderr).toContain('>>> ADD');
      return stderr;
    };
    expect(await say(`${url}/r.git#nope`)).toContain('does not contain ref nope [COPY_GIT]');
    expect(await say(`${url}/r.git#v1:nope`)).toContain('has no directory nope');
    expect(await say(`${url}/other.git`)).toMatch(/git ls-remote failed .*not found/);
    expect(await say(`${url}/r.git?nope=1`)).toContain('unexpected query "nope"');
    // All that starting kiln takes, and no git.
    work.shell('mkdir bin && for p in setpriv readlink uname; do ln -s "$(command -v $p)" bin/; done');
    expect(await say(`${url}/r.git`, { PATH: `${work.context}/bin` })).toContain(
      'The program "git" is not installed',
    );
  });
});
