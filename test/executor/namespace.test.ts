import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Running, startInside, temporaryDirectory } from './inside.ts';

const ENTRY = 'executor/entries/plain.ts';

/** Number for a sleep that nobody else has. */
const marker = (): string => String(1_000_000 + Math.floor(Math.random() * 1_000_000_000));

function alive(text: string): boolean {
  return execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).includes(`sleep ${text}`);
}

/** The process that entered the namespace, not the runuser around it. */
async function enteredBy({ child }: Running<unknown>): Promise<number> {
  return new Promise((resolve) => {
    let text = '';
    child.stdout?.on('data', (chunk: string) => {
      text += chunk;
      const pid = /"pid":(\d+)/.exec(text)?.[1];
      if (pid !== undefined && text.includes('waiting')) resolve(Number(pid));
    });
  });
}

async function until(holds: () => boolean, milliseconds = 5000): Promise<void> {
  for (const deadline = Date.now() + milliseconds; !holds(); ) {
    if (Date.now() > deadline) throw new Error('it did not happen in time');
    await delay(20);
  }
}

let place: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  place = temporaryDirectory('kiln');
});
afterEach(() => place.remove());

describe.each(['root', 'kiln'] as const)('as %s', (user) => {
  test('is root over a range of IDs, with its own processes', async () => {
    const { value } = await startInside<{ uid: number; mode: string; map: number[]; processes: string }>(
      user,
      ENTRY,
      {
        payload: { what: 'where' },
      },
    ).said;
    expect(value).toMatchObject({
      pid: 1,
      uid: 0,
      mode: user === 'root' ? 'root' : 'user',
      pidNamespace: true,
      processes: '1',
    });
    if (user === 'kiln') expect(value?.map).toEqual([0, 1001, 1, 1, 100000, 65536]);
  });

  test('hands a BuildError over whole and a bug as a bug', async () => {
    const failed = await startInside(user, ENTRY, { payload: { what: 'fail' } }).said;
    expect(failed.error).toEqual({
      code: 'RUN_FAILED',
      message: 'as told',
      suggestions: ['try'],
      output: ['line'],
    });
    const bug = await startInside(user, ENTRY, { payload: { what: 'bug' } }).said;
    expect(bug.error).toEqual({ message: 'a bug' });
  });

  test('a process left behind dies with it', async () => {
    const name = marker();
    await startInside(user, ENTRY, { payload: { what: 'where', marker: name } }).said;
    expect(alive(name)).toBe(false);
  });

  test('on Ctrl-C the inside cleans up', async () => {
    const [file, name] = [join(place.path, 'cleaned'), marker()];
    const running = startInside(user, ENTRY, { payload: { what: 'wait', file, marker: name } });
    const pid = await enteredBy(running);
    expect(alive(name)).toBe(true);
    process.kill(pid, 'SIGINT');
    expect((await running.said).error).toEqual({ message: 'interrupted by the test' });
    expect(existsSync(file)).toBe(true);
    expect(alive(name)).toBe(false);
  });

  test('a second Ctrl-C ends an inside that does not listen', async () => {
    const name = marker();
    const running = startInside(user, ENTRY, { payload: { what: 'stubborn', marker: name } });
    const pid = await enteredBy(running);
    process.kill(pid, 'SIGINT');
    await delay(100);
    process.kill(pid, 'SIGINT');
    expect((await running.said).error).toEqual({ message: 'interrupted by the test' });
    await until(() => !alive(name));
  });

  test('when the command is killed, the inside cleans up by itself', async () => {
    const [file, name] = [join(place.path, 'cleaned'), marker()];
    const running = startInside(user, ENTRY, { payload: { what: 'wait', file, marker: name } });
    process.kill(await enteredBy(running), 'SIGKILL');
    await until(() => existsSync(file) && !alive(name));
  });
});

/** A PATH with a few programs only. */
function pathOf(...programs: string[]): string {
  const tools = join(place.path, 'tools');
  mkdirSync(tools);
  chmodSync(tools, 0o755);
  for (const program of programs)
    symlinkSync(execFileSync('which', [program], { encoding: 'utf8' }).trim(), join(tools, program));
  return tools;
}

