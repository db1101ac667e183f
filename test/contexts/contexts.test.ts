import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { busyboxBase } from '../helpers/bases.ts';
import type { OciImage } from '../helpers/oci-image.ts';
import { resultOf, startKiln } from '../helpers/run-kiln.ts';
import { VARIANTS, Workspace } from '../helpers/workspace.ts';
import { makeRepository, serveFiles, serveGit } from '../remote/servers.ts';

interface Said {
  readonly image: OciImage;
  readonly stderr: string;
}

/** Builds with the words given into a layout, and opens it. */
async function buildWith(work: Workspace, words: readonly string[], input?: Buffer | string): Promise<Said> {
  const layout = work.fresh('layout');
  const args = ['build', '--progress=plain', '--output', `type=oci,tar=false,dest=${layout}`, ...words];
  const result = await work.kiln(args, input === undefined ? {} : { input });
  if (result.exitCode !== 0) throw new Error(`exit ${result.exitCode}\n${result.stderr}`);
  // However a build ends, nothing that it fetched stays.
  expect(readdirSync(`${work.home}/tmp`)).toEqual([]);
  return { image: work.open(`oci:${layout}`), stderr: result.stderr };
}

const COPY_ALL = 'FROM scratch\nCOPY . /all/\n';

describe('standard input', () => {
  test('a Dockerfile alone: no context', async () => {
    const work = new Workspace();
    work.write('file', 'x');
    const { image } = await buildWith(work, ['-'], 'FROM scratch\nCOPY <<EOF /f\nhello\nEOF\n');
    expect(image.text('f')).toBe('hello\n');
    const failed = await work.kiln(['build', '-'], { input: 'FROM scratch\nCOPY file /f\n' });
    expect(failed.exitCode).toBe(1);
    expect(failed.stderr).toContain('[COPY_SOURCE_NOT_FOUND]');
  });

  test('a Dockerfile for a context', async () => {
    const work = new Workspace();
    work.write('file', 'x');
    const { image } = await buildWith(work, ['-f', '-', '.'], COPY_ALL);
    expect(image.text('all/file')).toBe('x');
  });

  test.each(['cat', 'gzip', 'bzip2', 'xz', 'zstd'])(
    'a tar archive through %s is the context',
    async (program) => {
      const work = new Workspace();
      work.shell(`
      mkdir in && printf '${COPY_ALL.replaceAll('\n', '\\n')}' > in/Dockerfile && echo all > in/.dockerignore
      mkdir in/d && echo 1 > in/d/1 && ln in/d/1 in/d/2 && ln -s d in/s && chown 7:8 in/d/1 && chmod 600 in/d/1
      printf 'FROM scratch\\nCOPY d/1 /one\\n' > in/other.Dockerfile
      tar -c --exclude=in -C in . | ${program} > a && rm -r in
    `);
      const archive = readFileSync(`${work.context}/a`);
      const { image } = await buildWith(work, ['-'], archive);
      expect(image.text('all/d/1')).toBe('1\n');
      expect(image.tree.get('all/d/2')).toMatchObject({ mode: '600', owner: '7:8', sameAs: 'all/d/1' });
      expect(image.tree.get('all/s')).toMatchObject({ type: 'symlink', link: 'd' });
      const other = await buildWith(work, ['-f', 'other.Dockerfile', '-'], archive);
      expect(other.image.text('one')).toBe('1\n');
      const missing = await work.kiln(['build', '-f', 'nope', '-'], { input: archive });
      expect(missing.exitCode).toBe(2);
      expect(missing.stderr).toContain('[USAGE_NO_DOCKERFILE]');
    },
  );

  test('a current directory that is no more is named, and what needs none works there', async () => {
    const work = new Workspace();
    const wrapper = ['sh', '-c', 'cd "$(mktemp -d)" && rmdir "$PWD" && exec "$@"', 'sh'];
    const failed = await work.kiln(['build', '.'], { wrapper });
    expect(failed.exitCode).toBe(2);
    expect(failed.stderr).toContain('[USAGE_DIRECTORY]');
    expect((await work.kiln(['images'], { wrapper })).exitCode).toBe(0);
  });

  test('an archive seen by RUN, with a bind mount of the context', async () => {
    const work = new Workspace();
    work.shell(`
      printf 'FROM ${busyboxBase()}\\nRUN --mount=type=bind,target=/c cat /c/x > /seen\\n' > Dockerfile
      echo hi > x && tar -cf ../c.tar .
    `);
    const { image } = await buildWith(work, ['-'], readFileSync(`${work.directory}/c.tar`));
    expect(image.text('seen')).toBe('hi\n');
  });

  test('what cannot be both, and what is no archive, is refused', async () => {
    const work = new Workspace();
    const both = await work.kiln(['build', '-f', '-', '-'], { input: COPY_ALL });
    expect(both.exitCode).toBe(2);
    expect(both.stderr).toContain("can't use stdin for both build context and dockerfile [USAGE_STDIN]");
    const file = await work.kiln(['build', '-f', 'x', '-'], { input: COPY_ALL });
    expect(file.stderr).toContain('ambiguous Dockerfile source');
    const noise = await work.kiln(['build', '-'], { input: Buffer.from('1f8b0800000000', 'hex') });
    expect(noise.exitCode).toBe(1);
    expect(noise.stderr).toContain('[CONTEXT_ARCHIVE]');
    const evil = work.shell('mkdir e && echo x > x && tar -cPf e.tar ../context/x && base64 -w0 e.tar');
    const refused = await work.kiln(['build', '-'], { input: Buffer.from(evil.trim(), 'base64') });
    expect(refused.stderr).toContain('[LAYER_UNSAFE_PATH]');
    expect(readdirSync(`${work.home}/tmp`)).toEqual([]);
  });
});

