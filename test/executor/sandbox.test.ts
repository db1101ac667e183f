import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SandboxRequest } from '../../src/executor/sandbox.ts';
import type { SandboxOutcome, SandboxPayload } from './entries/sandbox.ts';
import { busyboxRoot, inside, startInside, type TestUser, temporaryDirectory } from './inside.ts';

const ENTRY = 'executor/entries/sandbox.ts';
const shell = (script: string): readonly string[] => ['/bin/sh', '-c', script];

describe.each(['root', 'kiln'] as const)('as %s', (user: TestUser) => {
  describe.each(['crun', 'runc', 'chroot'] as const)('%s', (sandbox) => {
    let place: ReturnType<typeof temporaryDirectory>;
    let rootfs: string;
    beforeAll(() => {
      place = temporaryDirectory(user);
      rootfs = busyboxRoot(join(place.path, 'rootfs'), user);
    });
    afterAll(() => place.remove());

    const payload = (requests: readonly Partial<SandboxRequest>[]): SandboxPayload => ({
      sandbox,
      directory: place.path,
      rootfs,
      requests,
    });
    const runAll = (...requests: Partial<SandboxRequest>[]): Promise<SandboxOutcome[]> =>
      inside<SandboxOutcome[]>(user, ENTRY, payload(requests));
    const run = async (request: Partial<SandboxRequest>): Promise<SandboxOutcome> => {
      const [outcome] = await runAll(request);
      if (outcome === undefined) throw new Error('no outcome');
      return outcome;
    };
    const sh = (script: string, more: Partial<SandboxRequest> = {}): Promise<SandboxOutcome> =>
      run({ argv: shell(script), ...more });

    test('runs a command and gives back its output and exit code', async () => {
      const outcomes = await runAll(
        { argv: shell('echo out; echo err >&2; exit 42') },
        { argv: shell('kill -SEGV $$; exit 3') },
        { argv: shell("sh -c 'kill -9 $$'; exit $?") },
        { argv: ['/bin/echo', 'a b', '$HOME'], env: ['PATH=/bin', 'HOME=/x'] },
      );
      expect(outcomes.map(({ exitCode }) => exitCode)).toEqual([42, 3, 137, 0]);
      expect(outcomes[0]).toMatchObject({ stdout: 'out\n', stderr: 'err\n' });
      expect(outcomes[3]?.stdout).toBe('a b $HOME\n');
    });

    test('is the first process of its own, with its name, limits and Docker’s powers', async () => {
      const { stdout } = await sh(
        'echo $$; hostname; grep -E "CapEff|CapBnd|Seccomp:|NoNewPrivs" /proc/self/status; ulimit -n; umask; ps -o pid | wc -l',
        { ulimits: [{ name: 'nofile', soft: 1000, hard: 2000 }] },
      );
      expect(stdout.split('\n')).toEqual([
        '1',
        'kiln-test',
        'CapEff:\t00000000a80425fb',
        'CapBnd:\t00000000a80425fb',
        'NoNewPrivs:\t0',
        'Seccomp:\t2',
        '1000',
        '0022',
        expect.any(String),
        '',
      ]);
    });

    test('refuses what Docker refuses', async () => {
      const { stdout } = await sh(
        'unshare -U true && echo userns; mount -t tmpfs x /tmp && echo mount; echo 1 > /proc/sys/kernel/domainname && echo sysctl; dmesg && echo dmesg; cat /proc/kcore | head -c 1 | wc -c',
      );
      expect(stdout).toBe('0\n');
    });

    test('has devices, a terminal filesystem and shared memory of the size asked for', async () => {
      const { stdout } = await sh(
        'for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done; echo x > /dev/null; head -c 3 /dev/zero | wc -c; echo to-stderr > /dev/stderr; echo to-stdout > /dev/stdout; ls /dev/pts; df -k /dev/shm | tail -1 | awk "{print \\$2}"; test -d /dev/mqueue && echo mqueue; ls /sys | grep -c kernel',
        { shmSize: 8 * 1024 * 1024 },
      );
      expect(stdout).toBe('3\nto-stdout\nptmx\n8192\nmqueue\n1\n');
    });

    test('becomes the user, with its groups, in the directory', async () => {
      const { stdout, stderr } = await sh(
        'id; pwd; grep CapEff /proc/self/status; echo x > /dev/stdout; touch /root/x',
        {
          user: { uid: 5, gid: 6, additionalGids: [7, 8] },
          cwd: '/tmp',
        },
      );
      expect(stdout).toBe('uid=5 gid=6 groups=7,8\n/tmp\nCapEff:\t0000000000000000\nx\n');
      expect(stderr).toContain('ermission denied');
    });

    test('lets setuid programs gain their owner’s power', async () => {
      writeFileSync(join(rootfs, 'etc/passwd'), 'root::0:0:root:/root:/bin/sh\nuser::5:6::/tmp:/bin/sh\n');
      execFileSync('cp', ['/bin/busybox', join(rootfs, 'tmp/su')]);
      if (user !== 'root') execFileSync('chown', [`${user}:${user}`, join(rootfs, 'tmp/su')]);
      execFileSync('chmod', ['4755', join(rootfs, 'tmp/su')]);
      const { stdout, stderr } = await sh('id -u; /tmp/su root -c "id -u"', {
        user: { uid: 5, gid: 6, additionalGids: [] },
      });
      execFileSync('rm', [join(rootfs, 'etc/passwd'), join(rootfs, 'tmp/su')]);
      expect({ stdout, stderr }).toEqual({ stdout: '5\n0\n', stderr: '' });
    });

    test('has its own hosts, resolv.conf and hostname, which leave no trace', async () => {
      const before = execFileSync('find', [rootfs, '-xdev'], { encoding: 'utf8' });
      const outcome = await sh(
        'cat /etc/hosts /etc/hostname; cat /etc/resolv.conf | head -c 4; ls -d /proc/1 /sys/kernel',
        {
          extraHosts: [{ name: 'db', address: '10.9.9.9' }],
        },
      );
      expect(outcome.stdout).toContain('127.0.0.1\tlocalhost kiln-test\n');
      expect(outcome.stdout).toContain('10.9.9.9\tdb\n');
      expect(outcome.stdout).toContain('/proc/1\n');
      expect(execFileSync('find', [rootfs, '-xdev'], { encoding: 'utf8' })).toBe(before);
    });

    test('does not follow the image’s symlinks out of the image', async () => {
      const other = busyboxRoot(join(place.path, `evil-${sandbox}`), user);
      const host = join(place.path, `host-${sandbox}`);
      mkdirSync(host);
      execFileSync('rmdir', [join(other, 'etc')]);
      symlinkSync(host, join(other, 'etc'));
      symlinkSync(`../../../../../../..${host}-2`, join(other, 'cache'));
      const outcome = await sh('cat /etc/hostname; ls /cache', {
        rootfs: other,
        mounts: [{ type: 'tmpfs', destination: '/cache/x' }],
      });
      expect(outcome).toMatchObject({ exitCode: 0, stdout: 'kiln-test\nx\n' });
      expect(readdirSync(host)).toEqual([]);
      expect(readdirSync(other).sort()).toEqual(['bin', 'cache', 'etc', 'root', 'tmp']);
    });

    test('mounts directories, files and tmpfs, read-only where asked', async () => {
      const [data, secret] = [join(place.path, `data-${sandbox}`), join(place.path, `secret-${sandbox}`)];
      mkdirSync(data);
      writeFileSync(join(data, 'in'), 'in');
      writeFileSync(secret, 'secret');
      if (user !== 'root') execFileSync('chown', ['-R', user, data, secret]);
      const outcome = await sh(
        'cat /data/in /run/secrets/s; echo new > /data/new; echo no > /run/secrets/s; df -k /scratch | tail -1 | awk "{print \\$2}"; echo x > /ro/x',
        {
          mounts: [
            { type: 'bind', source: data, destination: '/data' },
            { type: 'bind', source: data, destination: '/ro', readonly: true },
            { type: 'bind', source: secret, destination: '/run/secrets/s', readonly: true },
            { type: 'tmpfs', destination: '/scratch', size: 4 * 1024 * 1024 },
          ],
        },
      );
      expect(outcome.stdout).toBe('insecret4096\n');
      expect(outcome.stderr).toMatch(/Read-only[\s\S]*Read-only/);
      expect(readFileSync(join(data, 'new'), 'utf8')).toBe('new\n');
      expect(
        existsSync(join(rootfs, 'data')) ||
          existsSync(join(rootfs, 'run')) ||
          existsSync(join(rootfs, 'scratch')),
      ).toBe(false);
    });

    test('network none has a loopback only, private reaches out by a helper', async () => {
      const [none, own] = await runAll(
        { argv: shell('ip -o link | wc -l; ping -c1 -W1 127.0.0.1 >/dev/null && echo lo'), network: 'none' },
        { argv: shell('ip -o link | wc -l; ip route | grep -c default'), network: 'private' },
      );
      expect(none?.stdout).toBe('1\nlo\n');
      expect(own?.stdout).toBe('2\n1\n');
    });

    test('says which helper is missing for a private network', async () => {
      const { value } = await startInside<SandboxOutcome[]>(user, ENTRY, {
        payload: { ...payload([{ network: 'private' }]), noNetworkTools: true },
      }).said;
      expect(value?.[0]?.error?.code).toBe('HOST_NO_NETWORK_HELPER');
    });

    test('explains why a command did not start', async () => {
      writeFileSync(join(rootfs, 'tmp/plain'), 'x');
      writeFileSync(join(rootfs, 'tmp/lost'), '#!/no/such/interpreter\n', { mode: 0o755 });
      writeFileSync(join(rootfs, 'tmp/alien'), '\x7fELFnonsense', { mode: 0o755 });
      execFileSync('mkdir', ['-p', '-m', '700', join(rootfs, 'tmp/closed')]);
      const outcomes = await runAll(
        { argv: ['foo'] },
        { argv: ['/no/such'] },
        { argv: ['/tmp/plain'] },
        { argv: ['/tmp/lost'] },
        { argv: ['/tmp/alien'] },
        { argv: ['/bin/true'], ulimits: [{ name: 'nofile', soft: 1e9, hard: 2e9 }] },
      );
      expect(outcomes.map(({ error }) => error?.code)).toEqual([
        'RUN_COMMAND_NOT_FOUND',
        'RUN_COMMAND_NOT_FOUND',
        'RUN_COMMAND_NOT_EXECUTABLE',
        'RUN_COMMAND_NOT_FOUND',
        'RUN_WRONG_ARCHITECTURE',
        'RUN_ULIMIT_REFUSED',
      ]);
      expect(outcomes[0]?.error?.message).toBe(
        'exec: "foo": executable file not found in $PATH of the image.',
      );
    });

    test('a daemon left behind dies with the step', async () => {
      const marker = String(2_000_000 + Math.floor(Math.random() * 1e9));
      const outcome = await sh(`sleep ${marker} & setsid sleep ${marker} >/dev/null 2>&1 & echo started`);
      expect(outcome).toMatchObject({ exitCode: 0, stdout: 'started\n' });
      expect(outcome.milliseconds).toBeLessThan(20_000);
      expect(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })).not.toContain(`sleep ${marker}`);
    });

    test('an abort ends everything at once and leaves no mount point', async () => {
      const marker = String(2_000_000 + Math.floor(Math.random() * 1e9));
      const { value } = await startInside<SandboxOutcome[]>(user, ENTRY, {
        payload: {
          ...payload([
            { argv: shell(`trap "" TERM INT; echo go; setsid sleep ${marker}; sleep ${marker}`) },
            { argv: shell('echo after') },
          ]),
          abortAfter: 50,
        },
      }).said;
      expect(value?.[0]?.error?.message).toBe('stop');
      expect(value?.[0]?.milliseconds).toBeLessThan(20_000);
      expect(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })).not.toContain(`sleep ${marker}`);
      expect(readdirSync(rootfs)).not.toContain('proc');
      expect(readdirSync(join(rootfs, 'etc'))).toEqual([]);
    });

    test('nothing survives when kiln is killed in the middle', async () => {
      const marker = String(2_000_000 + Math.floor(Math.random() * 1e9));
      const running = startInside(user, ENTRY, {
        payload: payload([{ argv: shell(`echo go; sleep ${marker}`) }]),
      });
      const pid = await new Promise<number>((resolve) => {
        let text = '';
        running.child.stdout?.on('data', (chunk: string) => {
          text += chunk;
          const found = /"pid":(\d+)/.exec(text)?.[1];
          if (found !== undefined && text.includes('go')) resolve(Number(found));
        });
      });
      process.kill(pid, 'SIGKILL');
      const alive = (): boolean => execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).includes(marker);
      const left = (): readonly string[] => readdirSync(join(rootfs, 'etc'));
      for (let i = 0; i < 100 && (alive() || left().length > 0); i++) await delay(50);
      expect(alive()).toBe(false);
      expect(left()).toEqual([]);
    });
  });
});