describe('what can be missing', () => {
  test('newuidmap', async () => {
    const { error } = await startInside('kiln', ENTRY, {
      payload: { what: 'where' },
      env: { PATH: pathOf('unshare') },
    }).said;
    expect(error?.code).toBe('HOST_NO_NEWUIDMAP');
    expect(error?.suggestions?.join()).toContain('apt-get install uidmap');
  });

  test('newuidmap’s setuid bit', async () => {
    const tools = pathOf('unshare');
    for (const name of ['newuidmap', 'newgidmap']) execFileSync('cp', [`/usr/bin/${name}`, tools]);
    execFileSync('chmod', ['755', join(tools, 'newuidmap'), join(tools, 'newgidmap')]);
    const { error } = await startInside('kiln', ENTRY, { payload: { what: 'where' }, env: { PATH: tools } })
      .said;
    expect(error?.code).toBe('HOST_NEWUIDMAP_POWERLESS');
    expect(error?.suggestions?.[0]).toContain('chmod u+s');
  });

  test('unshare, or one that is not util-linux’s', async () => {
    const none = await startInside('kiln', ENTRY, {
      payload: { what: 'where' },
      env: { PATH: pathOf('newuidmap') },
    }).said;
    expect(none.error?.code).toBe('HOST_NO_UNSHARE');
    symlinkSync('/bin/busybox', join(place.path, 'tools', 'unshare'));
    const busybox = await startInside('kiln', ENTRY, {
      payload: { what: 'where' },
      env: { PATH: join(place.path, 'tools') },
    }).said;
    expect(busybox.error?.code).toBe('HOST_NO_UNSHARE');
  });

  describe('subordinate IDs', () => {
    const name = 'kilnbare';
    beforeAll(() => {
      execFileSync('useradd', ['--no-create-home', name]);
      for (const file of ['/etc/subuid', '/etc/subgid']) {
        const others = readFileSync(file, 'utf8')
          .split('\n')
          .filter((line) => !line.startsWith(`${name}:`));
        writeFileSync(file, others.join('\n'));
      }
    });
    afterAll(() => {
      execFileSync('userdel', [name]);
    });

    test('are asked for by their command', async () => {
      const { error } = await startInside(name, ENTRY, { payload: { what: 'where' } }).said;
      expect(error?.code).toBe('HOST_NO_SUBUID');
      expect(error?.suggestions?.[0]).toBe(
        `As root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${name}`,
      );
    });
  });

  /** The limit is one of each user namespace, so a namespace around the test refuses without touching the host. */
  const refusing = [
    'unshare',
    '--user',
    '--map-root-user',
    '--map-auto',
    'sh',
    '-c',
    'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"',
    'sh',
  ];

  test('user namespaces, for a plain user: the sysctl is named', async () => {
    // Inside the namespace the user is number 5, and gets subordinate IDs from a file that only it sees.
    const script =
      'echo "5:1000:60000" > IDS && mount --bind IDS /etc/subuid && mount --bind IDS /etc/subgid && echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'.replaceAll(
        'IDS',
        join(place.path, 'ids'),
      );
    const wrapper = [
      'unshare',
      '--user',
      '--map-root-user',
      '--map-auto',
      '--mount',
      'sh',
      '-c',
      script,
      'sh',
    ];
    const { error } = await startInside('kiln', ENTRY, {
      payload: { what: 'where' },
      wrapper: [...wrapper, 'setpriv', '--reuid', '5', '--regid', '5', '--clear-groups', '--'],
    }).said;
    expect(error?.code).toBe('HOST_USERNS_REFUSED');
    expect(error?.message).toContain('user.max_user_namespaces is 0');
    expect(error?.suggestions?.[0]).toContain('sysctl -w user.max_user_namespaces');
  });

  test('user namespaces, for root without CAP_SYS_ADMIN: no namespaces at all', async () => {
    const wrapper = [...refusing, 'setpriv', '--bounding-set', '-sys_admin', '--'];
    const { value } = await startInside('kiln', ENTRY, { payload: { what: 'where' }, wrapper }).said;
    expect(value).toMatchObject({ uid: 0, mode: 'none', pidNamespace: false });
  });

  test('the capability only: root makes a user namespace like its own', async () => {
    const wrapper = ['setpriv', '--bounding-set', '-sys_admin', '--'];
    const { value } = await startInside<{ map: number[] }>('root', ENTRY, {
      payload: { what: 'where' },
      wrapper,
    }).said;
    expect(value).toMatchObject({ uid: 0, mode: 'user', pidNamespace: true });
    expect(value?.map).toEqual([0, 0, 4294967295]);
  });
});
