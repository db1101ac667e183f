import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { expectNoLeftovers } from '../helpers/no-leftovers.ts';
import { ROOTLESS, VARIANTS, Workspace } from '../helpers/workspace.ts';
import { startFaultProxy } from '../registry/fault-proxy.ts';
import { type RegistryServer, startRegistry } from '../registry/registry-server.ts';

let registry: RegistryServer;
let locked: RegistryServer;

beforeAll(async () => {
  registry = await startRegistry();
  locked = await startRegistry({ htpasswd: { username: 'me', password: 'pass:word' } });
});

afterAll(async () => {
  await registry.stop();
  await locked.stop();
});

const DOCKERFILE = 'ARG BASE\nFROM $BASE\nRUN echo pushed > /pushed\nCOPY f /f\nLABEL here=there\n';
const PLAIN = ['--src-tls-verify=false'];

describe.each(VARIANTS)('a registry as $user over $snapshotter', (variant) => {
  test('build --push, then skopeo, FROM and pull see the image', async () => {
    const work = new Workspace(variant);
    work.write('f', 'f');
    const name = `${registry.host}/team/${variant.user}-${variant.snapshotter}:1`;
    const pushed = await work.tryBuild(DOCKERFILE, { args: ['--push', '-t', name] });
    expect(pushed.exitCode, pushed.stderr).toBe(0);
    const image = work.open(`docker://${name}`, PLAIN);
    expect(image.text('pushed')).toBe('pushed\n');
    expect(image.checkDiffIds()).toEqual(image.config.rootfs.diff_ids);

    const other = new Workspace(variant);
    const onTop = await other.build(`FROM ${name}\nRUN cat /pushed > /again\n`);
    expect(onTop.image.text('again')).toBe('pushed\n');
    const byDigest = await other.build(`FROM ${name.replace(/:1$/, '')}@${image.digest}\nLABEL x=y\n`);
    expect(byDigest.image.config.config.Labels).toEqual({ here: 'there', x: 'y' });

    const third = new Workspace(variant);
    const pulled = await third.kiln(['pull', name]);
    expect(pulled.exitCode, pulled.stderr).toBe(0);
    expect(third.open(`oci:${third.home}:${name}`).digest).toBe(image.digest);
  });
});

test('a pull of which one layer fails leaves nothing of the others half-fetched', async () => {
  const work = new Workspace(ROOTLESS);
  const steps = [1, 2, 3].map((n) => `RUN head -c ${n * 4}000000 /dev/urandom > /f${n}\n`);
  const name = 'faults/app:1';
  const pushed = await work.tryBuild(`ARG BASE\nFROM $BASE\n${steps.join('')}`, {
    args: ['--push', '-t', `${registry.host}/${name}`],
  });
  expect(pushed.exitCode, pushed.stderr).toBe(0);
  const { manifest } = work.open(`docker://${registry.host}/${name}`, PLAIN);
  const broken = manifest.layers[1]?.digest ?? '';
  const proxy = await startFaultProxy({
    target: registry.port,
    fault: ({ url }) => (url.endsWith(broken) ? { kind: 'corrupt' } : undefined),
  });
  onTestFinished(() => proxy.stop());
  const other = new Workspace(ROOTLESS);
  for (let round = 0; round < 3; round++) {
    const pulled = await other.kiln(['pull', `${proxy.host}/${name}`]);
    expect(pulled.exitCode, pulled.stderr).toBe(1);
    expect(pulled.stderr).toContain(broken);
    await expectNoLeftovers(other.directory, other.home);
  }
  const whole = await other.kiln(['pull', `${registry.host}/${name}`]);
  expect(whole.exitCode, whole.stderr).toBe(0);
  expect((await other.kiln(['doctor', '--store'])).exitCode).toBe(0);
});

test('kiln run takes what the store lacks from the registry, and asks again when told', async () => {
  const work = new Workspace(ROOTLESS);
  const name = `${registry.host}/run/app:1`;
  const push = async (text: string): Promise<void> => {
    const dockerfile = `ARG BASE\nFROM $BASE\nRUN echo ${text} > /text\n`;
    const pushed = await work.tryBuild(dockerfile, { args: ['--push', '-t', name] });
    expect(pushed.exitCode, pushed.stderr).toBe(0);
  };
  const other = new Workspace(ROOTLESS);
  const cat = async (...flags: string[]): Promise<unknown> => {
    const { exitCode, stdout } = await other.kiln(['run', '--rm', ...flags, name, 'cat', '/text']);
    return [exitCode, stdout];
  };
  await push('one');
  expect(await cat('--pull', 'never')).toEqual([125, '']);
  expect(await cat()).toEqual([0, 'one\n']);
  expect((await other.kiln(['images', '--format', '{{.Repository}}:{{.Tag}}'])).stdout).toBe(`${name}\n`);
  await push('two');
  expect(await cat('--pull', 'missing')).toEqual([0, 'one\n']);
  expect(await cat('--pull', 'always')).toEqual([0, 'two\n']);
  expect(await cat('--pull', 'never')).toEqual([0, 'two\n']);
});

test('kiln push of a stored image, a second push sends nothing, another repository mounts', async () => {
  const work = new Workspace(ROOTLESS);
  work.shell('head -c 2000000 /dev/urandom > f');
  const result = await work.tryBuild(DOCKERFILE, { args: ['-t', 'app:1'] });
  expect(result.exitCode, result.stderr).toBe(0);
  const first = `${registry.host}/a/app:1`;
  for (const name of [first, first, `${registry.host}/b/app:1`]) {
    const pushed = await work.kiln(['push', 'app:1', name]);
    expect(pushed.exitCode, pushed.stderr).toBe(0);
  }
  expect(work.open(`docker://${first}`, PLAIN).digest).toBe(
    work.open(`docker://${registry.host}/b/app:1`, PLAIN).digest,
  );
});

test('a password from the docker config; without it, the registry and the remedy are named', async () => {
  const work = new Workspace(ROOTLESS);
  const name = `${locked.host}/private/app:1`;
  const refused = await work.tryBuild('ARG BASE\nFROM $BASE\nLABEL a=b\n', { args: ['--push', '-t', name] });
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain('REGISTRY_UNAUTHORIZED');
  expect(refused.stderr).toContain(locked.host);

  const config = work.write(
    '../docker/config.json',
    JSON.stringify({ auths: { [locked.host]: { auth: Buffer.from('me:pass:word').toString('base64') } } }),
  );
  const env = { DOCKER_CONFIG: config.replace(/\/config\.json$/, '') };
  const pushed = await work.tryBuild('ARG BASE\nFROM $BASE\nLABEL a=b\n', {
    args: ['--push', '-t', name],
    env,
  });
  expect(pushed.exitCode, pushed.stderr).toBe(0);
  expect(pushed.stderr).not.toContain('pass:word');
  const image = work.open(`docker://${name}`, [...PLAIN, '--src-creds=me:pass:word']);
  expect(image.config.config.Labels).toEqual({ a: 'b' });
});

test('a registry that is not there fails at once and is named', async () => {
  const work = new Workspace(ROOTLESS);
  const result = await work.tryBuild('FROM 127.0.0.1:1/nothing:x\n');
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain('127.0.0.1:1');
  const missing = await work.tryBuild(`FROM ${registry.host}/no/such:tag\n`);
  expect(missing.exitCode).toBe(1);
  expect(missing.stderr).toContain('no/such');
});
