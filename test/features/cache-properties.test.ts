/** What busts a step and what does not: properties over generated changes, each a real build whose keys are recorded. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BuildOptions, ROOTLESS, Workspace } from '../helpers/workspace.ts';

/** Steps by id: true for those that the cache had. */
async function steps(
  work: Workspace,
  dockerfile: string,
  { args = [], ...options }: BuildOptions = {},
): Promise<Record<string, boolean>> {
  const words = work.buildCommand(dockerfile, { ...options, args: ['-t', 'x', ...args] });
  const result = await work.kiln(
    words.map((word) => (word === '--progress=plain' ? '--progress=json' : word)),
    options,
  );
  expect(result.exitCode, result.stderr).toBe(0);
  const events = result.stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map(
      (line) => JSON.parse(line) as { type: string; outcome?: string; step?: { id: string; name: string } },
    );
  return Object.fromEntries(
    events
      .filter(({ type, step }) => type === 'step-finished' && step?.name.startsWith('FROM') === false)
      .map(({ step, outcome }) => [step?.id ?? '', outcome === 'cached'])
      .filter(([id]) => String(id).startsWith('export') === false),
  );
}

/** Keys of every record of a store. */
function keysOf(work: Workspace): string[] {
  const cache = join(work.home, 'cache');
  return readdirSync(cache)
    .filter((name) => /^[0-9a-f]{2}$/.test(name))
    .flatMap((name) => readdirSync(join(cache, name)))
    .sort();
}

/** One thing that a producing stage makes otherwise, in another way for every path, and the shell that makes it. */
const CHANGES = {
  byte: 'echo b $f > $f',
  mode: 'chmod 600 $f',
  owner: 'chown 7:8 $f',
  link: 'ln -sfn /elsewhere/$f $f',
  type: 'rm $f; mkdir $f; echo $f > $f/x',
} as const;

describe('a change of one path in a producing stage', () => {
  const CONSUMED = ['one', 'two', 'three'] as const;
  /** A producer, and for each path a stage that copies it and one that mounts it. */
  const dockerfile = (change: string) => `
    ARG BASE
    FROM $BASE AS made
    RUN mkdir /out && cd /out && for f in one two three; do mkdir $f; echo a $f > $f/f; done; ${change || 'true'}
    ${CONSUMED.map(
      (name) => `
    FROM $BASE AS copy-${name}
    COPY --from=made /out/${name} /in
    RUN ls -l /in > /list
    FROM $BASE AS bind-${name}
    RUN --mount=type=bind,from=made,source=/out/${name},target=/in ls -l /in > /list`,
    ).join('')}
    FROM scratch
    ${CONSUMED.map((name) => `COPY --from=copy-${name} /list /${name}\nCOPY --from=bind-${name} /list /b-${name}`).join('\n')}
  `;

  test('misses in every consumer of the path, and nowhere else', async () => {
    const work = new Workspace(ROOTLESS);
    const seen = new Set<string>();
    await steps(work, dockerfile(''));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...CONSUMED),
        fc.constantFrom(...(Object.keys(CHANGES) as (keyof typeof CHANGES)[])),
        fc.nat(1e9),
        async (name, change, salt) => {
          const shell = `f=${name}/f; : ${salt}; ${CHANGES[change]}`;
          const found = await steps(work, dockerfile(shell));
          // A kind of change that an earlier round has made already is known; the producer never is.
          const again = await steps(work, dockerfile(`: again; ${shell}`));
          expect(found['made/2']).toBe(false);
          expect(again['made/2']).toBe(false);
          for (const other of CONSUMED) {
            for (const id of [`copy-${other}/2`, `copy-${other}/3`, `bind-${other}/2`]) {
              expect(again[id], `${id} after an equal result`).toBe(true);
              if (other !== name) expect(found[id], `${id} after ${change} of ${name}`).toBe(true);
              else if (!seen.has(`${name} ${change}`)) expect(found[id], `${id} after ${change}`).toBe(false);
            }
          }
          seen.add(`${name} ${change}`);
        },
      ),
      { numRuns: 8, endOnFailure: true },
    );
  });
});

const CONTEXT = `
  ARG BASE
  FROM $BASE AS one
  ARG SEEN=1
  RUN --mount=type=secret,id=s,required=false echo $SEEN > /seen
  COPY --chown=3:4 d /d
  FROM $BASE AS two
  WORKDIR /w
  RUN --mount=type=bind,source=d,target=/in cp -r /in here
  COPY --from=one /d /d
`;

function clone(): Workspace {
  const work = new Workspace(ROOTLESS);
  work.writeAll({ 'd/a': '1', 'd/b/c': '2', 'd/b/d': '3', 'e/f': '4' });
  return work;
}

