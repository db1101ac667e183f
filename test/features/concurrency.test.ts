import { expect, test } from 'vitest';
import { ROOTLESS, Workspace } from '../helpers/workspace.ts';

test('twelve builds on one empty store at the same time', async () => {
  const work = new Workspace(ROOTLESS);
  work.write('f', 'shared');
  const numbers = Array.from({ length: 12 }, (_, n) => n);
  const dockerfile = (n: number) =>
    `ARG BASE\nFROM $BASE\nCOPY f /f\nRUN echo shared > /shared\nRUN echo ${n % 3} > /n\n`;
  const results = await Promise.all(
    numbers.map((n) => work.tryBuild(dockerfile(n), { args: ['-t', `app:${n}`] })),
  );
  for (const result of results) expect(result.exitCode, result.stderr).toBe(0);
  const { stdout } = await work.kiln(['images']);
  for (const n of numbers) {
    expect(stdout).toMatch(new RegExp(`app\\s+${n}\\s`));
    const image = work.open(`oci:${work.home}:docker.io/library/app:${n}`);
    expect(image.text('n')).toBe(`${n % 3}\n`);
    expect(image.checkDiffIds()).toEqual(image.config.rootfs.diff_ids);
  }
});

test('the same build twice at once gives one image', async () => {
  const work = new Workspace(ROOTLESS);
  const dockerfile = 'ARG BASE\nFROM $BASE\nRUN sleep 0.3; echo x > /x; touch -d @1 /x /\n';
  const [one, two] = await Promise.all([work.build(dockerfile), work.build(dockerfile)]);
  expect(two?.image.text('x')).toBe(one?.image.text('x'));
});

test('many stages, bounded by the cores, all arrive', async () => {
  const work = new Workspace(ROOTLESS);
  const stages = Array.from({ length: 20 }, (_, n) => `FROM $BASE AS s${n}\nRUN echo ${n} > /${n}`);
  const copies = stages.map((_, n) => `COPY --from=s${n} /${n} /`);
  const { image } = await work.build(`ARG BASE\n${stages.join('\n')}\nFROM scratch\n${copies.join('\n')}\n`);
  expect(image.manifest.layers).toHaveLength(20);
  for (let n = 0; n < 20; n++) expect(image.text(String(n))).toBe(`${n}\n`);
});
