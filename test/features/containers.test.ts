import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { busyboxBase } from '../helpers/bases.ts';
import { expectNoLeftovers } from '../helpers/no-leftovers.ts';
import { type KilnResult, resultOf, startKiln } from '../helpers/run-kiln.ts';
import { ROOTLESS, VARIANTS, type Variant, Workspace } from '../helpers/workspace.ts';
import { run } from '../setup/run.ts';

const AS_ROOT: Variant = { user: 'root', snapshotter: 'overlay' };

/** What a container does to its image: added, changed and deleted files, a directory made anew, a mode, an owner. */
const CHANGES =
  'mkdir /new && echo n > /new/file && chown 12:34 /new/file && echo more >> /etc/group && rm /etc/passwd && ' +
  'chmod 700 /tmp && rm -r /var && mkdir /var && ln /new/file /new/link';

const DIFF = [
  'C /etc',
  'C /etc/group',
  'D /etc/passwd',
  'A /new',
  'A /new/file',
  'A /new/link',
  'C /tmp',
  'C /var',
  'D /var/tmp',
];

function runWords(work: Workspace, flags: readonly string[], command: readonly string[]): string[] {
  const given = flags.some((flag) => flag.startsWith('--snapshotter='));
  const snapshotter = given ? [] : [`--snapshotter=${work.variant.snapshotter}`];
  return ['run', ...snapshotter, ...flags, busyboxBase(), ...command];
}

async function ok(work: Workspace, words: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await work.kiln(words);
  expect(exitCode, stderr).toBe(0);
  return stdout;
}

/** SIGKILL to kiln and to what it has started, so that nothing of it can tidy up. */
function killAll(work: Workspace, child: ChildProcess): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const inside = readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('namespace-start');
      const ours = readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`KILN_HOME=${work.home}`);
      if (inside && ours) process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
  }
  child.kill('SIGKILL');
}

function rows(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Starts a container that sleeps, and waits until it has said that it runs. */
function sleeper(work: Workspace, name: string, flags: readonly string[] = []): Promise<ChildProcess> {
  const command = ['sh', '-c', `${CHANGES}; echo ready; exec sleep 300`];
  return ready(work, runWords(work, ['--name', name, ...flags], command));
}

/** Starts a container and waits until it says something. */
async function ready(work: Workspace, words: readonly string[]): Promise<ChildProcess> {
  const child = startKiln(words, { user: work.variant.user, cwd: work.context, home: work.home });
  onTestFinished(() => void child.kill('SIGKILL'));
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`it ended with ${code}`)));
  });
  return child;
}

describe.each(VARIANTS)('as $user, $snapshotter', (variant) => {
  test('a container is kept, told apart from its image, made an image of, written out and removed', async () => {
    const work = new Workspace(variant);
    expect(
      (await work.kiln(runWords(work, ['--name', 'box'], ['sh', '-c', `${CHANGES}; exit 5`]))).exitCode,
    ).toBe(5);
    const [row] = rows(await ok(work, ['ps', '-a', '--format', 'json']));
    expect(row).toMatchObject({ Names: 'box', State: 'exited', ExitCode: 5 });
    expect((await ok(work, ['diff', 'box'])).trimEnd().split('\n')).toEqual(DIFF);

    const id = await ok(work, [
      'commit',
      '-m',
      'by hand',
      '-a',
      'me',
      '--change',
      'ENV A=1',
      'box',
      'made:1',
    ]);
    const image = work.open(`oci:${work.home}:docker.io/library/made:1`);
    expect(id.trim()).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(image.config.config).toMatchObject({ Env: expect.arrayContaining(['A=1']) });
    expect(image.config.history?.at(-1)).toMatchObject({ comment: 'by hand', author: 'me' });
    const { image: child } = await work.build(
      'FROM made:1\nRUN test ! -e /etc/passwd && stat -c %u:%g:%h /new/file > /s\n',
    );
    expect(child.text('s')).toBe('12:34:2\n');

    const tar = join(work.directory, 'root.tar');
    await ok(work, ['export', '-o', tar, 'box']);
    const listed = run('tar', ['--numeric-owner', '-tvf', tar]);
    expect(listed).toMatch(/-rw-r--r-- 12\/34 +2 .* new\/file\n/);
    expect(listed).toMatch(/new\/link link to new\/file\n/);
    expect(listed).not.toMatch(/etc\/passwd|var\/tmp/);
    expect(await ok(work, ['rm', 'box'])).toBe('box\n');
    expect(readdirSync(join(work.home, 'containers'))).toEqual([]);
  });

  test('killed with kiln: nothing runs on, the container has ended, its changes are there', async () => {
    const work = new Workspace(variant);
    const child = await sleeper(work, 'box');
    expect(rows(await ok(work, ['ps', '--format', 'json']))).toMatchObject([
      { Names: 'box', State: 'running' },
    ]);
    expect((await ok(work, ['diff', 'box'])).trimEnd().split('\n')).toEqual(DIFF);
    killAll(work, child);
    await expectNoLeftovers(work.directory, work.home);
    expect(await ok(work, ['ps', '-q'])).toBe('');
    const [row] = rows(await ok(work, ['ps', '-a', '--format', 'json']));
    expect(row).toMatchObject({ State: 'exited', ExitCode: 137 });
    expect((await ok(work, ['diff', 'box'])).trimEnd().split('\n')).toEqual(DIFF);
    await ok(work, ['commit', 'box', 'rescued']);
    expect(await ok(work, ['run', '--rm', 'rescued', 'cat', '/new/link'])).toBe('n\n');
    await ok(work, ['rm', 'box']);
  });
});

