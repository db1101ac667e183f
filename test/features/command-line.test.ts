import { expect, test } from 'vitest';
import type { KilnResult } from '../helpers/run-kiln.ts';
import { Workspace } from '../helpers/workspace.ts';

function said(...words: string[]): Promise<KilnResult> {
  return new Workspace().kiln(words);
}

test.each([
  [[], 'COMMANDS'],
  [['help'], 'COMMANDS'],
  [['-h'], 'COMMANDS'],
  [['--help'], 'COMMANDS'],
  [['help', 'build'], '--build-arg'],
  [['build', '-h'], '--build-arg'],
  [['build', '--help'], '--build-arg'],
  [['build', '.', '--pull', '--help'], '--build-arg'],
  [['run', '--help'], '--hostname'],
])('help: kiln %j', async (words, expected) => {
  const { exitCode, stdout, stderr } = await said(...words);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(stdout).toContain(expected);
});

test.each([
  [['biuld', '.'], 'USAGE_COMMAND', 'Did you mean kiln build?'],
  [['help', 'biuld'], 'USAGE_COMMAND', 'Did you mean kiln build?'],
  [['--root', '/x', 'build'], 'USAGE_FLAGS', 'Flags come after the command'],
  [['build', '--no-such'], 'USAGE_FLAGS', 'See kiln build --help'],
  [['build', '--tga', 'x'], 'USAGE_FLAGS', 'Did you mean --tag?'],
  [['build', 'one', 'two'], 'USAGE_FLAGS', 'Unexpected argument: two'],
  [['build', '-t'], 'USAGE_FLAGS', 'Flag --tag expects a value'],
  [['build', '-t', '--push', '.'], 'USAGE_FLAGS', 'Flag --tag expects a value'],
  [['build', '--progress'], 'USAGE_FLAGS', 'expects one of these values'],
  [['build', '--progress', 'much'], 'USAGE_FLAGS', 'auto, tty, plain, json'],
  [['build', '-f', 'one', '-f', 'two'], 'USAGE_FLAGS', 'can only be specified once'],
  [['tag'], 'USAGE_FLAGS', 'See kiln tag --help'],
])('wrong use: kiln %j', async (words, code, remedy) => {
  const { exitCode, stdout, stderr } = await said(...words);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  expect(stderr).toContain(`[${code}]`);
  expect(stderr).toContain(remedy);
});
