import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { writeOutputFile } from '../../src/system/output-file.ts';
import { run } from '../setup/run.ts';

const { signal } = new AbortController();

function directory(place = '/var/tmp'): string {
  const path = mkdtempSync(join(place, 'kiln-output-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

const from =
  (...pieces: (string | Buffer)[]) =>
  () =>
    Readable.from(pieces.map((piece) => Buffer.from(piece)));

/** Gives a piece, then waits until it is told to go on or fail. */
function halting(piece: string): { readonly open: () => Readable; readonly go: (error?: Error) => void } {
  let go: (error?: Error) => void = () => undefined;
  const told = new Promise<void>((resolve, reject) => {
    go = (error) => (error === undefined ? resolve() : reject(error));
  });
  async function* pieces(): AsyncGenerator<Buffer> {
    yield Buffer.from(piece);
    await told;
    yield Buffer.from('end');
  }
  return { open: () => Readable.from(pieces()), go };
}

test.each(['/var/tmp', '/dev/shm'])('bytes of any number come through (%s)', async (place) => {
  const path = join(directory(place), 'new', 'deep', 'file');
  for (const size of [0, 1, 100_000, (30 << 20) + 7]) {
    const bytes = randomBytes(size);
    const pieces = Array.from({ length: Math.ceil(size / 70_000) }, (_, index) =>
      bytes.subarray(index * 70_000, (index + 1) * 70_000),
    );
    await writeOutputFile(path, from(...pieces), signal);
    expect(readFileSync(path).equals(bytes)).toBe(true);
  }
  expect(statSync(path).mode & 0o777).toBe(0o666 & ~process.umask());
});

test('what was there stays until the new file is whole, with its mode and by its symlink', async () => {
  const folder = directory();
  const [file, link] = [join(folder, 'file'), join(folder, 'link')];
  writeFileSync(file, 'old');
  chmodSync(file, 0o640);
  symlinkSync('file', link);
  const { open, go } = halting('new ');
  const writing = writeOutputFile(link, open, signal);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(readFileSync(file, 'utf8')).toBe('old');
  go();
  await writing;
  expect(readFileSync(file, 'utf8')).toBe('new end');
  expect(statSync(file).mode & 0o777).toBe(0o640);
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(readdirSync(folder).sort()).toEqual(['file', 'link']);
});

test('a symlink to nothing yet is followed, too', async () => {
  const folder = directory();
  symlinkSync('file', join(folder, 'link'));
  await writeOutputFile(join(folder, 'link'), from('new'), signal);
  expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('new');
  expect(lstatSync(join(folder, 'link')).isSymbolicLink()).toBe(true);
});

test('a failure and an end before its time leave what was there, and nothing else', async () => {
  const folder = directory();
  writeFileSync(join(folder, 'file'), 'old');
  for (const name of ['file', 'other']) {
    const failing = halting('new');
    const writing = writeOutputFile(join(folder, name), failing.open, signal);
    failing.go(new Error('broken'));
    await expect(writing).rejects.toThrow('broken');
    const abort = new AbortController();
    const given = writeOutputFile(join(folder, name), halting('new').open, abort.signal);
    abort.abort(new Error('stopped'));
    await expect(given).rejects.toThrow();
  }
  expect(readdirSync(folder)).toEqual(['file']);
  expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('old');
});

test('a full disk fails, and leaves what was there', async () => {
  const folder = directory();
  run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder]);
  onTestFinished(() => void run('umount', [folder]));
  writeFileSync(join(folder, 'file'), 'old');
  const bytes = Array.from({ length: 8 }, () => randomBytes(1 << 20));
  await expect(writeOutputFile(join(folder, 'file'), from(...bytes), signal)).rejects.toThrow(/ENOSPC/);
  expect(readdirSync(folder)).toEqual(['file']);
  expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('old');
});

test('a pipe is written to as it is', async () => {
  const folder = directory();
  const pipe = join(folder, 'pipe');
  run('mkfifo', [pipe]);
  const read = readFile(pipe, 'utf8');
  await writeOutputFile(pipe, from('through ', 'the pipe'), signal);
  expect(await read).toBe('through the pipe');
  expect(lstatSync(pipe).isFIFO()).toBe(true);
  await writeOutputFile('/dev/null', from('away'), signal);
  expect(lstatSync('/dev/null').isCharacterDevice()).toBe(true);
  await expect(writeOutputFile(folder, from('x'), signal)).rejects.toThrow(/EISDIR/);
});