describe.each([ROOTLESS, AS_ROOT])('as $user', (variant) => {
  test('rm refuses what runs; with -f it is killed, and its kiln says so', async () => {
    const work = new Workspace(variant);
    const child = await sleeper(work, 'box', ['--rm']);
    const result = resultOf(child);
    const refused = await work.kiln(['rm', 'box']);
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('CONTAINER_RUNNING') });
    expect(await ok(work, ['rm', '-f', 'box'])).toBe('box\n');
    expect((await result).exitCode).toBe(137);
    expect(await ok(work, ['ps', '-aq'])).toBe('');
  });

  test('a container of --rm whose kiln was killed goes with the next one', async () => {
    const work = new Workspace(variant);
    const first = await sleeper(work, 'first', ['--rm']);
    first.kill('SIGKILL');
    await expectNoLeftovers(work.directory, work.home);
    // What it has started sees it go, and goes as well.
    expect(await ok(work, ['ps', '-aq'])).toBe('');
    const child = await sleeper(work, 'box', ['--rm']);
    killAll(work, child);
    await expectNoLeftovers(work.directory, work.home);
    expect(await ok(work, ['ps', '-aq'])).not.toBe('');
    await ok(work, runWords(work, ['--rm'], ['true']));
    expect(await ok(work, ['ps', '-aq'])).toBe('');
  });

  test('prunes leave alone what containers stand on, and stopped containers until told', async () => {
    const work = new Workspace(variant);
    await ok(work, runWords(work, ['--name', 'stopped'], ['sh', '-c', 'echo kept > /kept']));
    const child = await sleeper(work, 'alive');
    // The image has no name, so only the containers hold it.
    await ok(work, ['prune', '--all']);
    await ok(work, ['commit', 'stopped', 'again']);
    expect(await ok(work, ['run', '--rm', 'again', 'cat', '/kept'])).toBe('kept\n');
    const usage = rows(await ok(work, ['df', '--format', 'json']));
    expect(usage.find(({ Type }) => Type === 'Containers')).toMatchObject({ TotalCount: 2, Active: 1 });
    expect(await ok(work, ['prune', '--containers', '--filter', 'until=1h'])).not.toContain('container ');
    expect(await ok(work, ['prune', '--containers'])).toContain('container ');
    expect(await ok(work, ['ps', '-a', '--format', '{{.Names}}'])).toBe('alive\n');
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
    await ok(work, ['rm', 'alive']);
    await ok(work, ['rmi', 'again']);
    await ok(work, ['prune', '--all']);
    expect(readdirSync(join(work.home, 'blobs/sha256'))).toEqual([]);
    expect(readdirSync(join(work.home, 'snapshots'))).toEqual([]);
  });
});