describe.each([VARIANTS[0], VARIANTS[2]])('contexts at addresses as $user', (variant) => {
  test('git: a repository, a ref, a directory, and with its .git directory', async () => {
    const work = new Workspace(variant);
    const { first } = makeRepository(work.directory, 'r');
    const { url } = await serveGit(work.directory);
    const head = await buildWith(work, [`${url}/r.git`]);
    expect(head.image.text('all/app/b')).toBe('b\n');
    expect(head.image.tree.has('all/.git')).toBe(false);
    const tag = await buildWith(work, [`${url}/r.git#v1:app`]);
    expect(tag.image.text('sub/a')).toBe('a\n');
    const query = await buildWith(work, [`${url}/r.git?branch=old&subdir=app`]);
    expect(query.image.digest).toBe(tag.image.digest);
    const kept = await buildWith(work, [
      '--build-arg',
      'BUILDKIT_CONTEXT_KEEP_GIT_DIR=1',
      `${url}/r.git#${first}`,
    ]);
    expect(kept.image.text('all/.git/HEAD')).toBe(`${first}\n`);
    const named = await buildWith(work, ['-f', 'app/Dockerfile', `${url}/r.git#v1`]);
    expect(named.image.text('sub/app/a')).toBe('a\n');
    const given = await buildWith(work, ['-f', '-', `${url}/r.git#v1`], 'FROM scratch\nCOPY app/a /f\n');
    expect(given.image.text('f')).toBe('a\n');
  });

  test('http: an archive, or a Dockerfile on its own', async () => {
    const work = new Workspace(variant);
    const archive = work.shell(
      `printf 'FROM scratch\\nCOPY x /x\\n' > Dockerfile; echo x > x; tar -cz . | base64 -w0`,
    );
    const { url } = await serveFiles({
      '/c.tar.gz': { body: Buffer.from(archive.trim(), 'base64') },
      '/Dockerfile': { body: 'FROM scratch\nCOPY context /own\n' },
    });
    expect((await buildWith(work, [`${url}/c.tar.gz`])).image.text('x')).toBe('x\n');
    expect((await buildWith(work, [`${url}/Dockerfile`])).image.text('own')).toContain('COPY context');
    const gone = await work.kiln(['build', `${url}/nope`]);
    expect(gone.exitCode).toBe(1);
    expect(gone.stderr).toContain('invalid response status 404 [COPY_DOWNLOAD]');
  });

  test('a fetched context is still there for a RUN, and gone after the build', async () => {
    const work = new Workspace(variant);
    makeRepository(work.directory, 'r');
    const { url } = await serveGit(work.directory);
    const dockerfile = `FROM ${busyboxBase()}\nRUN --mount=type=bind,target=/c cp /c/app/a /seen\nCOPY app /app\n`;
    const { image } = await buildWith(work, ['-f', '-', `${url}/r.git`], dockerfile);
    expect(image.text('seen')).toBe('a\n');
    expect(image.text('app/b')).toBe('b\n');
  });
});

