import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOTLESS, Workspace } from '../helpers/workspace.ts';

const DOCKERFILE = (n: number): string =>
  `ARG BASE\nFROM $BASE AS made\nRUN echo made > /made\nFROM $BASE\nRUN echo below > /below\nCOPY f /dir/f\nCOPY --from=made /made /dir/g${n}\nRUN echo ${n} $(cat /dir/f /dir/g${n} /below) > /seen\n`;

/** Damages every file of a folder of the store that `pick` chooses. */
function damage(
  work: Workspace,
  folder: string,
  pick: (name: string) => boolean,
  change: (content: Buffer) => Buffer | string,
): number {
  const directory = join(work.home, folder);
  const names = readdirSync(directory).filter(pick);
  for (const name of names) {
    const path = join(directory, name);
    writeFileSync(path, change(readFileSync(path)));
  }
  return names.length;
}

const isToc = (name: string): boolean => name.endsWith('.toc');

test.each<[string, (work: Workspace) => number]>([
  [
    'tables of contents of an older format',
    (work) =>
      damage(work, 'layers', isToc, (toc) => Buffer.concat([Buffer.from('kilntoc1'), toc.subarray(8)])),
  ],
  [
    'tables of contents with a flipped bit',
    (work) =>
      damage(work, 'layers', isToc, (toc) =>
        Buffer.from(toc.map((byte, index) => (index === toc.length - 9 ? byte ^ 1 : byte))),
      ),
  ],
  ['tables of contents that are empty', (work) => damage(work, 'layers', isToc, () => '')],
  [
    'compressed forms that are no JSON',
    (work) =>
      damage(
        work,
        'layers',
        (name) => !isToc(name),
        () => '{',
      ),
  ],
  [
    'compressed forms cut short',
    (work) => {
      const variants = readdirSync(join(work.home, 'layers')).filter((name) => !isToc(name));
      const blobs = variants.map((name) =>
        JSON.parse(readFileSync(join(work.home, 'layers', name), 'utf8')).digest.slice(7),
      );
      return damage(
        work,
        'blobs/sha256',
        (name) => blobs.includes(name),
        (blob) => blob.subarray(0, 10),
      );
    },
  ],
  [
    'snapshot names that lead elsewhere',
    (work) =>
      damage(
        work,
        'chains',
        () => true,
        () => '../blobs',
      ),
  ],
  [
    'snapshot names of nothing',
    (work) =>
      damage(
        work,
        'chains',
        () => true,
        () => '0123456789abcdef',
      ),
  ],
  [
    'records',
    (work) =>
      readdirSync(join(work.home, 'cache'))
        .filter((name) => /^[0-9a-f]{2}$/.test(name))
        .reduce(
          (sum, name) =>
            sum +
            damage(
              work,
              join('cache', name),
              () => true,
              () => '{"key":1}',
            ),
          0,
        ),
  ],
  [
    'file digests',
    (work) =>
      damage(
        work,
        'cache',
        (name) => name.startsWith('files-'),
        (text) => text.toString('latin1').replaceAll(/[0-9a-f]{64}/g, 'x'),
      ),
  ],
])('%s are made again', async (_what, spoil) => {
  const work = new Workspace(ROOTLESS);
  work.write('f', 'content');
  // Old enough for its digest to be remembered.
  work.shell('touch -d "1 hour ago" f; sleep 0.1');
  const layout = work.fresh('layout');
  const first = await work.tryBuild(DOCKERFILE(1), {
    args: ['--output', `type=oci,tar=false,dest=${layout},compression=gzip`],
  });
  expect(first.exitCode, first.stderr).toBe(0);
  expect(spoil(work)).toBeGreaterThan(0);
  for (const n of [1, 2]) {
    const again = work.fresh('layout');
    const built = await work.tryBuild(DOCKERFILE(n), {
      args: ['--output', `type=oci,tar=false,dest=${again},compression=gzip`],
    });
    expect(built.exitCode, built.stderr).toBe(0);
    const image = work.open(`oci:${again}`);
    expect(image.checkDiffIds()).toEqual(image.config.rootfs.diff_ids);
    expect(image.text('seen')).toBe(`${n} contentmade below\n`);
  }
});

test('an index that is no JSON is told, with the way out', async () => {
  const work = new Workspace(ROOTLESS);
  expect(await work.kiln(['images'])).toMatchObject({ exitCode: 0 });
  writeFileSync(join(work.home, 'index.json'), '{');
  expect(await work.kiln(['images'])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringMatching(/STORE_CORRUPT_INDEX[\s\S]*doctor --store/),
  });
  rmSync(join(work.home, 'index.json'));
});

test('a table of contents that is missing costs a look at the layer, and no step', async () => {
  const work = new Workspace(ROOTLESS);
  work.write('f', 'content');
  const dockerfile = `ARG BASE
FROM $BASE AS made
RUN echo made > /made && cat /proc/sys/kernel/random/uuid > /id
FROM $BASE
COPY --from=made /id /id
`;
  const first = await work.build(dockerfile);
  const tocs = readdirSync(join(work.home, 'layers')).filter(isToc);
  for (const name of tocs) rmSync(join(work.home, 'layers', name));
  const again = await work.build(dockerfile);
  expect(again.result.stderr).toContain('2/2 steps cached');
  expect(again.image.text('id')).toBe(first.image.text('id'));
  const reader = dockerfile.replace('COPY --from=made /id /id', 'COPY --from=made /id /elsewhere');
  const read = await work.build(reader);
  expect(read.result.stderr).toContain('1/2 steps cached');
  expect(read.image.text('elsewhere')).toBe(first.image.text('id'));

  // With the layer damaged as well, its step is run.
  for (const name of readdirSync(join(work.home, 'layers')).filter(isToc)) {
    rmSync(join(work.home, 'layers', name));
    damage(
      work,
      'blobs/sha256',
      (blob) => name.startsWith(blob),
      (tar) => Buffer.from(tar.map((byte, at) => (at > 600 && at < 700 ? byte ^ 1 : byte))),
    );
  }
  const mended = await work.build(dockerfile.replace('/id /id', '/id /third'));
  expect(mended.result.stderr).toContain('its step is run instead');
  expect(mended.image.text('third')).toMatch(/^[0-9a-f-]{36}\n$/);
  expect(mended.image.text('third')).not.toBe(first.image.text('id'));
  expect(mended.image.checkDiffIds()).toEqual(mended.image.config.rootfs.diff_ids);
});

test.each(['tmp', 'blobs', 'cache', 'snapshots', 'mounts', 'layers', 'chains', 'index.json'])(
  'a store whose %s somebody has removed goes on as one that has less',
  async (part) => {
    const work = new Workspace(ROOTLESS);
    work.write('f', 'one');
    await work.build(DOCKERFILE(1), { args: ['-t', 'app'] });
    rmSync(join(work.home, part), { recursive: true });
    const { image } = await work.build(DOCKERFILE(2));
    expect(image.text('seen')).toBe('2 onemade below\n');
    expect((await work.kiln(['prune', '-af'])).exitCode).toBe(0);
    expect((await work.kiln(['doctor', '--store'])).exitCode).toBe(0);
  },
);