test('names are unique, IDs can be shortened, filters and templates choose', async () => {
  const work = new Workspace();
  await ok(work, runWords(work, ['--name', 'one', '-l', 'a=b'], ['true']));
  await work.kiln(runWords(work, ['--name', 'two'], ['false']));
  const taken = await work.kiln(runWords(work, ['--name', 'one'], ['true']));
  expect(taken).toMatchObject({ exitCode: 125, stderr: expect.stringContaining('CONTAINER_NAME_TAKEN') });
  await ok(work, runWords(work, [], ['true']));
  const names = async (...words: string[]): Promise<string[]> =>
    (await ok(work, ['ps', '-a', '--format', '{{.Names}}', ...words])).trimEnd().split('\n');
  expect(await names('--filter', 'label=a=b')).toEqual(['one']);
  expect(await names('--filter', 'exited=1')).toEqual(['two']);
  expect(await names('--filter', 'before=two')).toEqual(['one']);
  expect(await names('-n', '2')).toEqual([expect.stringMatching(/^[a-z]+_[a-z]+$/), 'two']);
  const [id = ''] = (await ok(work, ['ps', '-aq', '--no-trunc', '--filter', 'name=two'])).split('\n');
  expect(id).toMatch(/^[0-9a-f]{64}$/);
  expect(await ok(work, ['rm', id.slice(0, 12)])).toBe(`${id.slice(0, 12)}\n`);
  const table = await ok(work, ['ps', '-a']);
  expect(table).toMatch(/^CONTAINER ID +IMAGE +COMMAND +CREATED +STATUS +NAMES\n/);
  expect(table).toMatch(/"true" +\d+ seconds? ago +Exited \(0\) \d+ seconds? ago +one\n/);
});

test('many at once on one store, with builds and prunes beside them', async () => {
  const work = new Workspace();
  const containers = Array.from({ length: 8 }, (_, n) =>
    work.kiln(
      runWords(work, n % 2 === 0 ? ['--rm'] : ['--name', `c${n}`], [
        'sh',
        '-c',
        `echo ${n} > /n; cat /n; exit ${n}`,
      ]),
    ),
  );
  const others: Promise<KilnResult>[] = [];
  for (let n = 0; n < 3; n++) {
    others.push(work.kiln(['prune', '--all']), work.tryBuild(`ARG BASE\nFROM $BASE\nRUN echo ${n} > /n\n`));
    await delay(100);
  }
  for (const [n, result] of (await Promise.all(containers)).entries()) {
    expect(result, result.stderr).toMatchObject({ exitCode: n, stdout: `${n}\n` });
  }
  for (const result of await Promise.all(others)) expect(result.exitCode, result.stderr).toBe(0);
  for (const n of [1, 3, 5, 7]) expect(await ok(work, ['diff', `c${n}`])).toBe('A /n\n');
  await ok(work, ['rm', 'c1', 'c3', 'c5', 'c7']);
});

test('commit as docker does: the flags of run are in the config, no change is no layer, other tools read it', async () => {
  const work = new Workspace();
  await ok(
    work,
    runWords(
      work,
      ['--name', 'box', '-e', 'E=1', '-w', '/tmp', '-u', '5', '--entrypoint', 'echo'],
      ['a', 'b'],
    ),
  );
  const epoch = { env: { SOURCE_DATE_EPOCH: '1600000000' } };
  const first = await work.kiln(['commit', 'box', 'plain'], epoch);
  expect(first.exitCode, first.stderr).toBe(0);
  const { config } = work.open(`oci:${work.home}:docker.io/library/plain:latest`);
  expect(config.config).toMatchObject({
    Entrypoint: ['echo'],
    Cmd: ['a', 'b'],
    WorkingDir: '/tmp',
    User: '5',
  });
  expect(config.history?.at(-1)).toMatchObject({ created: '2020-09-13T12:26:40.000Z', empty_layer: true });
  expect((await work.kiln(['commit', 'box', 'plain'], epoch)).stdout).toBe(first.stdout);
  const source = `oci:${work.home}:docker.io/library/plain:latest`;
  expect(JSON.parse(run('skopeo', ['inspect', '--config', source])).config.Env).toContain('E=1');
  expect(await ok(work, ['run', '--rm', 'plain'])).toBe('a b\n');
  const wrong = await work.kiln(['commit', '--change', 'RUN true', 'box', 'x']);
  expect(wrong).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('USAGE_CHANGE') });
  const unnamed = (await ok(work, ['commit', 'box'])).trim();
  expect(await ok(work, ['run', '--rm', unnamed.slice(7, 19)])).toBe('a b\n');
  await ok(work, ['rm', 'box']);
});

