import { describe, expect, test } from 'vitest';
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

describe('stages that the target reads one after another are made at the same time', () => {
  /** A step that ends only while the other stages' are under way as well. */
  const meet = (own: string, others: readonly string[]): string =>
    `RUN --mount=type=cache,id=TURN,target=/m touch /m/${own}; for o in ${others.join(' ')}; do n=0; until [ -e /m/$o ]; do n=$((n+1)); [ $n -lt 150 ] || exit 9; sleep 0.1; done; done; touch /${own}`;

  const stage = (own: string, others: readonly string[], before = ''): string =>
    `FROM $BASE AS ${own}\n${before}${meet(own, others)}\n`;

  const three = (before = ''): string =>
    stage('a', ['b', 'c'], before) + stage('b', ['a', 'c'], before) + stage('c', ['a', 'b'], before);

  const copies = 'FROM $BASE\nCOPY --from=a /a /\nCOPY --from=b /b /\nCOPY --from=c /c /\n';

  test.each<[string, string, readonly string[]]>([
    ['at first', `ARG BASE\n${three()}${copies}`, []],
    ['with --no-cache', `ARG BASE\n${three()}${copies}`, ['--no-cache']],
    [
      'where only their making tells what they read',
      `ARG BASE\nFROM $BASE AS seed\nRUN touch /seed\n${three('COPY --from=seed /seed /\n')}${copies}`,
      [],
    ],
    [
      'where a RUN mounts them',
      `ARG BASE\n${three()}FROM $BASE\nRUN --mount=from=a,target=/x/a true\nRUN --mount=from=b,target=/x/b true\nRUN --mount=from=c,target=/x/c true\n`,
      ['--no-cache'],
    ],
    [
      'where a cache of others is asked',
      `ARG BASE\n${three()}${copies}`,
      ['--no-cache', '--cache-from', 'type=local,src=/nowhere'],
    ],
  ])('%s', async (_name, dockerfile, args) => {
    const work = new Workspace(ROOTLESS);
    for (const turn of ['first', 'second']) {
      // What the first turn left in its cache mount must not help the second.
      const result = await work.tryBuild(dockerfile.replaceAll('TURN', turn), { args });
      expect(result.exitCode, result.stderr).toBe(0);
    }
  });
});
