import { describe, expect, test } from 'vitest';
import { busyboxBase } from '../helpers/bases.ts';
import { ROOTLESS, VARIANTS, Workspace } from '../helpers/workspace.ts';

describe.each(VARIANTS)('stages as $user over $snapshotter', (variant) => {
  test('COPY --from by name, number and image, FROM a stage, FROM scratch', async () => {
    const work = new Workspace(variant);
    const { image } = await work.build(
      `
      ARG BASE
      FROM $BASE AS first
      RUN mkdir -p /out/d && echo 1 > /out/one && echo 2 > /out/d/two && chown -R 33:50 /out/d && chmod 4700 /out/one && ln -s one /out/soft
      FROM first AS Second
      RUN echo 3 > /out/three
      FROM scratch
      COPY --from=0 /out /zero
      COPY --from=second /out/three /out/d/../one /
      COPY --from=first --chown=7:8 /out/o* /chowned/
      COPY --from=${busyboxBase()} /etc/passwd /from-image
    `,
    );
    expect(image.tree.get('zero/one')).toMatchObject({ mode: '4700', owner: '0:0' });
    expect(image.tree.get('zero/d/two')?.owner).toBe('33:50');
    expect(image.tree.get('zero/soft')).toMatchObject({ type: 'symlink', link: 'one' });
    expect(image.text('three')).toBe('3\n');
    expect(image.text('one')).toBe('1\n');
    expect(image.tree.get('chowned/one')?.owner).toBe('7:8');
    expect(image.text('from-image')).toContain('root:x:0:0');
    expect(image.config.config.Env).toEqual([
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ]);
  });
});

describe('the stage graph', () => {
  test('what the target does not need is not built', async () => {
    const work = new Workspace(ROOTLESS);
    const dockerfile = `
      ARG BASE
      FROM $BASE AS broken
      RUN exit 1
      FROM oci:/nowhere:x AS missing
      FROM $BASE AS wanted
      RUN echo yes > /yes
      FROM broken
    `;
    const { image } = await work.build(dockerfile, { args: ['--target', 'wanted'] });
    expect(image.text('yes')).toBe('yes\n');
    const byNumber = await work.build(dockerfile, { args: ['--target', '2'] });
    expect(byNumber.image.manifest.config.digest).toBe(image.manifest.config.digest);
  });

  test('independent stages run at the same time', async () => {
    const work = new Workspace(ROOTLESS);
    // Each waits, in a cache that both see, for a sign of the other.
    const meet = (own: number, other: number): string =>
      `FROM $BASE AS s${own}\nRUN --mount=type=cache,target=/c touch /c/${own}; for i in $(seq 300); do test -e /c/${other} && echo ${own} > /${own} && exit; sleep 0.1; done; exit 1\n`;
    const { image } = await work.build(
      `ARG BASE\n${meet(1, 2)}${meet(2, 1)}FROM scratch\nCOPY --from=s1 /1 /\nCOPY --from=s2 /2 /\n`,
    );
    expect(image.text('1') + image.text('2')).toBe('1\n2\n');
  });

  test('when one of two stages fails, the other ends with it', async () => {
    const work = new Workspace(ROOTLESS);
    const result = await work.tryBuild(
      'ARG BASE\nFROM $BASE AS slow\nRUN sleep 60\nFROM $BASE AS bad\nRUN sleep 0.5; exit 3\nFROM scratch\nCOPY --from=slow /etc/group /\nCOPY --from=bad /etc/group /2\n',
    );
    expect(result.exitCode).toBe(1);
    expect(result.durationMs).toBeLessThan(20_000);
  });
});

test('--platform of another architecture: what needs no RUN builds', async () => {
  const work = new Workspace(ROOTLESS);
  work.write('f', 'f');
  const { image } = await work.build('FROM scratch\nARG TARGETARCH\nCOPY f /$TARGETARCH\n', {
    args: ['--platform', 'linux/s390x'],
  });
  expect(image.config.architecture).toBe('s390x');
  expect(image.text('s390x')).toBe('f');
});