test('two images: what differs, layer by layer too', async () => {
  const work = new Workspace();
  work.shell(
    'mkdir -p d && echo same > d/same && head -c 3000 /dev/zero > d/big && echo old > d/gone && echo x > f',
  );
  const build = async (name: string): Promise<void> => {
    const { exitCode, stderr } = await work.tryBuild('FROM scratch\nCOPY d /d\nCOPY f /f\n', {
      args: ['-t', name],
    });
    expect(exitCode, stderr).toBe(0);
  };
  await build('a');
  work.shell(
    'touch -d 2001-01-01 d/same && head -c 3001 /dev/zero > d/big && rm d/gone && echo new > d/made && chmod 600 f',
  );
  await build('b');
  expect(await ok(work, ['diff', 'a', 'b'])).toBe(
    ['C 3kB /d/big', 'D  4B /d/gone', 'A  4B /d/made', 'C  2B /f', ''].join('\n'),
  );
  expect(await ok(work, ['diff', 'a', 'a'])).toBe('');
  const json = rows(await ok(work, ['diff', '--format', 'json', 'a', 'b']));
  expect(json[0]).toEqual({ Kind: 'C', Path: '/d/big', Size: '3kB', SizeBytes: 3001 });
  const layers = await ok(work, ['diff', '--layers', '--no-size', 'a', 'b']);
  expect(layers.replaceAll(/ [0-9a-f]{12} \S+/g, '')).toBe(
    [
      '- COPY d /d # buildkit',
      ...['/d', '/d/big', '/d/gone', '/d/same'].map((path) => `    A ${path}`),
      '- COPY f /f # buildkit',
      '    A /f',
      '+ COPY d /d # buildkit',
      ...['/d', '/d/big', '/d/made', '/d/same'].map((path) => `    A ${path}`),
      '+ COPY f /f # buildkit',
      '    A /f',
      '',
    ].join('\n'),
  );
});

test('wrong usage is one clear line', async () => {
  const work = new Workspace();
  await ok(work, runWords(work, ['--name', 'box'], ['true']));
  const cases: readonly (readonly [number, string, readonly string[]])[] = [
    [1, 'CONTAINER_NOT_FOUND', ['rm', 'nothing']],
    [1, 'CONTAINER_NOT_FOUND', ['commit', 'nothing']],
    [1, 'CONTAINER_NOT_FOUND', ['export', 'nothing']],
    [1, 'CONTAINER_NOT_FOUND', ['diff', 'nothing']],
    [1, 'STORE_NO_IMAGE', ['diff', 'nothing', 'neither']],
    [1, 'OUTPUT_NOT_WRITABLE', ['export', '-o', '/usr/x', 'box']],
    [2, 'USAGE_OUTPUT', ['export', '-o', 'no/such/x', 'box']],
    [2, 'USAGE_OUTPUT', ['export', '-o', '.', 'box']],
    [1, 'IMAGE_INVALID_REFERENCE', ['commit', 'box', 'UPPER']],
    [2, 'USAGE_TAG', ['commit', 'box', `x@sha256:${'0'.repeat(64)}`]],
    [2, 'USAGE_CHANGE', ['commit', '-c', 'COPY a b', 'box']],
    [2, 'DOCKERFILE_UNKNOWN_INSTRUCTION', ['commit', '-c', 'NONSENSE', 'box']],
    [2, 'USAGE_FILTER', ['ps', '--filter', 'colour=red']],
    [2, 'USAGE_FILTER', ['ps', '--filter', 'status=tired']],
    [2, 'USAGE_FORMAT', ['ps', '--format', '{{']],
    [2, 'USAGE_FLAGS', ['commit']],
  ];
  for (const [exitCode, code, words] of cases) {
    const result = await work.kiln(words);
    const shown = `${words.join(' ')}: ${result.stderr}`;
    expect(result.exitCode, shown).toBe(exitCode);
    expect(result.stderr.match(/^error: .*$/gm), shown).toEqual([expect.stringContaining(`[${code}]`)]);
  }
  expect(await ok(work, ['rm', '-f', 'nothing', 'box'])).toBe('box\n');
  expect(existsSync(join(work.home, 'containers'))).toBe(true);
});

