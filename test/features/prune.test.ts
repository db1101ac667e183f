import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOTLESS, type Variant, Workspace } from '../helpers/workspace.ts';
import { run } from '../setup/run.ts';

const DOCKERFILE =
  'ARG BASE\nFROM $BASE\nARG N=0\nRUN adduser -D -u 1234 u 2>/dev/null; echo $N > /n; chown 1234 /n || true\nCOPY f /f\nRUN cat /n /f > /both\n';
const AS_ROOT: Variant = { user: 'root', snapshotter: 'overlay' };

function command(work: Workspace, name: string, n = '0'): string[] {
  const words = work.buildCommand(DOCKERFILE, { buildArgs: { N: n } });
  return [...words.slice(0, 1), '-t', name, ...words.slice(1)];
}

async function ok(work: Workspace, args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await work.kiln(args);
  expect(exitCode, stderr).toBe(0);
  return stdout;
}

describe.each([ROOTLESS, AS_ROOT])('as $user', (variant) => {
  test('names are given and taken; prune frees what they led to, a cached build still hits', async () => {
    const work = new Workspace(variant);
    work.write('f', '1');
    await ok(work, command(work, 'app'));
    await ok(work, ['tag', 'app', 'other:1', 'more']);
    expect(await ok(work, ['rmi', 'other:1', 'more'])).toBe('Untagged: other:1\nUntagged: more:latest\n');
    const unknown = await work.kiln(['rmi', 'nothing']);
    expect(unknown).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('STORE_NO_IMAGE') });
    await ok(work, ['prune']);
    const again = await work.kiln(command(work, 'app'));
    expect(again.stderr.match(/\bCACHED\b/g)).toHaveLength(3);
    expect(await ok(work, ['prune', '--all'])).toMatch(/Total reclaimed space: \d/);
    expect(readdirSync(join(work.home, 'snapshots'))).toEqual([]);
    expect(await ok(work, ['inspect', 'app'])).toContain('"Id"');
    run('skopeo', ['inspect', `oci:${work.home}:docker.io/library/app:latest`]);
    expect(await ok(work, ['rmi', 'app'])).toBe('Untagged: app:latest\n');
    await ok(work, ['prune']);
    expect(readdirSync(join(work.home, 'blobs/sha256'))).toEqual([]);
    await ok(work, command(work, 'app'));
    const rows = (await ok(work, ['df', '--format', 'json']))
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row));
    expect(rows.map(({ TotalCount }) => TotalCount)).toMatchObject([
      1,
      0,
      expect.any(Number),
      4,
      3,
      0,
      expect.any(Number),
    ]);
    expect(rows[3].SizeBytes).toBeGreaterThan(500_000);
  });
});

describe.each([ROOTLESS, AS_ROOT])('as $user', (variant) => {
  test('twenty builds at once, with prunes between, all end with whole images', {
    timeout: 180_000,
  }, async () => {
    const work = new Workspace(variant);
    work.write('f', '1');
    const builds = Array.from({ length: 20 }, (_, n) => work.kiln(command(work, `app${n}`, String(n % 4))));
    const kinds = [
      ['prune'],
      ['prune', '--all'],
      ['prune', '--keep-storage', '1MB'],
      ['prune', '--filter', 'until=1s'],
    ];
    const prunes = async (): Promise<void> => {
      for (let count = 0; count < 8; count++) await ok(work, kinds[count % kinds.length] ?? []);
    };
    const [, ...results] = await Promise.all([prunes(), ...builds]);
    expect(results.filter(({ exitCode }) => exitCode !== 0).map(({ stderr }) => stderr)).toEqual([]);
    expect(await ok(work, ['doctor', '--store', '--dry-run'])).toMatch(
      /^checked \d+ images[\s\S]*the store is whole\n$/,
    );
    await ok(work, ['prune', '--all']);
    expect(await ok(work, ['doctor', '--store', '--dry-run'])).toMatch(
      /^checked \d+ images[\s\S]*the store is whole\n$/,
    );
    expect((await ok(work, ['images', '--format', '{{.Repository}}'])).trim().split('\n')).toHaveLength(20);
    const copy = work.fresh('copy');
    for (let n = 0; n < 20; n++) {
      // skopeo checks every digest on the way.
      const name = `oci:${work.home}:docker.io/library/app${n}:latest`;
      run('skopeo', ['copy', '-q', '--insecure-policy', name, `oci:${copy}:a${n}`]);
    }
    for (let n = 0; n < 4; n++) {
      const bundle = work.fresh('bundle');
      run('umoci', ['unpack', '--image', `${copy}:a${n}`, bundle]);
      expect(readFileSync(join(bundle, 'rootfs/both'), 'utf8')).toBe(`${n}\n1`);
    }
  });
});

