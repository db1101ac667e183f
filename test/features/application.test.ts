/** fixtures/app, what the README's first command builds: a real Debian base, apt, a compiler, three stages. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { debianBase } from '../helpers/bases.ts';
import { VARIANTS, Workspace } from '../helpers/workspace.ts';

const APP = join(dirname(dirname(import.meta.dirname)), 'fixtures/app');

describe.each(VARIANTS)('fixtures/app as $user over $snapshotter', (variant) => {
  test('builds with apt, a compiler, setuid and capabilities; again from the cache at once', async () => {
    const work = new Workspace(variant);
    work.shell(`cp -a ${APP}/. .`);
    const dockerfile = readFileSync(join(APP, 'Dockerfile'), 'utf8');
    const options = { base: debianBase(), buildArgs: { VERSION: '9.9' }, timeout: 170_000 };
    const { image } = await work.build(dockerfile, options);
    image.validate();
    expect(image.config.config).toMatchObject({
      User: 'web',
      WorkingDir: '/srv/www',
      Entrypoint: ['/usr/local/bin/httpd'],
      Cmd: ['--root', '/srv/www'],
      StopSignal: 'SIGTERM',
      Labels: { 'org.opencontainers.image.title': 'kiln demo', 'org.opencontainers.image.version': '9.9' },
    });
    expect(image.config.config.Healthcheck).toMatchObject({
      Test: ['CMD', '/usr/local/bin/httpd', '--check'],
      Retries: 2,
    });
    expect(image.tree.get('usr/local/bin/httpd')?.xattrs).toEqual([
      'security.capability=0x0100000200040000000000000000000000000000',
    ]);
    expect(image.tree.get('usr/local/bin/reload-site')).toMatchObject({ mode: '4750', owner: '991:990' });
    expect(image.tree.get('srv/www/about.html')?.owner).toBe('991:990');
    expect(image.text('srv/www/index.html')).toContain('<h1>It works</h1>');
    expect(image.tree.has('usr/bin/gcc')).toBe(false);
    expect([...image.tree.keys()].some((name) => name.endsWith('.draft'))).toBe(false);

    const second = await work.build(dockerfile, options);
    expect(second.image.manifest).toEqual(image.manifest);
  });
});
