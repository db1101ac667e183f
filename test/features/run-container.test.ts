import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { busyboxBase } from '../helpers/bases.ts';
import { accountOf, type KilnResult, startKiln } from '../helpers/run-kiln.ts';
import { type KilnOptions, ROOTLESS, VARIANTS, type Variant, Workspace } from '../helpers/workspace.ts';

const AS_ROOT: Variant = { user: 'root', snapshotter: 'overlay' };

/** `kiln run --rm FLAGS busybox COMMAND`. */
function runIn(
  work: Workspace,
  words: { flags?: readonly string[]; command: readonly string[] },
  options?: KilnOptions,
): Promise<KilnResult> {
  const { flags = [], command } = words;
  const snapshotter = `--snapshotter=${work.variant.snapshotter}`;
  return work.kiln(['run', '--rm', snapshotter, ...flags, busyboxBase(), ...command], options);
}

const shell = (script: string): string[] => ['sh', '-c', script];

async function built(work: Workspace, dockerfile: string): Promise<string> {
  const result = await work.tryBuild(dockerfile, { args: ['-t', 'image'] });
  expect(result.exitCode, result.stderr).toBe(0);
  return 'image';
}

describe.each(VARIANTS)('as $user, $snapshotter', (variant) => {
  test('streams are apart, the exit code is the process’s, nothing stays', async () => {
    const work = new Workspace(variant);
    const script = 'cat; echo err >&2; id -u; echo x > /x; rm /etc/passwd; exit 7';
    const input = randomBytes(300_000).toString('latin1');
    const run = await runIn(work, { flags: ['-i'], command: shell(script) }, { input });
    expect(run.exitCode).toBe(7);
    expect(run.stdout).toBe(`${Buffer.from(input).toString('utf8')}0\n`);
    expect(run.stderr.split('\n').filter((line) => !line.startsWith('#1 '))).toEqual(['err', '']);
    expect(readdirSync(join(work.home, 'containers'))).toEqual([]);
  });
});

describe.each([ROOTLESS, AS_ROOT])('as $user', (variant) => {
  test('mounts: read and write, read-only, a single file, a tmpfs', async () => {
    const work = new Workspace(variant);
    const data = join(work.directory, 'data');
    mkdirSync(data);
    chmodSync(data, 0o777);
    writeFileSync(join(data, 'in'), 'given\n');
    const flags = [
      '-v',
      `${data}:/a/b`,
      '-v',
      `${data}:/ro:ro`,
      '-v',
      `${data}/in:/etc/in`,
      '--tmpfs',
      '/t:size=1m',
    ];
    const script =
      'cat /a/b/in /etc/in; cp /etc/in /a/b/out; touch /ro/x 2>/dev/null || echo refused; df -k /t | tail -1';
    const run = await runIn(work, { flags, command: shell(script) });
    expect(run).toMatchObject({ exitCode: 0 });
    expect(run.stdout).toMatch(/^given\ngiven\nrefused\ntmpfs\s+1024 /);
    expect(statSync(join(data, 'out')).uid).toBe(accountOf(variant.user).uid);
    expect(existsSync(join(data, 'x'))).toBe(false);
  });

  test('a relative source is below the current directory', async () => {
    const work = new Workspace(variant);
    work.write('src/f', 'here');
    const run = await runIn(work, { flags: ['-v', './src:/s', '-w', '/s'], command: ['cat', 'f'] });
    expect(run.stdout).toBe('here');
  });

  test('user, working directory, host name and hosts', async () => {
    const work = new Workspace(variant);
    const flags = [
      '-u',
      '123:45',
      '-w',
      '/new/dir',
      '--hostname',
      'box',
      '--add-host',
      'db:10.1.2.3',
      '-e',
      'HOME=/h',
    ];
    const script = 'id -u; id -g; pwd; stat -c %u .; hostname; grep -c "10.1.2.3.db" /etc/hosts; echo $HOME';
    const run = await runIn(work, { flags, command: shell(script) });
    expect(run.stdout.split('\n')).toEqual(['123', '45', '/new/dir', '0', 'box', '1', '/h', '']);
    const unknown = await runIn(work, { flags: ['-u', 'nobody-here'], command: ['true'] });
    expect(unknown).toMatchObject({ exitCode: 125, stderr: expect.stringContaining('RUN_UNKNOWN_USER') });
  });

  test('a root that nothing is written to', async () => {
    const work = new Workspace(variant);
    for (const isolation of ['oci', 'chroot']) {
      const flags = ['--read-only', '--tmpfs', '/run', '--isolation', isolation];
      const script = 'touch /x 2>/dev/null || echo refused; touch /run/x /dev/shm/x && echo written';
      const run = await runIn(work, { flags, command: shell(script) });
      expect(run.stdout, `${isolation}: ${run.stderr}`).toBe('refused\nwritten\n');
    }
  });
});

