import { readdirSync } from 'node:fs';
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
    expect(rows.map(({ TotalCount }) => TotalCount)).toMatchObject([1, 0, expect.any(Number), 4, 3, 0]);
    expect(rows[3].Size).toBeGreaterThan(500_000);
  });
});

test('builds with prunes between and beside them all end with whole images', async () => {
  const work = new Workspace(ROOTLESS);
  work.write('f', '1');
  const builds = Array.from({ length: 10 }, (_, n) => work.kiln(command(work, `app${n}`, String(n % 3))));
  const prunes = async (): Promise<void> => {
    for (let count = 0; count < 4; count++) await ok(work, count % 2 === 0 ? ['prune'] : ['prune', '--all']);
  };
  const [, ...results] = await Promise.all([prunes(), ...builds]);
  expect(results.filter(({ exitCode }) => exitCode !== 0).map(({ stderr }) => stderr)).toEqual([]);
  await ok(work, ['prune', '--all']);
  for (let n = 0; n < 10; n++) {
    const target = work.fresh('copy');
    run('skopeo', [
      'copy',
      '-q',
      '--insecure-policy',
      `oci:${work.home}:docker.io/library/app${n}:latest`,
      `oci:${target}:a`,
    ]);
  }
});
