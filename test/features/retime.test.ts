/** A change of SOURCE_DATE_EPOCH takes layers from the cache and gives them the times that a build from nothing would. */
import { cpSync, readdirSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { OciImage } from '../helpers/oci-image.ts';
import { stepsOf } from '../helpers/plain-steps.ts';
import { ROOTLESS, VARIANTS, type Variant, Workspace } from '../helpers/workspace.ts';
import { serveFiles } from '../remote/servers.ts';
import { run } from '../setup/run.ts';

const [EARLY, MIDDLE, LATE] = [1_600_000_000, 1_700_000_000, 1_780_000_000];
const now = (): number => Math.floor(Date.now() / 1000);

interface Round {
  readonly image: OciImage;
  readonly digest: string;
  /** Steps that ran. */
  readonly ran: readonly string[];
  readonly stderr: string;
}

async function build(
  work: Workspace,
  dockerfile: string,
  epoch: number | undefined,
  args: readonly string[] = [],
): Promise<Round> {
  const timed = epoch === undefined ? [] : ['--timestamp', String(epoch)];
  const { image, result } = await work.build(dockerfile, { args: [...timed, ...args] });
  const { stderr } = result;
  return { image, digest: image.digest, ran: stepsOf(stderr, 'DONE'), stderr };
}

/** Every way in which a layer comes by its times. */
const DOCKERFILE = (url: string) => `
  ARG BASE
  FROM $BASE AS made
  WORKDIR /made/deep
  COPY src ./src
  COPY src/a /etc/conf/a
  RUN cd src && mkdir d && cat a b > d/all && ln d/all d/hard && ln -s d soft && chown 3:4 a && chmod 4755 d/all && rm b
  RUN touch -d @1650000000 between; cp -p src/a kept; rm -r /bin/[a-f]*; echo 1 > /usr/sbin/one
  COPY --link src /linked
  ADD archive.tar /unpacked
  ADD ${url}/said ${url}/unsaid /fetched/
  COPY <<A <<B /texts/
a
A
b
B
  FROM $BASE AS unused
  RUN echo never needed > /x
  FROM $BASE AS target
  COPY --from=made /made /made
  COPY --from=made --link --chown=5:6 /unpacked /usr/unpacked
  COPY --from=made /etc/conf /fetched /etc/
  COPY --parents src/su*/c /etc/
  RUN mv /made/deep/src /usr/moved; date > /dev/null
  CMD ["true"]
  FROM target
  COPY src/a /more
`;

function machine(variant: Variant, touched: string): Workspace {
  const work = new Workspace(variant);
  work.writeAll({ 'src/a': 'a', 'src/b': 'b', 'src/sub/c': 'c' });
  work.shell(`mkdir in; for t in 1 1590000000 1600000000 1650000000 1700000000 1750000000; do echo $t > in/$t; touch -d @$t in/$t; done
    touch -d @1650000000 in; ln in/1 in/link; ln -s x in/soft
    tar --sort=name --numeric-owner --owner=1 --group=2 --mtime=@1660000000 -cf archive.tar in/soft in/link
    tar --sort=name --numeric-owner --owner=1 --group=2 -rf archive.tar in/1*; setfattr -n user.k -v v src/a; rm -r in
    find . -exec touch -h -d '${touched}' {} +`);
  return work;
}

describe.each([VARIANTS[0], VARIANTS[3]])('as $user with $snapshotter', (variant = ROOTLESS) => {
  test('one digest: from nothing, from an earlier time, from a later one, from none', async () => {
    const headers = { 'last-modified': new Date(1_650_000_000_000).toUTCString() };
    const { url } = await serveFiles({ '/said': { body: 's', headers }, '/unsaid': { body: 'u' } });
    const dockerfile = DOCKERFILE(url);
    const target = ['--target=target'];
    const [all, some] = [machine(variant, '1999-01-01'), machine(variant, '2003-03-03')];
    const cold = await build(all, dockerfile, MIDDLE);
    expect(cold.ran.length).toBeGreaterThan(10);
    const other = await build(some, dockerfile, MIDDLE, target);
    for (const before of [EARLY, LATE, undefined]) {
      const work = machine(variant, '2003-03-03');
      await build(work, dockerfile, before);
      const { digest, ran } = await build(work, dockerfile, MIDDLE);
      expect(digest, `after ${before}`).toBe(cold.digest);
      // Where a process saw files of a context or a layer with lost times, they may be in what it made.
      const kinds = ran.map((step) => step.split(' ').slice(0, 2).join(' '));
      expect(kinds.filter((kind) => !/^RUN|^COPY --from=made$/.test(kind))).toEqual([]);
      if (before === LATE) expect(ran).toEqual([]);
      expect((await build(work, dockerfile, MIDDLE, target)).digest).toBe(other.digest);
      // What was found out is remembered.
      expect((await build(work, dockerfile, MIDDLE)).ran).toEqual([]);
    }
    expect((await build(all, dockerfile, MIDDLE, ['--squash'])).digest).toBe(
      (await build(some, dockerfile, MIDDLE, ['--squash'])).digest,
    );
  });

  test('commit after commit: no step runs, and the tools of others read the new times', async () => {
    const dockerfile = `
      ARG BASE
      FROM $BASE AS built
      COPY src /src
      RUN cp -rp /src /out && ln /out/a /out/hard && rm /out/b && mkdir -p /usr/share/deep/er
      RUN chown -R 7:8 /out && touch -d @978307200 /out/old && setfattr -n user.x -v y /out/a 2>/dev/null || true
      FROM $BASE
      WORKDIR /app
      COPY --from=built /out .
      COPY --link src /linked
      RUN echo made > made && chmod 700 a
    `;
    const work = machine(variant, '2002-02-02');
    const first = now() - 1000;
    const one = await build(work, dockerfile, first);
    // A commit that is made after the first build.
    const second = now();
    const explained = await build(work, dockerfile, second, ['--explain']);
    expect(explained.ran).toEqual([]);
    expect(explained.stderr).toContain(
      'hit: the same step on the same steps; its times become SOURCE_DATE_EPOCH',
    );
    expect(explained.stderr).not.toMatch(/miss/);
    expect(explained.digest).not.toBe(one.digest);
    const cold = await build(machine(variant, '2012-12-12'), dockerfile, second);
    expect(explained.digest).toBe(cold.digest);
    const { created, history } = explained.image.config;
    const date = new Date(second * 1000).toISOString().replace('.000', '');
    expect(created).toBe(date);
    expect(new Set(history.slice(-4).map((entry) => entry.created))).toEqual(new Set([date]));
    const reference = `oci:${explained.image.directory}`;
    expect(run('skopeo', ['inspect', '--format', '{{.Created.Unix}}', reference])).toBe(`${second}\n`);
    const layer = explained.image.manifest.layers.at(-3);
    const listed = run('tar', ['--full-time', '-tvzf', explained.image.blobPath(layer?.digest ?? '')], {
      env: { TZ: 'UTC' },
    });
    const shown = (time: number): string =>
      new Date(time * 1000).toISOString().slice(0, 19).replace('T', ' ');
    expect(listed).toMatch(new RegExp(`${shown(second)} app/a\\n`));
    expect(listed).toMatch(/2001-01-01 00:00:00 app\/old\n/);
    expect(listed).not.toContain(shown(first));
    // Nothing is written again, neither for this time nor for the one before.
    const blobs = join(work.home, 'blobs/sha256');
    const there = readdirSync(blobs).length;
    expect((await build(work, dockerfile, second)).digest).toBe(cold.digest);
    expect((await build(work, dockerfile, first)).digest).toBe(one.digest);
    expect(readdirSync(blobs)).toHaveLength(there);
    // Without a time, any will do.
    expect((await build(work, dockerfile, undefined)).ran).toEqual([]);
    expect(await work.kiln(['doctor', '--store'])).toMatchObject({ exitCode: 0 });
  });
});

const STAGES = `
  ARG BASE
  FROM $BASE AS tools
  RUN head -c 9000000 /dev/urandom > /unneeded && echo tool > /tool
  FROM $BASE
  COPY --from=tools /tool /tool
  COPY src /src
  RUN cat /proc/sys/kernel/random/uuid > /id
`;

describe('a remote cache', () => {
  test('gives layers of another time, and says which time it gives', async () => {
    const [first, second] = [now() - 1000, now() - 500];
    const here = machine(ROOTLESS, '2002-02-02');
    const cache = here.fresh('cache');
    const to = ['--cache-to', `type=local,dest=${cache},mode=max`];
    const from = ['--cache-from', `type=local,src=${cache}`];
    await build(here, STAGES, first, to);
    expect(epochsIn(cache)).toEqual(new Set([first]));
    const expected = await build(here, STAGES, second);
    const there = machine(ROOTLESS, '2003-03-03');
    expect(await build(there, STAGES, second, from)).toMatchObject({ ran: [], digest: expected.digest });
    // The layer of the other stage is needed by nobody.
    expect(largeBlobs(there)).toEqual([]);
    // What nobody needed stays as it was; the rest is given on with the time that it was given.
    await build(there, STAGES, second, [...from, ...to]);
    expect(epochsIn(cache)).toEqual(new Set([first, second]));
    for (const epoch of [second, first]) {
      const third = machine(ROOTLESS, '2004-04-04');
      const { ran, digest } = await build(third, STAGES, epoch, from);
      expect(ran).toEqual([]);
      if (epoch === second) expect(digest).toBe(expected.digest);
    }
  });

  test('inside an image: the same image from nothing and from an image of another time', async () => {
    const dockerfile = 'ARG BASE\nFROM $BASE\nCOPY src /src\nRUN echo 1 > /one\n';
    const [first, second] = [now() - 1000, now() - 500];
    const inline = ['--cache-to', 'type=inline'];
    const cold = await build(machine(ROOTLESS, '2002-02-02'), dockerfile, second, inline);
    const work = machine(ROOTLESS, '2003-03-03');
    await build(work, dockerfile, first, inline);
    const cached = await build(work, dockerfile, second, inline);
    expect(cached).toMatchObject({ ran: [], digest: cold.digest });
  });

  test('a damaged layer that is to get other times is built again', async () => {
    const [first, second] = [now() - 1000, now() - 500];
    const here = machine(ROOTLESS, '2002-02-02');
    const cache = here.fresh('cache');
    const dockerfile = 'ARG BASE\nFROM $BASE\nCOPY src /src\nRUN echo 1 > /one\n';
    await build(here, dockerfile, first, ['--cache-to', `type=local,dest=${cache}`]);
    const damaged = here.fresh('damaged');
    cpSync(cache, damaged, { recursive: true });
    for (const blob of readdirSync(join(damaged, 'blobs/sha256'))) {
      const path = join(damaged, 'blobs/sha256', blob);
      if (readFileSync(path).readUInt16BE(0) === 0x1f8b) truncateSync(path, 100);
    }
    const work = machine(ROOTLESS, '2003-03-03');
    const { stderr, digest } = await build(work, dockerfile, second, [
      '--cache-from',
      `type=local,src=${damaged}`,
    ]);
    expect(stderr).toContain('its step is run instead');
    expect(digest).toBe((await build(here, dockerfile, second)).digest);
  });
});

function largeBlobs({ home }: Workspace): string[] {
  const blobs = join(home, 'blobs/sha256');
  return readdirSync(blobs).filter((name) => statSync(join(blobs, name)).size > 8_000_000);
}

/** Times that the records of a cache in a directory tell. */
function epochsIn(cache: string): Set<number | undefined> {
  const config = run('sh', [
    '-c',
    'skopeo inspect --raw oci:"$1" | sed -nE \'s/.*"config":\\{[^}]*sha256:([0-9a-f]+).*/\\1/p\'',
    'sh',
    cache,
  ]);
  const text = readFileSync(join(cache, 'blobs/sha256', config.trim()), 'utf8');
  const { records } = JSON.parse(text) as { records: { times?: { epoch?: number } }[] };
  return new Set(records.map(({ times }) => times?.epoch));
}

test('a step that sees the time itself runs again; so does what cannot be told', async () => {
  const work = machine(ROOTLESS, '2002-02-02');
  const sees =
    'ARG BASE\nFROM $BASE\nRUN echo 1 > /one\nARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH > /two\n';
  await build(work, sees, LATE);
  const { ran, stderr, image } = await build(work, sees, LATE + 1, ['--explain']);
  expect(ran).toEqual([`RUN echo ${LATE + 1} > /two`]);
  expect(stderr).toContain(`miss: ARG SOURCE_DATE_EPOCH differs: "${LATE + 1}", was "${LATE}"`);
  expect(image.text('two')).toBe(`${LATE + 1}\n`);

  const keeps = 'ARG BASE\nFROM $BASE\nCOPY src /src\nRUN cp -p /src/a /a\n';
  await build(work, keeps, undefined);
  const told = await build(work, keeps, LATE, ['--explain']);
  expect(told.ran).toEqual(['RUN cp -p /src/a /a']);
  expect(told.stderr).toContain(
    'miss: it was built without SOURCE_DATE_EPOCH, and the times that its files would have with this one are not known',
  );
  expect(told.digest).toBe((await build(machine(ROOTLESS, '2003-03-03'), keeps, LATE)).digest);
});
