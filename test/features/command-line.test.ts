import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { busyboxBase } from '../helpers/bases.ts';
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

test('compiled code is kept, one file a command, and does no harm when it is spoilt', async () => {
  const work = new Workspace();
  const cache = join(work.home, 'cache');
  const env = { XDG_CACHE_HOME: cache };
  const build = (): Promise<KilnResult> => work.kiln(['build', '-q', '.'], { env });
  work.writeAll({ Dockerfile: `FROM ${busyboxBase()}\nRUN echo one > /one\n` });
  for (let run = 0; run < 3; run += 1) await build();
  await work.kiln(['images'], { env });
  await work.kiln(['imagse'], { env });
  const directory = join(cache, 'kiln/compile-cache');
  const files = readdirSync(directory).filter((name) => name.endsWith('.code'));
  expect(files.sort()).toEqual(['build.code', 'images.code', 'namespace.code']);
  const whole = await build();
  for (const name of files) {
    const path = join(directory, name);
    const file = readFileSync(path);
    file.fill(0x5a, Math.floor(file.length / 2));
    writeFileSync(path, file);
  }
  expect(await build()).toMatchObject({ exitCode: 0, stdout: whole.stdout, stderr: whole.stderr });
});
