import { describe, expect, test } from 'vitest';
import { ROOTLESS, type Variant, Workspace } from '../helpers/workspace.ts';

const AS_ROOT: Variant = { user: 'root', snapshotter: 'fuse-overlayfs' };
const NOISE = 'head -c 16 /dev/urandom | sha256sum';

function cachedLines(text: string): number {
  return (text.match(/\bCACHED\b/g) ?? []).length;
}

/** Three steps that follow a first one in its stage, each of another kind. */
const AFTER = `COPY f /dir/f\nWORKDIR /made\nRUN ${NOISE} > /stamp\n`;

describe.each([ROOTLESS, AS_ROOT])('a step that ran again as $user', (variant) => {
  test('with an equal result busts nothing after it; with another one all', async () => {
    const work = new Workspace(variant);
    work.write('f', '1');
    const build = (run: string) => work.build(`ARG BASE\nFROM $BASE\nRUN ${run}\n${AFTER}`);
    const first = await build('echo a > /a; mkdir /d; ln -s a /l; ln /a /hard');
    const again = await build('mkdir /d; echo a > /a; ln -s a /l; ln /a /hard; sleep 1.1; touch /a');
    expect(cachedLines(again.result.stderr)).toBe(3);
    expect(again.image.text('stamp')).toBe(first.image.text('stamp'));
    // The new key is known by now, and what was found is found again without a look at any bytes.
    const third = await build('mkdir /d; echo a > /a; ln -s a /l; ln /a /hard; sleep 1.1; touch /a');
    expect(cachedLines(third.result.stderr)).toBe(4);
    for (const other of ['echo b > /a', 'echo a > /a; chmod 600 /a', 'echo a > /a; chown 5 /a']) {
      const changed = await build(`${other}; mkdir /d; ln -s a /l; ln /a /hard`);
      expect(cachedLines(changed.result.stderr)).toBe(0);
    }
  });

  test('on demand: equal bytes hit, other bytes miss, and the next build goes on from the last one', async () => {
    const work = new Workspace(variant);
    const dockerfile = (run: string) =>
      `ARG BASE\nFROM $BASE AS made\nRUN ${run} > /out\nFROM $BASE\nCOPY --from=made /out /out\nRUN cp /out /copy; ${NOISE} > /stamp\n`;
    const args = ['--no-cache-filter', 'made'];
    const first = await work.build(dockerfile('echo same'));
    const same = await work.build(dockerfile('echo same'), { args });
    expect(cachedLines(same.result.stderr)).toBe(2);
    expect(same.image.text('stamp')).toBe(first.image.text('stamp'));
    await work.build(dockerfile(NOISE));
    const other = await work.build(dockerfile(NOISE), { args });
    expect(cachedLines(other.result.stderr)).toBe(0);
    expect(other.image.text('copy')).toBe(other.image.text('out'));
    const next = await work.build(dockerfile(NOISE));
    expect(cachedLines(next.result.stderr)).toBe(3);
    expect(next.image.manifest).toEqual(other.image.manifest);
  });
});

test('a changed step below is not taken for an unchanged one though the sizes are equal', async () => {
  const work = new Workspace(ROOTLESS);
  const build = (letter: string) =>
    work.build(`ARG BASE\nFROM $BASE\nRUN echo ${letter} > /a\nRUN cp /a /b\nRUN cat /a /b > /both\n`);
  await build('x');
  expect((await build('y')).image.text('both')).toBe('y\ny\n');
  // Two equal results in a row: x is found by its own key again.
  const back = await build('x');
  expect(back.image.text('both')).toBe('x\nx\n');
  expect(cachedLines(back.result.stderr)).toBe(3);
});

test('a bind mount of a stage counts by the files it shows', async () => {
  const work = new Workspace(ROOTLESS);
  const build = (noise: string, shown: string) =>
    work.build(
      `ARG BASE\nFROM $BASE AS made\nRUN mkdir /out && echo ${noise} > /noise && echo ${shown} > /out/f\nFROM $BASE\nRUN --mount=type=bind,from=made,source=/out,target=/in cat /in/f > /f && ${NOISE} > /stamp\n`,
    );
  const first = await build('1', 'x');
  const same = await build('2', 'x');
  expect(cachedLines(same.result.stderr)).toBe(1);
  expect(same.image.text('stamp')).toBe(first.image.text('stamp'));
  const changed = await build('2', 'y');
  expect(cachedLines(changed.result.stderr)).toBe(0);
  expect(changed.image.text('f')).toBe('y\n');
});

test('COPY --link is the same layer on any base; what follows it is not', async () => {
  const work = new Workspace(ROOTLESS);
  work.write('f', '1');
  const build = (run: string, flag = '--link') =>
    work.build(`ARG BASE\nFROM $BASE\nRUN ${run}\nCOPY ${flag} f /f\nRUN cat /a /f > /both\n`);
  await build('echo x > /a');
  const other = await build('echo y > /a');
  expect(cachedLines(other.result.stderr)).toBe(1);
  expect(other.image.text('both')).toBe('y\n1');
  const again = await build('echo y > /a');
  expect(cachedLines(again.result.stderr)).toBe(3);
  // A name is looked up in the image, so the image counts.
  await build('echo x > /a', '--link --chown=www-data');
  expect(cachedLines((await build('echo y > /a', '--link --chown=www-data')).result.stderr)).toBe(1);
  work.write('f', '2');
  const changed = await build('echo y > /a');
  expect(changed.image.text('both')).toBe('y\n2');
});
