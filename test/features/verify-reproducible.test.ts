import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOTLESS, type Variant, Workspace } from '../helpers/workspace.ts';

const AS_ROOT: Variant = { user: 'root', snapshotter: 'overlay' };
const ARGS = ['--verify-reproducible', '-t', 'name'];

describe.each([ROOTLESS, AS_ROOT])('--verify-reproducible as $user', (variant) => {
  test('says that two builds gave the same, and leaves no name and no record', async () => {
    const work = new Workspace(variant);
    work.write('f', '1');
    const result = await work.tryBuild('ARG BASE\nFROM $BASE\nCOPY f /f\nRUN cp /f /g\n', {
      args: [...ARGS, '--timestamp', '1700000000'],
    });
    expect(result.exitCode, result.stderr).toBe(0);
    expect(result.stdout).toMatch(/^reproducible: two builds gave sha256:[0-9a-f]{64}\n$/);
    expect((await work.kiln(['images', '-q'])).stdout).toBe('');
    const records = readdirSync(join(work.home, 'cache')).filter((name) =>
      /^(?:[0-9a-f]{2}|shapes)$/.test(name),
    );
    expect(records).toEqual([]);
    for (const folder of ['blobs/sha256', 'layers', 'snapshots', 'chains', 'tmp'])
      expect(readdirSync(join(work.home, folder)), folder).toEqual([]);
  });

  test('shows each file that differs, how, and the line that made it', async () => {
    const work = new Workspace(variant);
    const dockerfile = `ARG BASE
FROM $BASE AS made
RUN mkdir -p /out /var/log && date +%s%N > /out/date && echo same > /out/same
RUN head -c 9 /dev/urandom > /out/random; touch /out/m-$(date +%s); date > /var/log/x.log
FROM $BASE
COPY --from=made /out/random /random
RUN chown $(($(date +%s) % 60000)) /etc/passwd
`;
    const result = await work.tryBuild(dockerfile, { args: [...ARGS, '--timestamp', '1700000000'] });
    expect(result.exitCode).toBe(1);
    const [, file = ''] = /\((\S+Dockerfile-\d+):/.exec(result.stdout) ?? [];
    expect(result.stdout).toContain(`(${file}:3)\n  /out/date: content\n[made 3/3] RUN`);
    expect(result.stdout).toMatch(
      /:4\)\n {2}\/out\/m-\d+: only in the first\n {2}\/out\/m-\d+: only in the second\n {2}\/out\/random: content\n/,
    );
    expect(result.stdout).toContain(
      `COPY --from=made /out/random /random (${file}:6)\n  made by line 4\n  /random: content\n`,
    );
    expect(result.stdout).toMatch(/:7\)\n {2}\/etc\/passwd: owner \d+:0 and \d+:0\n/);
    expect(result.stdout).not.toContain('/out/same:');
    expect(result.stderr).toContain('[IMAGE_NOT_REPRODUCIBLE]');
    expect(result.stderr).toContain('two builds differ in 4 of 4 steps');
    expect(result.stderr).toContain('rm -rf /var/log/*');
    for (const folder of ['blobs/sha256', 'layers', 'snapshots', 'tmp'])
      expect(readdirSync(join(work.home, folder)), folder).toEqual([]);
  });
});

test('without a fixed time the cure is one', async () => {
  const work = new Workspace(ROOTLESS);
  work.write('f', '1');
  const result = await work.tryBuild('ARG BASE\nFROM $BASE\nRUN echo 1 > /f\n', { args: ARGS });
  expect(result.exitCode).toBe(1);
  expect(result.stdout).toContain('  /f: mtime\n');
  expect(result.stderr).toContain('--timestamp 0');
  const metadata = await work.tryBuild('FROM scratch\nCOPY f /f\n', { args: ARGS });
  expect(metadata.exitCode).toBe(1);
  expect(metadata.stderr).toContain('other times in their config');
  const failing = await work.tryBuild('ARG BASE\nFROM $BASE\nRUN exit 3\n', { args: ARGS });
  expect(failing.stderr).toContain('RUN_FAILED');
});
