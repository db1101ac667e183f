import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { busyboxBase, kilnProgram } from '../helpers/bases.ts';
import { pathWithout } from '../helpers/path-without.ts';
import { type KilnResult, resultOf, spawnAs } from '../helpers/run-kiln.ts';
import { ROOTLESS, type Variant, Workspace } from '../helpers/workspace.ts';

const AS_ROOT: Variant = { user: 'root', snapshotter: 'overlay' };

/** Its text, because a user may not be able to read the file. */
const HELPER = readFileSync(join(import.meta.dirname, '../helpers/pty.py'), 'utf8');

type Step = { readonly wait: string } & (
  | { readonly send: string }
  | { readonly resize: readonly [number, number] }
);

/** `kiln run --rm FLAGS busybox COMMAND` on a terminal of 33 rows and 101 columns. */
function onTerminal(
  work: Workspace,
  {
    flags,
    command,
    steps = [],
  }: { flags: readonly string[]; command: readonly string[]; steps?: readonly Step[] },
): Promise<KilnResult> {
  const words = ['python3', '-c', HELPER, '33', '101', JSON.stringify(steps)];
  const kiln = [kilnProgram(), 'run', '--rm', ...flags, busyboxBase(), ...command];
  const options = { user: work.variant.user, cwd: work.context, home: work.home, env: { CI: '1' } };
  return resultOf(spawnAs([...words, ...kiln], options));
}

describe.each([ROOTLESS, AS_ROOT])('as $user', (variant) => {
  test.each(['oci', 'chroot'])('a shell on a terminal, by %s', async (isolation) => {
    const work = new Workspace(variant);
    const steps: Step[] = [
      { wait: '# ', send: 'stty size; echo $TERM; test -t 0 && test -t 1 && test -t 2 && echo yes-tty\n' },
      { wait: '33 101\r\nxterm\r\nyes-tty\r\n', resize: [44, 122] },
      { wait: '# ', send: 'sleep 1; stty size\n' },
      { wait: '44 122\r\n', send: 'sh -c "read x; echo got $x; exec sleep 100"\n'.replace('$', '\\$') },
      { wait: '100"\r\n', send: 'typed\n' },
      { wait: 'got typed\r\n', send: '\u0003' },
      { wait: '# ', send: 'exit 9\n' },
    ];
    const { exitCode, stdout } = await onTerminal(work, {
      flags: ['-it', '--isolation', isolation],
      command: ['sh'],
      steps,
    });
    expect(exitCode, stdout).toBe(9);
  });
});

test('bytes pass a terminal as they are, and its output comes whole', async () => {
  const work = new Workspace();
  const script = 'stty -echo raw; echo ready; head -c 3 | od -An -tx1; seq 1 20000 | tail -n 1';
  const { exitCode, stdout } = await onTerminal(work, {
    flags: ['-it'],
    command: ['sh', '-c', script],
    steps: [{ wait: 'ready\n', send: '\u0003\u001a\r' }],
  });
  expect(exitCode, stdout).toBe(0);
  expect(stdout).toContain(' 03 1a 0d\n20000\n');
});

test('without -i nothing is read, and Ctrl-C is a signal', async () => {
  const work = new Workspace();
  const { exitCode, stdout } = await onTerminal(work, {
    flags: ['-t'],
    command: ['sh', '-c', 'echo ready; exec sleep 100'],
    steps: [{ wait: 'ready', send: '\u0003' }],
  });
  expect(exitCode, stdout).toBe(130);
});

test('without -t the container has no terminal, whatever kiln has', async () => {
  const work = new Workspace();
  const { exitCode, stdout } = await onTerminal(work, {
    flags: ['-i'],
    command: ['sh', '-c', 'for fd in 0 1 2; do test -t $fd && echo tty; done; read line; echo "got $line"'],
    steps: [{ wait: '', send: 'typed\n' }],
  });
  expect(exitCode, stdout).toBe(0);
  expect(stdout).toContain('got typed');
  expect(stdout).not.toContain('tty\r\n');
});

/** Asks for the terminal in one line. */
function shortRun(work: Workspace, env: Readonly<Record<string, string>> = {}): Promise<KilnResult> {
  return work.kiln(['run', '--rm', '-t', busyboxBase(), 'sh', '-c', 'test -t 1; echo $?; stty size'], {
    env,
  });
}

const SHORT_ANSWER = { stdout: '0\r\n24 80\r\n', exitCode: 0 };

test('a terminal also where there is none outside', async () => {
  expect(await shortRun(new Workspace())).toMatchObject(SHORT_ANSWER);
});

test('a terminal by runc', async () => {
  const work = new Workspace();
  expect(await shortRun(work, { PATH: pathWithout(work, 'crun') })).toMatchObject(SHORT_ANSWER);
});

test('a terminal where the store has a path longer than the address of a socket', async () => {
  const work = new Workspace();
  expect(await shortRun(work, { KILN_HOME: join(work.home, 'x'.repeat(120)) })).toMatchObject(SHORT_ANSWER);
});

test('nothing is lost of what a process writes that ends at once', async () => {
  const work = new Workspace();
  await work.kiln(['pull', '-q', busyboxBase()]);
  // A machine with too much to do, where a runtime may hear of the end before it has looked at the terminal.
  for (let round = 0; round < 5; round += 1) {
    const results = await Promise.all(Array.from({ length: 6 }, () => shortRun(work)));
    expect(results).toMatchObject(results.map(() => SHORT_ANSWER));
  }
});
