import { describe, expect, test } from 'vitest';
import { debianBase } from '../helpers/bases.ts';
import { ROOTLESS, VARIANTS, Workspace } from '../helpers/workspace.ts';

describe.each(VARIANTS)('USER as $user over $snapshotter', (variant) => {
  test('by name, number, name:group, number:number, and supplementary groups', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(`
      ARG BASE
      FROM $BASE
      RUN echo me:x:2000:2000::/home/me:/bin/sh >> /etc/passwd && printf 'me:x:2000:\\nextra:x:3000:me\\n' >> /etc/group && chmod 1777 /home
      USER me
      RUN echo "$(id -u) $(id -g) $(id -G) $HOME" > /home/1
      USER 2000
      RUN echo "$(id -u) $(id -g) $(id -G) $HOME" > /home/2
      USER me:staff
      RUN echo "$(id -u) $(id -g)" > /home/3
      USER 4000:5000
      RUN echo "$(id -u) $(id -g) $HOME" > /home/4
      USER 4001
      RUN echo "$(id -u) $(id -g)" > /home/5
      USER root
      RUN echo "$(id -u) $(id -g) $HOME" > /home/6
    `);
    expect(image.text('home/1')).toBe('2000 2000 2000 3000 /home/me\n');
    expect(image.text('home/2')).toBe('2000 2000 2000 3000 /home/me\n');
    expect(image.text('home/3')).toBe('2000 50\n');
    expect(image.text('home/4')).toBe('4000 5000 /\n');
    expect(image.text('home/5')).toBe('4001 0\n');
    expect(image.text('home/6')).toBe('0 0 /root\n');
    expect(image.tree.get('home/4')?.owner).toBe('4000:5000');
    expect(image.config.config.User).toBe('root');
  });

  test('users made by shadow-utils in a Debian root, files of many owners, setuid programs', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(
      `
      ARG BASE
      FROM $BASE
      RUN groupadd -g 1500 crew && useradd -m -u 1500 -g crew one && useradd -m -u 1501 -g crew two
      RUN for id in 0 1 33 999 1500 1501 30000 65534; do touch /srv/$id && chown $id:$id /srv/$id; done
      USER one
      RUN touch ~/mine && id > ~/who && (su -c true root < /dev/null && echo in || echo refused) > ~/su 2>&1
      USER root
      RUN su two -c 'id -un > ~/who' && chmod 2775 /srv && chgrp crew /srv
    `,
      { base: debianBase() },
    );
    for (const id of [0, 1, 33, 999, 1500, 1501, 30000, 65534]) {
      expect(image.tree.get(`srv/${id}`)?.owner).toBe(`${id}:${id}`);
    }
    expect(image.tree.get('home/one/mine')?.owner).toBe('1500:1500');
    expect(image.text('home/one/who')).toContain('uid=1500(one) gid=1500(crew)');
    expect(image.text('home/one/su')).toContain('refused');
    expect(image.text('home/two/who')).toBe('two\n');
    expect(image.tree.get('srv')).toMatchObject({ mode: '2775', owner: '0:1500' });
    expect(image.tree.get('etc/shadow')).toMatchObject({ mode: '640', owner: '0:42' });
  });
});

test('an unknown user stops the build and is named', async () => {
  const work = new Workspace(ROOTLESS);
  const result = await work.tryBuild('ARG BASE\nFROM $BASE\nUSER nosuch\nRUN true\n');
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain('nosuch');
  expect(result.stderr).toContain('RUN_UNKNOWN_USER');
});
