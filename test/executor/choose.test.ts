import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { probeHost } from '../../src/executor/probe.ts';
import type { Chosen } from './entries/choose.ts';
import { busyboxRoot, inside, startInside, temporaryDirectory } from './inside.ts';

const ENTRY = 'executor/entries/choose.ts';

let place: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  place = temporaryDirectory('kiln');
});
afterEach(() => place.remove());

/** A PATH with what entering needs and a few programs more. */
function pathOf(...programs: string[]): string {
  const tools = join(place.path, 'tools');
  mkdirSync(tools);
  for (const program of ['unshare', 'newuidmap', 'newgidmap', 'mount', 'cp', 'mv', ...programs]) {
    symlinkSync(execFileSync('which', [program], { encoding: 'utf8' }).trim(), join(tools, program));
  }
  return tools;
}

describe('with everything installed', () => {
  test.each(['root', 'kiln'] as const)('%s gets crun and kernel overlay', async (user) => {
    const chosen = await inside<Chosen>(user, ENTRY, { directory: place.path });
    expect(chosen).toMatchObject({ sandbox: 'oci', snapshotter: 'overlay', left: [] });
    expect(chosen.checks.map(({ id, status }) => `${id} ${status}`)).toEqual([
      'proc-mount ok',
      'snapshotter ok',
      'sandbox ok',
    ]);
  });

  test('what is forced is taken', async () => {
    const chosen = await inside<Chosen>('kiln', ENTRY, {
      directory: place.path,
      isolation: 'chroot',
      wanted: 'fuse-overlayfs',
    });
    expect(chosen).toMatchObject({ sandbox: 'chroot', snapshotter: 'fuse-overlayfs' });
  });
});

describe('with tools missing', () => {
  test('no runtime: chroot, and the reason says so', async () => {
    const { value } = await startInside<Chosen>('kiln', ENTRY, {
      payload: { directory: place.path },
      env: { PATH: pathOf() },
    }).said;
    expect(value).toMatchObject({ sandbox: 'chroot', sandboxReason: 'neither crun nor runc is installed' });
  });

  test('no runtime but --isolation oci: an error that says how to get one', async () => {
    const { error } = await startInside('kiln', ENTRY, {
      payload: { directory: place.path, isolation: 'oci' },
      env: { PATH: pathOf() },
    }).said;
    expect(error?.code).toBe('HOST_NO_RUNTIME');
    expect(error?.suggestions?.[0]).toContain('apt-get install crun');
  });

  test('no fuse-overlayfs but --snapshotter fuse-overlayfs', async () => {
    const { error } = await startInside('kiln', ENTRY, {
      payload: { directory: place.path, wanted: 'fuse-overlayfs' },
      env: { PATH: pathOf() },
    }).said;
    expect(error?.code).toBe('HOST_NO_FUSE_OVERLAYFS');
  });

  test('a store on an overlay that cannot hold another: down the ladder with the reasons', async () => {
    // ramfs has no user xattrs, which is what overlay misses there too.
    const script = `mount -t ramfs none ${place.path} && exec "$@"`;
    const { value, error } = await startInside<Chosen>('root', ENTRY, {
      payload: { directory: place.path },
      wrapper: ['unshare', '--mount', 'sh', '-c', script, 'sh'],
    }).said;
    expect(error).toBeUndefined();
    expect(value?.snapshotterReason).toMatch(/overlay/);
  });
});

