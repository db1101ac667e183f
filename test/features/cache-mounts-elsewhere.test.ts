/** --cache-mount-to and --cache-mount-from: what RUN --mount=type=cache holds, on another machine. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOTLESS, type Variant, Workspace } from '../helpers/workspace.ts';
import { type RegistryServer, startRegistry } from '../registry/registry-server.ts';
import { run } from '../setup/run.ts';

let registry: RegistryServer;

beforeAll(async () => {
  registry = await startRegistry();
});

afterAll(async () => {
  await registry.stop();
});

const USERS: readonly Variant[] = [ROOTLESS, { user: 'root', snapshotter: 'overlay' }];

let count = 0;
function freshPlace(): string {
  count += 1;
  return `${registry.host}/m${count}:mounts`;
}

const FILL = `ARG BASE
FROM $BASE
RUN --mount=type=cache,target=/c,id=pkg rm -rf /c/d /c/hard /c/soft /c/fifo && mkdir -p /c/d && echo kept > /c/d/f && chown 7:8 /c/d/f && chmod 4751 /c/d/f \\
  && ln /c/d/f /c/hard && ln -s d/f /c/soft && mkfifo /c/fifo && touch -d '2020-01-02 03:04:05' /c/d/f
RUN --mount=type=cache,target=/other echo other > /other/f
`;

const LOOK = `ARG BASE
FROM $BASE
RUN --mount=type=cache,target=/c,id=pkg ls /c > /list; stat -c '%n %u %g %a %h %Y' /c/d/f > /stat; cat /c/soft > /content; true
RUN --mount=type=cache,target=/other ls /other > /others
`;

async function build(work: Workspace, dockerfile: string, args: readonly string[]) {
  const result = await work.tryBuild(dockerfile, { args });
  if (result.exitCode !== 0) throw new Error(`kiln build: exit ${result.exitCode}\n${result.stderr}`);
  return result;
}

describe.each(USERS)('cache mounts as $user', (variant) => {
  test('come to another machine by a registry, with owners, modes, links and times', async () => {
    const place = freshPlace();
    const saved = await build(new Workspace(variant), FILL, [
      '--cache-mount-to',
      `type=registry,ref=${place}`,
    ]);
    expect(saved.stderr).toContain('2 mounts');
    const other = new Workspace(variant);
    const { image } = await other.build(LOOK, { args: ['--cache-mount-from', `type=registry,ref=${place}`] });
    expect(image.text('list').split('\n').filter(Boolean).sort()).toEqual(['d', 'fifo', 'hard', 'soft']);
    expect(image.text('stat')).toBe('/c/d/f 7 8 4751 2 1577934245\n');
    expect(image.text('content')).toBe('kept\n');
    expect(image.text('others')).toBe('f\n');
  });
});

test('a directory will do, unchanged content is not written again, and named ids are all that is taken', async () => {
  const work = new Workspace();
  const directory = work.fresh('mounts');
  const to = ['--cache-mount-to', `type=local,dest=${directory},id=pkg`];
  await build(work, FILL, to);
  const index = () => run('cat', [join(directory, 'index.json')]);
  const before = index();
  const same = await build(work, 'ARG BASE\nFROM $BASE\nRUN --mount=type=cache,target=/c,id=pkg ls /c\n', to);
  expect(same.stderr).toContain('nothing new');
  expect(index()).toBe(before);
  const again = await build(work, FILL, [
    '--no-cache',
    '--cache-mount-to',
    `type=local,dest=${directory},id=nobody`,
  ]);
  expect(again.stderr).not.toContain('saving cache mounts');
  const other = new Workspace();
  const { image } = await other.build(LOOK, { args: ['--cache-mount-from', `type=local,src=${directory}`] });
  expect(image.text('content')).toBe('kept\n');
  expect(image.text('others')).toBe('');
});

test('what a machine has is not replaced; an empty mount is filled', async () => {
  const place = freshPlace();
  await build(new Workspace(), FILL, ['--cache-mount-to', place]);
  const work = new Workspace();
  await build(
    work,
    'ARG BASE\nFROM $BASE\nRUN --mount=type=cache,target=/c,id=pkg echo mine > /c/mine\n',
    [],
  );
  await build(work, 'ARG BASE\nFROM $BASE\nRUN --mount=type=cache,target=/other true\n', []);
  const { image } = await work.build(LOOK, { args: ['--cache-mount-from', place] });
  expect(image.text('list')).toBe('mine\n');
  expect(image.text('others')).toBe('f\n');
});

test('a build that fails saves its mounts; a place that cannot be reached only warns', async () => {
  const place = freshPlace();
  const failed = await new Workspace().tryBuild(`${FILL}RUN exit 4\n`, { args: ['--cache-mount-to', place] });
  expect(failed.exitCode).toBe(1);
  expect(failed.stderr).toContain('[RUN_FAILED]');
  const { image } = await new Workspace().build(LOOK, { args: ['--cache-mount-from', place] });
  expect(image.text('content')).toBe('kept\n');

  const nowhere = '127.0.0.1:1/x';
  const lost = await build(new Workspace(), FILL, [
    '--cache-mount-to',
    nowhere,
    '--cache-mount-from',
    nowhere,
  ]);
  expect(lost.stderr).toMatch(/WARNING: cache mounts of 127\.0\.0\.1:1\/x are not used: cannot reach/);
  expect(lost.stderr).toMatch(/WARNING: cache mounts were not saved to 127\.0\.0\.1:1\/x: cannot reach/);
  const strict = await new Workspace().tryBuild(FILL, {
    args: ['--cache-mount-to', `type=registry,ref=${nowhere},ignore-error=false`],
  });
  expect(strict.exitCode).toBe(1);
  expect(strict.stderr).toContain('[CACHE_EXPORT]');
});

test('max-size leaves out what does not fit; a tag with something else is left alone', async () => {
  const work = new Workspace();
  const directory = work.fresh('mounts');
  const large =
    'ARG BASE\nFROM $BASE\nRUN --mount=type=cache,target=/c,id=large head -c 300000 /dev/urandom > /c/f\n';
  const result = await build(work, large, ['--cache-mount-to', `type=local,dest=${directory},max-size=100k`]);
  expect(result.stderr).toMatch(
    /WARNING: cache mount large was not saved: its \d+ bytes do not fit max-size/,
  );
  await build(work, FILL, ['--cache-mount-to', `type=local,dest=${directory},max-size=100k`]);

  const image = `${registry.host}/image:1`;
  await build(work, FILL, ['--push', '-t', image]);
  const refused = await build(new Workspace(), FILL, [
    '--cache-mount-to',
    image,
    '--cache-mount-from',
    image,
  ]);
  expect(refused.stderr).toMatch(/were not saved to .*: .* holds something else than cache mounts/);
  expect(refused.stderr).toMatch(/are not used: .* holds something else than cache mounts/);
});

test('damaged content is not restored, and the step begins with an empty mount', async () => {
  const work = new Workspace();
  const directory = work.fresh('mounts');
  await build(work, FILL, ['--cache-mount-to', `type=local,dest=${directory}`]);
  const blobs = join(directory, 'blobs/sha256');
  for (const name of readdirSync(blobs)) {
    const path = join(blobs, name);
    if (!run('head', ['-c', '1', path]).startsWith('{')) writeFileSync(path, 'damaged');
  }
  const other = new Workspace();
  const { image, result } = await other.build(LOOK, {
    args: ['--cache-mount-from', `type=local,src=${directory}`],
  });
  expect(result.stderr).toMatch(/WARNING: cache mount pkg was not restored from .*does not match its digest/);
  expect(image.text('list')).toBe('');
});