test('the image says what is not said on the command line', async () => {
  const work = new Workspace();
  const image = await built(
    work,
    'ARG BASE\nFROM $BASE\nENV A=image B=image C=image\nWORKDIR /work\nUSER 77\nENTRYPOINT ["sh", "-c"]\nCMD ["echo $A $B ${C-unset} $D; pwd; id -u"]\n',
  );
  work.write('env', '# comment\nB=file\nD=file\n');
  const plain = await work.kiln(['run', '--rm', image]);
  expect(plain.stdout).toBe('image image image\n/work\n77\n');
  const flags = ['--env-file', 'env', '-e', 'A=flag', '-e', 'D', '-e', 'C'];
  const set = await work.kiln(['run', '--rm', ...flags, image], { env: { D: 'caller' } });
  expect(set.stdout).toBe('flag file unset caller\n/work\n77\n');
  const words = await work.kiln(['run', '--rm', image, 'echo "$0 $@"', 'sh', '-c', 'sh', '--help']);
  expect(words.stdout).toBe('sh -c sh --help\n');
  const entry = await work.kiln(['run', '--rm', '--entrypoint', 'echo', image, '-e', '-n']);
  expect(entry.stdout).toBe('');
  const none = await work.kiln(['run', '--rm', '--entrypoint=', image]);
  expect(none).toMatchObject({ exitCode: 125, stderr: expect.stringContaining('CONTAINER_NO_COMMAND') });
});

test('exit codes of what cannot be run', async () => {
  const work = new Workspace();
  const cases: readonly (readonly [number, string, readonly string[]])[] = [
    [127, 'RUN_COMMAND_NOT_FOUND', ['no-such-program']],
    [127, 'RUN_COMMAND_NOT_FOUND', ['/no/such/program']],
    [126, 'RUN_COMMAND_NOT_EXECUTABLE', ['/etc']],
    [126, 'RUN_COMMAND_NOT_EXECUTABLE', ['/etc/passwd']],
  ];
  for (const isolation of ['oci', 'chroot']) {
    for (const [exitCode, code, command] of cases) {
      const run = await runIn(work, { flags: ['--isolation', isolation], command });
      expect(run, `${isolation} ${command}`).toMatchObject({
        exitCode,
        stderr: expect.stringContaining(code),
      });
    }
  }
  const killed = await runIn(work, { command: shell('sh -c "kill -9 \\$\\$"; exit $?') });
  expect(killed.exitCode).toBe(137);
});

test('wrong usage is 125 and one clear line', async () => {
  const work = new Workspace();
  const base = busyboxBase();
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['STORE_NO_IMAGE', ['--pull', 'never', 'nothing']],
    ['BASE_IMAGE_NOT_FOUND', ['oci:/nothing']],
    ['IMAGE_INVALID_REFERENCE', ['UPPER']],
    ['USAGE_DETACH', ['-d', base]],
    ['USAGE_PUBLISH', ['-p', '80:80', base]],
    ['USAGE_FLAGS', []],
    ['USAGE_FLAGS', ['--no-such', base]],
    ['USAGE_FLAGS', ['-h']],
    ['USAGE_FLAGS', ['--network', 'mine', base]],
    ['USAGE_TTY', ['-it', base, 'sh']],
    ['USAGE_VOLUME', ['-v', '/nothing:/x', base]],
    ['USAGE_VOLUME', ['-v', '/root/nothing:/x', base]],
    ['USAGE_VOLUME', ['-v', '/tmp:x', base]],
    ['USAGE_VOLUME', ['-v', '/tmp:/', base]],
    ['USAGE_VOLUME', ['-v', '/tmp:/x:sometimes', base]],
    ['USAGE_VOLUME', ['-v', 'data:/x', base]],
    ['USAGE_VOLUME', ['-v', '/data', base]],
    ['USAGE_VOLUME', ['--tmpfs', 'x', base]],
    ['USAGE_ENV', ['-e', '=x', base]],
    ['USAGE_ENV', ['--env-file', '/nothing', base]],
    ['USAGE_ULIMIT', ['--ulimit', 'x', base]],
    ['USAGE_HOSTNAME', ['--hostname', 'a b', base]],
    ['CONTAINER_NAME', ['--name', 'a/b', base]],
    ['CONTAINER_WORKDIR', ['-w', 'x', base, 'true']],
  ];
  for (const [code, words] of cases) {
    const run = await work.kiln(['run', '--rm', ...words]);
    const shown = `${words.join(' ')}: ${run.stderr}`;
    expect(run.exitCode, shown).toBe(125);
    expect(run.stderr.match(/^error: .*$/gm), shown).toEqual([expect.stringContaining(`[${code}]`)]);
  }
  expect(readdirSync(join(work.home, 'containers'))).toEqual([]);
});