describe('--build-context', () => {
  test('directories, images, layouts, repositories and downloads in FROM, COPY --from and RUN --mount', async () => {
    const work = new Workspace();
    makeRepository(work.directory, 'r');
    const git = await serveGit(work.directory);
    const http = await serveFiles({ '/f': { body: 'down' } });
    work.shell(
      'mkdir other && echo o > other/o && echo i > other/ignored && echo ignored > other/.dockerignore',
    );
    work.write(
      'Dockerfile',
      `FROM alpine:latest AS one
      COPY --from=files / /files/
      COPY --from=repo / /repo/
      COPY --from=down /context /down
      COPY --from=layout /bin/busybox /copied
      RUN --mount=type=bind,from=repo,target=/m cat /m/a /files/o > /seen
      FROM replaced AS replaced
      RUN this is never run
      FROM replaced
      COPY --from=one /seen /seen2
      `,
    );
    const layout = busyboxBase().replace(/^oci:/, '');
    const words = [
      ...['--build-context', `docker.io/library/alpine=oci:${layout}`],
      ...['--build-context', 'files=other'],
      ...['--build-context', `repo=${git.url}/r.git#v1:app`],
      ...['--build-context', `down=${http.url}/f`],
      ...['--build-context', `layout=oci-layout://${layout}`],
      ...['--build-context', 'replaced=other'],
    ];
    const { image } = await buildWith(work, [...words, '--target', 'one', '.']);
    expect(image.text('seen')).toBe('a\no\n');
    expect(image.text('down')).toBe('down');
    expect(image.tree.has('files/ignored')).toBe(false);
    expect(image.tree.has('copied')).toBe(true);
    const last = await buildWith(work, [...words, '.']);
    expect(last.image.text('o')).toBe('o\n');
    expect(last.image.text('seen2')).toBe('a\no\n');
  });

  test('a context that is nothing is refused', async () => {
    const work = new Workspace();
    work.write('Dockerfile', 'FROM scratch\n');
    for (const value of ['x=nowhere', 'x=', '=y']) {
      const { exitCode, stderr } = await work.kiln(['build', '--build-context', value, '.']);
      expect(exitCode, stderr).toBe(2);
    }
  });
});

describe('a build that is interrupted', () => {
  test('leaves nothing of a fetched context', async () => {
    const work = new Workspace();
    makeRepository(work.directory, 'r');
    const { url } = await serveGit(work.directory);
    work.write('Dockerfile', '');
    const args = ['build', '--progress=plain', '-f', '-', `${url}/r.git`];
    const child = startKiln(args, { user: 'kilntest', cwd: work.context, home: work.home });
    const ended = resultOf(child, { input: `FROM ${busyboxBase()}\nCOPY app /app\nRUN sleep 60\n` });
    await new Promise<void>((started) => {
      child.stderr?.on('data', (chunk: Buffer) => {
        if (chunk.toString().includes('RUN sleep')) setTimeout(started, 300);
      });
    });
    child.kill('SIGINT');
    expect((await ended).exitCode).toBe(130);
    expect(readdirSync(`${work.home}/tmp`)).toEqual([]);
  });
});
