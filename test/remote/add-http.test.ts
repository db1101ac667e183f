import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { VARIANTS, Workspace } from '../helpers/workspace.ts';
import { run } from '../setup/run.ts';
import { serveFiles } from './servers.ts';

const digest = (algorithm: string, body: string): string =>
  `${algorithm}:${createHash(algorithm).update(body).digest('hex')}`;

describe.each([VARIANTS[0], VARIANTS[2]])('ADD of http addresses as $user', (variant) => {
  test('a file gets its name from the address, mode 0600, and the time of Last-Modified', async () => {
    const work = new Workspace(variant);
    const { url } = await serveFiles({
      '/a/file%20x.txt?q=1': { body: 'one', headers: { 'last-modified': 'Tue, 02 Jan 2024 03:04:05 GMT' } },
      '/plain': { body: 'two' },
      '/': { body: 'three' },
    });
    const { image } = await work.build(`
      FROM scratch
      ADD ${url}/a/file%20x.txt?q=1 ${url}/plain ${url}/ /d/
      ADD --chmod=755 --chown=3:4 ${url}/plain /named
    `);
    expect(image.tree.get('d/file x.txt')).toMatchObject({ mode: '600', owner: '0:0', mtime: 1704164645 });
    expect(image.tree.get('d/plain')).toMatchObject({ mode: '600', mtime: 0 });
    expect(image.text('d/__unnamed__')).toBe('three');
    expect(image.tree.get('named')).toMatchObject({ mode: '755', owner: '3:4' });
  });
});

describe('ADD of http addresses', () => {
  test('what has not changed is a cache hit without a download; what has is fetched', async () => {
    const work = new Workspace();
    const server = await serveFiles({ '/f': { body: 'one', headers: { etag: '"1"' } } });
    const dockerfile = `FROM scratch\nADD ${server.url}/f /f\n`;
    const { image: first } = await work.build(dockerfile);
    const { image: same, result } = await work.build(dockerfile);
    expect(same.digest).toBe(first.digest);
    expect(result.stderr).toContain('CACHED');
    server.files.set('/f', { body: 'two', headers: { etag: '"2"' } });
    const { image: changed } = await work.build(dockerfile);
    expect(changed.text('f')).toBe('two');
    expect(server.requests).toEqual(['GET /f 200', 'GET /f 304', 'GET /f 200']);
  });

  test('without an ETag the bytes decide', async () => {
    const work = new Workspace();
    const server = await serveFiles({ '/f': { body: 'one' } });
    await work.build(`FROM scratch\nADD ${server.url}/f /f\n`);
    const { result } = await work.build(`FROM scratch\nADD ${server.url}/f /f\n`);
    expect(result.stderr).toContain('CACHED');
  });

  test('a build that runs a step after it downloads once', async () => {
    const work = new Workspace();
    const server = await serveFiles({ '/f': { body: 'one' } });
    const { image } = await work.build(`ARG BASE\nFROM $BASE\nADD ${server.url}/f /f\nRUN cat /f > /seen\n`);
    expect(image.text('seen')).toBe('one');
    expect(server.requests).toEqual(['GET /f 200']);
  });

  test('with a checksum nothing is asked of the network when the step is known', async () => {
    const work = new Workspace();
    const server = await serveFiles({ '/f': { body: 'one' } });
    const dockerfile = `FROM scratch\nADD --checksum=${digest('sha256', 'one')} ${server.url}/f /f\n`;
    await work.build(dockerfile);
    await work.build(dockerfile);
    expect(server.requests).toEqual(['GET /f 200']);
  });

  test.each(['sha256', 'sha384', 'sha512'])('a wrong %s is refused with both digests', async (algorithm) => {
    const work = new Workspace();
    const server = await serveFiles({ '/f': { body: 'one' } });
    const good = await work.tryBuild(
      `FROM scratch\nADD --checksum=${digest(algorithm, 'one')} ${server.url}/f /f\n`,
    );
    expect(good.exitCode, good.stderr).toBe(0);
    const bad = await work.tryBuild(
      `FROM scratch\nADD --checksum=${digest(algorithm, 'two')} ${server.url}/f /f\n`,
    );
    expect(bad.exitCode).toBe(1);
    expect(bad.stderr).toContain('[COPY_CHECKSUM]');
    expect(bad.stderr).toContain(digest(algorithm, 'one'));
    expect(bad.stderr).toContain(digest(algorithm, 'two'));
    expect(bad.stderr).toContain('>>> ADD --checksum');
  });

  test('archives stay as they are, unless --unpack', async () => {
    const work = new Workspace();
    work.shell('mkdir in && echo x > in/x && tar -cf t.tar -C in . && rm -r in');
    const tar = gzipSync(Buffer.from(run('base64', ['-w0', `${work.context}/t.tar`]), 'base64'));
    const { url } = await serveFiles({ '/t.tar.gz': { body: tar } });
    const { image } = await work.build(
      `FROM scratch\nADD ${url}/t.tar.gz /whole/\nADD --unpack=true ${url}/t.tar.gz /open/\n`,
    );
    expect(image.tree.get('whole/t.tar.gz')).toMatchObject({ type: 'file' });
    expect(image.text('open/x')).toBe('x\n');
  });

  test('an error status, a connection that breaks and one that is refused name the address, not the login', async () => {
    const work = new Workspace();
    const { url } = await serveFiles({
      '/gone?token=hunter2': { body: '', status: 410 },
      '/cut': { body: 'x'.repeat(1000), cutAt: 10 },
    });
    const login = url.replace('http://', 'http://user:hunter2@');
    const gone = await work.tryBuild(`FROM scratch\nADD ${login}/gone?token=hunter2 /f\n`);
    expect(gone.stderr).toContain('/gone: invalid response status 410 [COPY_DOWNLOAD]');
    const cut = await work.tryBuild(`FROM scratch\nADD ${login}/cut /f\n`);
    expect(cut.stderr).toContain('broke off [COPY_DOWNLOAD]');
    const refused = await work.tryBuild('FROM scratch\nADD http://user:hunter2@127.0.0.1:9/x /f\n');
    expect(refused.exitCode).toBe(1);
    for (const { stderr } of [gone, cut, refused]) {
      expect(stderr.split('\nFROM')[0]?.split('>>> ')[0]).not.toContain('hunter2');
    }
    expect(readdirSync(`${work.home}/tmp`)).toEqual([]);
  });
});