test('a reader that goes away ends the writer; a file that output goes to keeps its owner', async () => {
  const work = new Workspace();
  const command = (words: string): string => `kiln=$1; base=$2; shift 2; ${words}`;
  const through = (words: string): Promise<KilnResult> =>
    work.kiln([busyboxBase()], { wrapper: ['sh', '-c', command(words), 'sh'] });
  const piped = await through('"$kiln" run --rm "$base" yes | head -n 2');
  expect(piped.stdout).toBe('y\ny\n');
  const target = join(work.context, 'out');
  const written = await through(
    '"$kiln" run --rm -u 55 "$base" sh -c "echo hi; echo more > /dev/stdout" > out',
  );
  expect(written.exitCode, written.stderr).toBe(0);
  expect(readFileSync(target, 'utf8')).toBe('hi\nmore\n');
  expect(statSync(target).uid).toBe(accountOf('kilntest').uid);
});

describe('signals', () => {
  const LIMIT = { timeout: 20_000 };

  /** Starts a container, and signals kiln once the container has printed something. */
  async function signalled(
    words: { flags?: readonly string[]; command: readonly string[] },
    signals: readonly NodeJS.Signals[],
  ): Promise<{ exitCode: number; output: string }> {
    const work = new Workspace();
    const { flags = [], command } = words;
    const child = startKiln(['run', '--rm', ...flags, busyboxBase(), ...command], {
      user: 'kilntest',
      cwd: work.context,
      home: work.home,
    });
    let output = '';
    let sent = 0;
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const signal = signals[sent];
      if (signal === undefined) return;
      sent += 1;
      child.kill(signal);
    });
    const exitCode = await new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        reject(new Error(`still running: ${output}`));
      }, LIMIT.timeout);
      child.on('close', (code, signal) => {
        clearTimeout(timer);
        resolve(code ?? (signal === 'SIGKILL' ? 137 : -1));
      });
    });
    return { exitCode, output };
  }

  test.each(['oci', 'chroot'])('reach the process, by %s', async (isolation) => {
    const script = 'trap "echo got; exit 3" TERM; echo ready; while :; do sleep 0.1; done';
    const flags = ['--isolation', isolation];
    expect(await signalled({ flags, command: shell(script) }, ['SIGTERM'])).toEqual({
      exitCode: 3,
      output: 'ready\ngot\n',
    });
  });

  test.each(['oci', 'chroot'])('end a process that does nothing about them, by %s', async (isolation) => {
    const flags = ['--isolation', isolation];
    const command = shell('echo ready; exec sleep 100');
    expect((await signalled({ flags, command }, ['SIGINT'])).exitCode).toBe(130);
    expect((await signalled({ flags, command }, ['SIGTERM'])).exitCode).toBe(143);
  });

  test('the third of those that ask for an end is one that nobody can refuse', async () => {
    const script = 'trap "echo no" INT; echo ready; while :; do sleep 0.1; done';
    const { exitCode, output } = await signalled({ command: shell(script) }, ['SIGINT', 'SIGINT', 'SIGINT']);
    expect({ exitCode, output }).toEqual({ exitCode: 137, output: 'ready\nno\nno\n' });
  });
});