describe('root in a plain container: no CAP_SYS_ADMIN, no namespaces', () => {
  const wrapper = [
    ...['unshare', '--user', '--map-root-user', '--map-auto', 'sh', '-c'],
    'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"',
    ...['sh', 'setpriv', '--bounding-set', '-sys_admin', '--'],
  ];

  test('builds a step by chroot on a copy, mounts included, and leaves no trace of them', async () => {
    const lower = busyboxRoot(join(place.path, 'lower'), 'kiln');
    mkdirSync(join(lower, 'data'));
    writeFileSync(join(lower, 'data/hidden'), 'hidden');
    const [cache, secret] = [join(place.path, 'cache'), join(place.path, 'secret')];
    mkdirSync(cache);
    writeFileSync(join(cache, 'old'), 'old');
    writeFileSync(secret, 'secret');
    execFileSync('chown', ['-R', 'kiln:kiln', lower, cache, secret]);
    const marker = String(3_000_000 + Math.floor(Math.random() * 1e9));
    const { value, error, printed } = await startInside<Chosen>('kiln', ENTRY, {
      wrapper,
      payload: {
        directory: place.path,
        lower,
        argv: [
          '/bin/sh',
          '-c',
          `cat /etc/hosts /data/old /secret; echo new > /data/new; rm /data/old; echo made > /made; echo x > /dev/null; sleep ${marker} & setsid sleep ${marker} & sleep 0.1; exit 7`,
        ],
        mounts: [
          { type: 'bind', source: cache, destination: '/data' },
          { type: 'bind', source: secret, destination: '/secret', readonly: true },
          { type: 'tmpfs', destination: '/scratch' },
        ],
      },
    }).said;
    expect(error, printed).toBeUndefined();
    expect(value).toMatchObject({ sandbox: 'chroot', snapshotter: 'copy', exitCode: 7 });
    expect(value?.sandboxReason).toContain('no namespaces');
    expect(value?.stdout).toContain('127.0.0.1\tlocalhost kiln-test\n');
    expect(value?.stdout).toContain('oldsecret');
    expect(readdirSync(cache)).toEqual(['new']);
    expect(readFileSync(secret, 'utf8')).toBe('secret');
    expect(
      execFileSync('find', [value?.upper ?? '', '-mindepth', '1', '-printf', '%P\n'], { encoding: 'utf8' }),
    ).toBe('made\n');
    expect(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })).not.toContain(`sleep ${marker}`);
  });

  test('--isolation oci is refused with the way out', async () => {
    const { error } = await startInside('kiln', ENTRY, {
      wrapper,
      payload: { directory: place.path, isolation: 'oci' },
    }).said;
    expect(error?.code).toBe('HOST_NO_SANDBOX');
  });

  test('without CAP_SYS_CHROOT there is nothing left, and the error says so', async () => {
    const less = wrapper.map((word) => (word === '-sys_admin' ? '-sys_admin,-sys_chroot' : word));
    const { error } = await startInside('kiln', ENTRY, { wrapper: less, payload: { directory: place.path } })
      .said;
    expect(error?.code).toBe('HOST_NO_SANDBOX');
    expect(error?.suggestions?.[0]).toContain('SYS_CHROOT');
  });
});

/** Docker masks parts of /proc, and then the kernel refuses a fresh one. */
test('with a masked /proc there is no PID namespace, and chroot runs the steps', async () => {
  const lower = busyboxRoot(join(place.path, 'lower'), 'kiln');
  const marker = String(3_000_000 + Math.floor(Math.random() * 1e9));
  const script = 'mount -t tmpfs none /proc/acpi 2>/dev/null || mount -t tmpfs none /proc/fs; exec "$@"';
  const { value, error, printed } = await startInside<Chosen>('kiln', ENTRY, {
    wrapper: [
      ...['unshare', '--user', '--map-root-user', '--map-auto', '--mount', 'sh', '-c', script, 'sh'],
      ...['setpriv', '--bounding-set', '-sys_admin', '--'],
    ],
    payload: {
      directory: place.path,
      lower,
      argv: [
        '/bin/sh',
        '-c',
        `ls -d /proc/self; echo > /dev/null; hostname; setsid sleep ${marker} & sleep 0.1`,
      ],
    },
  }).said;
  expect(error, printed).toBeUndefined();
  expect(value).toMatchObject({ sandbox: 'chroot', snapshotter: 'overlay', exitCode: 0 });
  expect(value?.sandboxReason).toContain('/proc is masked');
  expect(value?.stdout).toBe('/proc/self\nkiln-test\n');
  expect(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })).not.toContain(`sleep ${marker}`);
});

test('doctor’s checks of this host', () => {
  const checks = probeHost({ env: process.env, store: '/var/tmp' });
  const byId = new Map(checks.map((check) => [check.id, check]));
  expect(byId.get('oci-runtime')?.found).toMatch(/^crun \d/);
  expect(byId.get('cgroup')?.found).toContain('hybrid');
  expect(byId.get('network-helper')?.found).toContain('pasta');
  expect(byId.get('store')?.found).toMatch(/on ext4, [\d.]+ GiB free/);
  expect(checks.filter(({ status }) => status === 'fail')).toEqual([]);
  const bare = probeHost({ env: { PATH: '/nowhere' }, store: '/no/store' });
  expect(bare.find(({ id }) => id === 'oci-runtime')).toMatchObject({
    status: 'warn',
    remedy: expect.stringContaining('crun'),
  });
  expect(bare.find(({ id }) => id === 'store')?.status).toBe('fail');
});
