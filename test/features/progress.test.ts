import { describe, expect, test } from 'vitest';
import { kilnProgram } from '../helpers/bases.ts';
import { resultOf, spawnAs } from '../helpers/run-kiln.ts';
import { ROOTLESS, Workspace } from '../helpers/workspace.ts';

const DOCKERFILE = 'ARG BASE\nFROM $BASE AS one\nRUN echo some-output\nLABEL a=b\n';

const ANSI = /\x1b/;

function withProgress(work: Workspace, kind: string): string[] {
  return work
    .buildCommand(DOCKERFILE)
    .map((word) => (word === '--progress=plain' ? `--progress=${kind}` : word));
}

describe('plain', () => {
  test.each(['plain', 'auto'])(
    '--progress=%s in a pipe: lines without ANSI, the result alone on standard output',
    async (kind) => {
      const work = new Workspace(ROOTLESS);
      const result = await work.kiln(withProgress(work, kind));
      expect(result.exitCode, result.stderr).toBe(0);
      expect(result.stderr).not.toMatch(ANSI);
      expect(result.stderr).not.toContain('\r');
      expect(result.stderr).toContain('RUN echo some-output');
      expect(result.stderr).toMatch(/some-output$/m);
      expect(result.stdout).toMatch(/^sha256:[0-9a-f]{64}\n$/);
    },
  );
});

test('json: one object a line, from build-started to build-finished, in order of time', async () => {
  const work = new Workspace(ROOTLESS);
  const result = await work.kiln(withProgress(work, 'json'));
  const events = result.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { type: string; at: number; text?: string; outcome?: string });
  expect(events[0]?.type).toBe('build-started');
  expect(events.at(-1)?.type).toBe('build-finished');
  expect(events.map((event) => event.at)).toEqual([...events.map((event) => event.at)].sort((a, b) => a - b));
  expect(events.filter((event) => event.type === 'step-output').map((event) => event.text)).toContain(
    'some-output',
  );
});

test.each([
  ['of COPY alone', ''],
  ['that goes on inside the namespace', 'RUN echo inside\n'],
])('steps of a build %s are told as they begin, and once', async (_name, more) => {
  const work = new Workspace(ROOTLESS);
  work.shell('head -c 200M /dev/urandom > big');
  const args = work
    .buildCommand(`ARG BASE\nFROM $BASE\nCOPY big /big\n${more}`)
    .map((word) => (word === '--progress=plain' ? '--progress=json' : word));
  const result = await work.kiln(args);
  expect(result.exitCode, result.stderr).toBe(0);
  const events = result.stderr
    .trim()
    .split('\n')
    .map(
      (line) => JSON.parse(line) as { type: string; at: number; step?: { name: string }; duration?: number },
    );
  const of = (type: string) =>
    events.filter((event) => event.type === type && event.step?.name.startsWith('COPY'));
  const [started, finished] = [of('step-started'), of('step-finished')];
  expect([started.length, finished.length]).toEqual([1, 1]);
  const shown = (finished[0]?.at ?? 0) - (started[0]?.at ?? 0);
  expect(shown).toBeGreaterThan((finished[0]?.duration ?? 0) / 2);
  expect(events.filter((event) => event.type === 'build-started')).toHaveLength(1);
  expect(events.filter((event) => event.type === 'step-failed')).toEqual([]);
  const begun = events.filter((event) => event.type === 'step-started').map((event) => event.step?.name);
  expect(begun).toEqual([...new Set(begun)]);
});

test('json of a failure ends with build-failed and its code', async () => {
  const work = new Workspace(ROOTLESS);
  const args = work
    .buildCommand('ARG BASE\nFROM $BASE\nRUN exit 5\n')
    .map((word) => (word === '--progress=plain' ? '--progress=json' : word));
  const result = await work.kiln(args);
  expect(result.exitCode).toBe(1);
  const lines = result.stderr
    .trim()
    .split('\n')
    .filter((line) => line.startsWith('{'));
  expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ type: 'build-failed', code: 'RUN_FAILED' });
});

test.each([
  ['a terminal draws', {}, true],
  ['NO_COLOR keeps colours away', { NO_COLOR: '1' }, undefined],
  ['TERM=dumb is plain', { TERM: 'dumb' }, false],
  ['CI is plain', { CI: 'true' }, false],
])('%s', async (_, env, ansi) => {
  const work = new Workspace(ROOTLESS);
  const words = withProgress(work, 'auto').map((word) => `'${word}'`);
  const child = spawnAs(['script', '-qec', `${kilnProgram()} ${words.join(' ')}`, '/dev/null'], {
    user: ROOTLESS.user,
    cwd: work.context,
    home: work.home,
    env: { TERM: 'xterm-256color', ...env },
  });
  const { exitCode, stdout } = await resultOf(child);
  expect(exitCode, stdout).toBe(0);
  expect(stdout).toContain('RUN echo some-output');
  if (ansi !== undefined) expect(ANSI.test(stdout)).toBe(ansi);
  if ('NO_COLOR' in env) expect(stdout).not.toMatch(/\x1b\[[0-9;]*3[0-7]m/);
});
