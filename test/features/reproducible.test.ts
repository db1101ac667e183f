import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOTLESS, type Variant, Workspace } from '../helpers/workspace.ts';
import { run } from '../setup/run.ts';

const DOCKERFILE = `
  ARG BASE
  FROM $BASE AS made
  WORKDIR /made
  COPY src src
  RUN cat src/a src/b > all && mkdir -p d/e && ln -s all soft && ln all hard && chown -R 33:44 d && chmod 4750 all
  RUN --mount=type=bind,source=src,target=/in ls -l --full-time /in > seen; touch src/a; rm src/b
  FROM $BASE
  COPY --from=made --chown=5:6 /made /made
  ADD archive.tar /unpacked
  ENV A=1
  RUN date > /dev/null; echo 1 > /etc/one
`;

const EPOCH = 1_700_000_000;

/** One machine: its own clone with its own times, its own store. */
function machine(variant: Variant, mtime: string): Workspace {
  const work = new Workspace(variant);
  work.writeAll({ 'src/a': '1', 'src/b': '2', 'src/deep/c': '3' });
  work.shell(`mkdir in; echo 1 > in/x; tar --mtime=@5 --owner=0 --group=0 -cf archive.tar in; rm -r in
    find . -exec touch -h -d '${mtime}' {} +`);
  return work;
}

async function digestOf(work: Workspace, snapshotter: string, args: readonly string[] = []): Promise<string> {
  const words = work.buildCommand(DOCKERFILE, { args: ['--timestamp', String(EPOCH), ...args] });
  const layout = work.fresh('layout');
  const result = await work.kiln([
    ...words
      .map((word) => (word.startsWith('--snapshotter') ? `--snapshotter=${snapshotter}` : word))
      .slice(0, -1),
    '--output',
    `type=oci,tar=false,dest=${layout}`,
    work.context,
  ]);
  expect(result.exitCode, result.stderr).toBe(0);
  return work.open(`oci:${layout}`).digest;
}

test('--timestamp gives one digest: two machines, two users, every driver, cold or cached', async () => {
  const rootless = machine(ROOTLESS, '2001-02-03 04:05:06');
  const expected = await digestOf(rootless, 'overlay');
  expect(await digestOf(rootless, 'overlay')).toBe(expected);
  expect(await digestOf(rootless, 'copy', ['--no-cache'])).toBe(expected);
  const root = machine({ user: 'root', snapshotter: 'overlay' }, '2031-02-03 04:05:06');
  // A cache that was filled without the time does not give its times; what a step wrote down of them is content.
  await root.build(DOCKERFILE.replace('--full-time', ''));
  expect(await digestOf(root, 'fuse-overlayfs')).toBe(expected);
  expect(await digestOf(root, 'copy', ['--no-cache'])).toBe(expected);
  // Half of it cached, by a store that has seen another version.
  root.write('src/a', 'other');
  const other = await digestOf(root, 'overlay');
  expect(other).not.toBe(expected);
  root.write('src/a', '1');
  run('find', [join(root.context, 'src'), '-exec', 'touch', '-d', '1999-01-01', '{}', '+']);
  expect(await digestOf(root, 'overlay')).toBe(expected);
});
