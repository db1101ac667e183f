import { execFileSync } from 'node:child_process';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findExecutable, runCommand, spawnDecompressor } from '../../src/system/process.ts';

const env = process.env;

test('finds programs on PATH, and in the sbin beside a bin', () => {
  expect(findExecutable('sh', '/nowhere:/usr/bin')).toBe('/usr/bin/sh');
  expect(findExecutable('useradd', '/nowhere:/usr/bin')).toBe('/usr/sbin/useradd');
  expect(findExecutable('sh', '/etc')).toBeUndefined();
  expect(findExecutable('/bin/sh', undefined)).toBe('/bin/sh');
  expect(findExecutable('/etc/passwd', undefined)).toBeUndefined();
});

test('runs a helper with input, environment and directory', async () => {
  const result = await runCommand('sh', ['-c', 'cat; echo "$X"; pwd; echo bad >&2; exit 3'], {
    env: { ...env, X: 'y' },
    cwd: '/usr',
    input: 'in\n',
  });
  expect(result).toEqual({ exitCode: 3, stdout: 'in\ny\n/usr\n', stderr: 'bad\n', timedOut: false });
});

test('names a missing helper with the way to get it', async () => {
  const missing = { code: 'HOST_NO_GIT', suggestions: ['Install git.'] } as const;
  await expect(runCommand('no-such-helper', [], { env, missing })).rejects.toMatchObject({
    code: 'HOST_NO_GIT',
    message: 'The program "no-such-helper" is not installed, or not on PATH.',
  });
});

test('ends a helper at its timeout and at an abort', async () => {
  expect(await runCommand('sleep', ['60'], { env, timeout: 50 })).toMatchObject({
    exitCode: -1,
    timedOut: true,
  });
  const signal = AbortSignal.timeout(50);
  await expect(runCommand('sleep', ['60'], { env, signal })).rejects.toMatchObject({ name: 'TimeoutError' });
});

test('streams a decompressor’s output and reports its failure', async () => {
  const directory = mkdtempSync('/tmp/kiln-process-');
  const file = join(directory, 'data');
  writeFileSync(file, 'x'.repeat(300_000));
  execFileSync('gzip', [file]);
  const read = async (path: string): Promise<number> => {
    let bytes = 0;
    for await (const chunk of spawnDecompressor('gzip', ['-dc'], createReadStream(path)))
      bytes += (chunk as Buffer).length;
    return bytes;
  };
  expect(await read(`${file}.gz`)).toBe(300_000);
  writeFileSync(file, 'not compressed');
  await expect(read(file)).rejects.toMatchObject({ code: 'HOST_COMMAND_FAILED' });
  rmSync(directory, { recursive: true });
});