test('two clones on two machines make the same keys, whatever does not count', async () => {
  const [here, there] = [clone(), clone()];
  there.shell(
    'mv d old; mkdir d; for f in b a; do cp -r old/$f d/; done; rm -r old; find . -exec touch -d 2001-01-01 {} +',
  );
  await steps(here, CONTEXT, { args: ['--secret', 'id=s,env=S'], env: { S: 'one' } });
  await steps(there, CONTEXT, {
    args: ['--secret', 'id=s,env=S', '--jobs=1', '-v'],
    buildArgs: { UNRELATED: 'x', HTTP_PROXY: 'http://127.0.0.1:1', no_proxy: '*' },
    env: { S: 'two', NO_COLOR: '1', CI: '1' },
  });
  expect(keysOf(there)).toEqual(keysOf(here));
});

test('what a step cannot see never busts it; an ARG that a RUN sees and a byte that is copied do', async () => {
  const work = clone();
  const all = await steps(work, CONTEXT);
  expect(Object.values(all)).not.toContain(true);
  const args = ['--secret', 'id=s,env=S'];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(
        { shell: 'touch -d @$n d d/a d/b/c' },
        { shell: 'echo $n > e/f' },
        { shell: 'mv d/a x; mv x d/a' },
        { buildArgs: { UNRELATED: '1' } },
        { buildArgs: { https_proxy: 'http://127.0.0.1:1', ALL_PROXY: 'x' } },
        { env: { S: 'other' } },
      ),
      fc.integer({ min: 1, max: 2e9 }),
      async ({ shell = 'true', buildArgs = {}, env = { S: 's' } }, n) => {
        work.shell(`n=${n}; ${shell}`);
        expect(Object.values(await steps(work, CONTEXT, { args, buildArgs, env }))).not.toContain(false);
      },
    ),
    { numRuns: 8, endOnFailure: true },
  );
  expect(await steps(work, CONTEXT, { buildArgs: { SEEN: '2' } })).toEqual({
    'one/2': false,
    'one/3': false,
    'two/2': true,
    'two/3': true,
    'two/4': true,
  });
  for (const flag of ['--add-host=h:1.2.3.4', '--ulimit=nofile=100', '--shm-size=65m']) {
    const found = await steps(work, CONTEXT, { args: [flag] });
    expect([found['one/2'], found['two/2'], found['two/3']], flag).toEqual([false, true, false]);
  }
  for (const change of ['printf x > d/a', 'chmod 700 d/b', 'ln -s a d/l', 'setfattr -n user.k -v 1 d/a']) {
    work.shell(change);
    const found = await steps(work, CONTEXT);
    expect(found, change).toEqual({
      'one/2': true,
      'one/3': false,
      'two/2': true,
      'two/3': false,
      'two/4': false,
    });
  }
  work.write('e/g', 'nobody copies this');
  expect(Object.values(await steps(work, CONTEXT))).not.toContain(false);
});

test('what RUNs share: names of hosts, limits, and the size of /dev/shm; neither addresses nor what is so anyway', async () => {
  const work = clone();
  const ran = async (...args: string[]): Promise<readonly boolean[]> => {
    const found = await steps(work, CONTEXT, { args });
    expect([found['one/3'], found['two/2']], String(args)).not.toContain(false);
    return [found['one/2'] === false, found['two/3'] === false];
  };
  await steps(work, CONTEXT);
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('h', 'i.j'), { maxLength: 2 }),
      fc.constantFrom('64m', '65536k', '67108864', '100m', '0.2g'),
      fc.ipV4(),
      async (hosts, size, address) => {
        const bytes = size.startsWith('6') ? '64m' : size;
        const key = JSON.stringify([hosts, bytes]);
        const isNew = key !== '[[],"64m"]' && !seen.has(key);
        seen.add(key);
        const args = [...hosts.map((host) => `--add-host=${host}:${address}`), `--shm-size=${size}`];
        expect(await ran(...args), String(args)).toEqual([isNew, isNew]);
      },
    ),
    { numRuns: 8, endOnFailure: true },
  );
});

test('SOURCE_DATE_EPOCH is in no key', async () => {
  const here = clone();
  const there = clone();
  await steps(here, CONTEXT, { args: ['--timestamp=1700000000'] });
  await steps(there, CONTEXT);
  expect(keysOf(there)).toEqual(keysOf(here));
});

test('--no-cache, --no-cache-filter and --pull do what they say', async () => {
  const work = clone();
  await steps(work, CONTEXT);
  expect(Object.values(await steps(work, CONTEXT, { args: ['--no-cache'] }))).not.toContain(true);
  const filtered = await steps(work, CONTEXT, { args: ['--no-cache-filter=two'] });
  expect(filtered).toEqual({ 'one/2': true, 'one/3': true, 'two/2': false, 'two/3': false, 'two/4': false });
  // An unchanged base that is asked for again is the same base.
  expect(Object.values(await steps(work, CONTEXT, { args: ['--pull'] }))).not.toContain(false);
});
