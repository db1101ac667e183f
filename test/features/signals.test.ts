import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { leftovers } from '../helpers/no-leftovers.ts';
import { resultOf, startKiln } from '../helpers/run-kiln.ts';
import { VARIANTS, Workspace } from '../helpers/workspace.ts';

const DOCKERFILE =
  'ARG BASE\nFROM $BASE AS a\nRUN echo started-a; sleep 300\nFROM $BASE AS b\nRUN echo started-b; trap "" TERM INT; sleep 300 & wait; sleep 300\nFROM scratch\nCOPY --from=a /etc /a\nCOPY --from=b /etc /b\n';

/** Starts a build that takes very long and waits until it has printed the word. */
async function started(work: Workspace, word: string, dockerfile = DOCKERFILE) {
  const child = startKiln(work.buildCommand(dockerfile), {
    user: work.variant.user,
    cwd: work.context,
    home: work.home,
  });
  const result = resultOf(child);
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (new RegExp(`^.*${word}\\s*$`, 'm').test(said)) resolve();
    });
    child.on('close', () => reject(new Error(`kiln ended before "${word}":\n${said}`)));
  });
  return { child, result };
}

describe.each(VARIANTS)('as $user over $snapshotter', (variant) => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s ends everything and exits %i', async (signal, code) => {
    const work = new Workspace(variant);
    const { child, result } = await started(work, 'started-a');
    const began = performance.now();
    child.kill(signal);
    expect((await result).exitCode).toBe(code);
    expect(performance.now() - began).toBeLessThan(20_000);
    const { image } = await work.build('ARG BASE\nFROM $BASE\nRUN echo works > /works\n');
    expect(image.text('works')).toBe('works\n');
  });

  test('SIGKILL leaves no process and no mount, and the next build clears the rest', async () => {
    const work = new Workspace(variant);
    const { child, result } = await started(work, 'started-b');
    child.kill('SIGKILL');
    expect((await result).exitCode).toBe(137);
    await expect
      .poll(() => leftovers(work.directory, work.home).filter((line) => !line.startsWith('draft')), {
        timeout: 5000,
      })
      .toEqual([]);
    const { image } = await work.build('ARG BASE\nFROM $BASE\nRUN echo works > /works\n');
    expect(image.text('works')).toBe('works\n');
  });
});

test.each([
  ['COPY', 'FROM scratch\nCOPY huge /\n'],
  ['a mount', 'ARG BASE\nFROM $BASE\nRUN --mount=type=bind,source=huge,target=/huge true\n'],
])(
  'a file of the context that takes a minute to read for %s does not hold a signal up',
  async (_, dockerfile) => {
    const work = new Workspace({ user: 'kilntest', snapshotter: 'overlay' });
    work.shell('truncate -s 60G huge');
    const { child, result } = await started(work, 'for linux/\\w+', dockerfile);
    await setTimeout(1000);
    const began = performance.now();
    child.kill('SIGINT');
    expect((await result).exitCode).toBe(130);
    expect(performance.now() - began).toBeLessThan(10_000);
  },
);

test('at any moment: a signal after every few milliseconds of a build never harms the store', async () => {
  const work = new Workspace({ user: 'kilntest', snapshotter: 'overlay' });
  work.write('f', 'content');
  const dockerfile = 'ARG BASE\nFROM $BASE\nCOPY f /f\nRUN cat /f > /g\nRUN rm /f\n';
  for (let delay = 0; delay < 600; delay += 40) {
    const child = startKiln([...work.buildCommand(dockerfile), '--no-cache', '-t', 'interrupted'], {
      user: 'kilntest',
      cwd: work.context,
      home: work.home,
    });
    const result = resultOf(child);
    void setTimeout(delay).then(() => child.kill(delay % 80 === 0 ? 'SIGINT' : 'SIGTERM'));
    expect([0, 130, 143]).toContain((await result).exitCode);
  }
  const { image } = await work.build(dockerfile);
  expect(image.text('g')).toBe('content');
  expect(image.tree.has('f')).toBe(false);
  image.validate();
});