test('by copies, where nothing is mounted: the changes are told when the container has ended', async () => {
  const work = new Workspace();
  const words = ['run', '--snapshotter', 'copy', '--name'];
  await ok(work, [...words, 'box', busyboxBase(), 'sh', '-c', CHANGES]);
  expect((await ok(work, ['diff', 'box'])).split('\n')).toEqual(
    expect.arrayContaining(['A /new/file', 'D /etc/passwd']),
  );
  await ok(work, ['commit', 'box', 'made']);
  expect(await ok(work, ['run', '--rm', 'made', 'cat', '/new/link'])).toBe('n\n');
  const tar = join(work.directory, 'root.tar');
  await ok(work, ['export', '-o', tar, 'box']);
  expect(run('tar', ['-tf', tar])).toContain('new/file\n');
  const child = await sleeper(work, 'alive', ['--snapshotter=copy']);
  const early = await work.kiln(['diff', 'alive']);
  expect(early).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('CONTAINER_UNREADABLE') });
  child.kill('SIGTERM');
  await new Promise((resolve) => child.once('exit', resolve));
  expect(await ok(work, ['diff', 'alive'])).toContain('A /new/file\n');
});

test('rmi as docker: what a container is made from goes by -f only, and not while it runs', async () => {
  const work = new Workspace();
  const build = async () => {
    const { exitCode, stderr } = await work.tryBuild('ARG BASE\nFROM $BASE\nRUN echo app > /app\n', {
      args: ['-t', 'app'],
    });
    expect(exitCode, stderr).toBe(0);
  };
  await build();
  const [id = ''] = (await ok(work, ['images', '-q', 'app'])).trim().split('\n');
  await ok(work, ['run', '--name', 'done', 'app', 'true']);
  const refused = async (words: readonly string[], message: RegExp): Promise<void> => {
    const result = await work.kiln(['rmi', ...words]);
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toContain('[STORE_IMAGE_IN_USE]');
  };
  const short = /[0-9a-f]{12}/.source;
  await refused(
    ['app'],
    new RegExp(`app:latest, the last name .* used by stopped container done \\(${short}\\)`),
  );
  await refused([id], new RegExp(`image ${id} is being used by stopped container done`));
  // One of several names is no loss.
  await ok(work, ['tag', 'app', 'other']);
  expect(await ok(work, ['rmi', 'other'])).toBe('Untagged: other:latest\n');
  expect(await ok(work, ['rmi', '-f', 'app'])).toBe('Untagged: app:latest\n');
  await ok(work, ['commit', 'done', 'kept']);

  await build();
  const child = await ready(work, [
    'run',
    '--name',
    'alive',
    'app',
    'sh',
    '-c',
    'echo ready; exec sleep 300',
  ]);
  await refused(['-f', id], /used by running container alive/);
  await refused(['app'], /used by running container alive[\s\S]*kiln rm -f alive/);
  expect(await ok(work, ['rmi', '-f', 'app'])).toBe('Untagged: app:latest\n');
  child.kill('SIGTERM');
  await new Promise((resolve) => child.once('exit', resolve));
  await ok(work, ['rm', 'alive', 'done']);
});

test('inspect shows a container as docker does, before an image of that name', async () => {
  const work = new Workspace();
  await work.kiln(runWords(work, ['--name', 'app', '-e', 'A=1'], ['sh', '-c', 'exit 3']));
  await ok(work, ['commit', 'app', 'app']);
  const [shown] = JSON.parse(await ok(work, ['inspect', 'app']));
  expect(shown).toMatchObject({
    Name: '/app',
    Path: 'sh',
    Args: ['-c', 'exit 3'],
    State: { Status: 'exited', Running: false, ExitCode: 3 },
    Config: { Image: busyboxBase(), Env: expect.arrayContaining(['A=1']) },
  });
  expect(shown.Id).toMatch(/^[0-9a-f]{64}$/);
  const field = ['inspect', '-f', '{{.State.ExitCode}} {{.Name}}'];
  expect(await ok(work, [...field, shown.Id.slice(0, 8)])).toBe('3 /app\n');
  const [image] = JSON.parse(await ok(work, ['inspect', '--type', 'image', 'app']));
  expect(image.RepoTags).toEqual(['app:latest']);
  expect(await work.kiln(['inspect', '--type', 'container', 'ghost'])).toMatchObject({
    exitCode: 1,
    stdout: '[]\n',
    stderr: expect.stringContaining('CONTAINER_NOT_FOUND'),
  });
});