const MOUNTED =
  'ARG BASE\nFROM $BASE\nRUN --mount=type=cache,target=/cache,id=big head -c 300000 /dev/zero > /cache/f; echo x > /cache/g; chown 77 /cache/g\n';

test('prune enters no namespace when only files are to go, and takes cache mounts with --all', async () => {
  const work = new Workspace(ROOTLESS);
  work.write('f', '1');
  await ok(work, ['build', '-q', '-f', work.write('Dockerfile', 'FROM scratch\nCOPY f /f\n'), work.context]);
  const traced = async (...args: string[]): Promise<boolean> => {
    const log = work.fresh('strace');
    // Under strace newuidmap has no privilege, so that what enters a namespace fails, and changes nothing.
    const result = await work.kiln(args, { wrapper: ['strace', '-f', '-e', 'trace=execve', '-o', log] });
    expect(result.exitCode === 0, result.stderr).toBe(!result.stderr.includes('HOST_ID_MAP'));
    return readFileSync(log, 'utf8').includes('newuidmap');
  };
  expect(await traced('prune', '--all', '--dry-run')).toBe(false);
  expect(await traced('prune', '--all')).toBe(false);
  expect(readdirSync(join(work.home, 'blobs/sha256'))).toEqual([]);
  const built = await work.tryBuild(MOUNTED);
  expect(built.exitCode, built.stderr).toBe(0);
  const mounts = async (): Promise<{ Name: string; SizeBytes: number; LastUsed: string }[]> => {
    const rows = (await ok(work, ['df', '-v', '--format', 'json']))
      .trim()
      .split('\n')
      .map((row) => JSON.parse(row));
    return rows[5].Items;
  };
  expect(await mounts()).toMatchObject([
    { Name: 'big', SizeBytes: 300_002 + 'big'.length, LastUsed: expect.stringContaining('seconds ago') },
  ]);
  await ok(work, ['prune']);
  await ok(work, ['prune', '--filter', 'until=1h']);
  expect(await mounts()).toHaveLength(1);
  expect(await ok(work, ['prune', '--all', '--dry-run'])).toMatch(
    /^Would remove:\n[\s\S]*mount [0-9a-f]{32} \(300kB\)/m,
  );
  expect(await traced('prune', '--all')).toBe(true);
  await ok(work, ['prune', '--all']);
  expect(await mounts()).toEqual([]);
  for (const folder of ['blobs/sha256', 'snapshots', 'chains', 'layers', 'mounts', 'tmp']) {
    expect(readdirSync(join(work.home, folder)), folder).toEqual([]);
  }
});

describe.each([ROOTLESS, AS_ROOT])('as $user', (variant) => {
  test('a build trims the cache that has outgrown its limit, when it is due', async () => {
    const work = new Workspace(variant);
    work.shell('head -c 3000000 /dev/urandom > f');
    const build = async (n: number, limit: string): Promise<string> => {
      const env = { KILN_KEEP_STORAGE: limit };
      const built = await work.tryBuild(`ARG BASE\nFROM $BASE\nRUN echo ${n} > /n\nCOPY f /f${n}\n`, {
        args: ['-v'],
        env,
      });
      expect(built.exitCode, built.stderr).toBe(0);
      return built.stderr;
    };
    for (const n of [1, 2, 3]) await build(n, 'unlimited');
    expect(await build(4, '1GB')).not.toContain('trimmed');
    // It has just been looked at.
    expect(await build(5, '10MB')).not.toContain('trimmed');
    rmSync(join(work.home, 'trimmed'));
    // Nothing was made: no look either.
    expect(await build(5, '10MB')).not.toContain('trimmed');
    expect(existsSync(join(work.home, 'trimmed'))).toBe(false);
    expect(await build(6, '10MB')).toMatch(/trimmed the build cache by \d/);
    expect((await build(6, '10MB')).match(/\bCACHED\b/g), 'what was used last is there').toHaveLength(2);
    expect((await build(1, 'unlimited')).match(/\bCACHED\b/g) ?? []).toHaveLength(0);
    const wrong = await work.tryBuild('FROM scratch\n', { env: { KILN_KEEP_STORAGE: 'much' } });
    expect(wrong).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('USAGE_SIZE') });
  });
});
