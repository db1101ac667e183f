import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { accountOf } from '../helpers/run-kiln.ts';
import { ROOTLESS, VARIANTS, Workspace } from '../helpers/workspace.ts';
import { run } from '../setup/run.ts';
import { makeRepository } from './servers.ts';
import { knowHost, type SshServer, serveSsh } from './ssh-server.ts';

interface Served extends SshServer {
  /** "ssh://…/r.git" */
  readonly url: string;
  /** Path of the repository. */
  readonly path: string;
}

async function serve(work: Workspace): Promise<Served> {
  makeRepository(work.directory, 'r');
  const path = `${work.directory}/r.git`;
  const { uid, gid } = accountOf('kilntest');
  run('chown', ['-R', `${uid}:${gid}`, path]);
  const server = await serveSsh(work);
  return { ...server, path, url: `ssh://${server.login}:${server.port}${path}` };
}

describe.each([ROOTLESS, VARIANTS[2]])('git over ssh as $user', (variant) => {
  test('ADD, in both ways of writing, with the agent of --ssh; before a RUN too', async () => {
    const work = new Workspace(variant);
    const { url, agent, login, path, port, key } = await serve(work);
    const env = { SSH_AUTH_SOCK: agent };
    const { image } = await work.build(`FROM scratch\nADD ${url}#v1:app /a/\nADD ${url}?branch=main /b/\n`, {
      args: ['--ssh', 'default'],
      env,
    });
    expect(image.text('a/a')).toBe('a\n');
    expect(image.text('b/app/b')).toBe('b\n');
    const named = await work.build(
      `ARG BASE\nFROM $BASE\nADD ${url}#old /src/\nRUN cat /src/app/a > /seen\n`,
      {
        args: ['--ssh', `default=${agent}`],
      },
    );
    expect(named.image.text('seen')).toBe('a\n');
    // A port can only be given by ssh's own settings here; the user's ssh command is taken as it is.
    work.shell(`cp ${key} ../key && chmod 600 ../key && chown $(stat -c %u .) ../key`);
    const command = `ssh -p ${port} -i ${work.directory}/key -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=${work.directory}/known`;
    const scp = await work.build(`FROM scratch\nADD ${login}:${path}#v1:app /a/\n`, {
      env: { GIT_SSH_COMMAND: command },
    });
    expect(scp.image.text('a/a')).toBe('a\n');
  });

  test('contexts, the main one and a named one', async () => {
    const work = new Workspace(variant);
    const { url, agent } = await serve(work);
    const layout = work.fresh('layout');
    const args = ['--ssh', `default=${agent}`, `--output=type=oci,tar=false,dest=${layout}`];
    const result = await work.kiln(['build', ...args, `${url}#v1`]);
    expect(result.exitCode, result.stderr).toBe(0);
    expect(work.open(`oci:${layout}`).text('all/app/a')).toBe('a\n');
    const { image } = await work.build('FROM scratch\nCOPY --from=src /b /b\n', {
      args: ['--ssh', `default=${agent}`, '--build-context', `src=${url}?branch=main&subdir=app`],
    });
    expect(image.text('b')).toBe('b\n');
  });

  test('with a private key in place of an agent, whose own agent is gone afterwards', async () => {
    const work = new Workspace(variant);
    const { url, key } = await serve(work);
    // As docker, whatever the mode of the file.
    work.shell(`cp ${key} ../key && chmod 644 ../key`);
    const path = `${work.directory}/key`;
    const { image } = await work.build(
      `ARG BASE\nFROM $BASE\nADD ${url}#v1:app /a/\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK\n`,
      { args: ['--ssh', `default=${path}`] },
    );
    expect(image.text('a/a')).toBe('a\n');
    const agents = () => run('sh', ['-c', `ps -eo args | grep "[s]sh-agent -D -a ${work.home}" || true`]);
    await expect.poll(agents, { timeout: 5000 }).toBe('');
  });

  test('what is neither an agent nor a key without a passphrase is refused', async () => {
    const work = new Workspace(variant);
    const { url, agent, key } = await serve(work);
    work.shell(
      `cp ${key} ../locked && ssh-keygen -q -p -N secret -f ../locked && chmod 644 ../locked; echo x > ../text`,
    );
    for (const [words, said] of [
      [`default=${work.directory}/none`, /no such file/],
      [`default=${work.directory}/text`, /text is no private key/],
      [`default=${work.directory}/locked`, /locked is no private key that can be used without a passphrase/],
      [`default=${agent},${work.directory}/locked`, /stands alone/],
    ] as const) {
      const { exitCode, stderr } = await work.tryBuild(`FROM scratch\nADD ${url} /a/\n`, {
        args: ['--ssh', words],
      });
      expect(exitCode).toBe(2);
      expect(stderr).toMatch(said);
      expect(stderr).toContain('[USAGE_SSH]');
    }
  });

  test('a key that is not let in is told as such', async () => {
    const work = new Workspace(variant);
    const { url, stranger } = await serve(work);
    const add = `FROM scratch\nADD ${url} /a/\n`;
    for (const options of [{ args: ['--ssh', `default=${stranger}`] }, {}]) {
      const { exitCode, stderr } = await work.tryBuild(add, options);
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/git ls-remote failed for ssh:.*Permission denied \(publickey\)\. \[COPY_GIT\]/);
      expect(stderr).toContain('--ssh default=SOCKET');
      expect(stderr).toContain('>>> ADD');
    }
  });
});

describe('keys of hosts', () => {
  const known = `${accountOf('kilntest').home}/.ssh/known_hosts`;
  const read = (): string => (existsSync(known) ? readFileSync(known, 'utf8') : '');

  test('an unknown host is taken as it is, and not remembered', async () => {
    const work = new Workspace();
    const { url, agent, port } = await serve(work);
    const args = ['--ssh', `default=${agent}`];
    await work.build(`FROM scratch\nADD ${url}#v1:app /a/\n`, { args });
    expect(read()).not.toContain(`:${port} `);
  });

  test('a host that shows another key than the known one is refused', async () => {
    const work = new Workspace();
    const { url, agent, port } = await serve(work);
    const other = readFileSync(`${work.directory}/ssh/other.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
    knowHost(`[127.0.0.1]:${port} ${other}`);
    const { exitCode, stderr } = await work.tryBuild(`FROM scratch\nADD ${url} /a/\n`, {
      args: ['--ssh', `default=${agent}`],
    });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('Host key verification failed. [COPY_GIT]');
    expect(stderr).toContain('ssh-keygen -R HOST');
  });
});
