/** Digests that are remembered: never of a file that is not the one that was read. */
import {
  linkSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { DigestMemory, timeUntilClean } from '../../src/context/digest-memory.ts';
import { DirectoryTree } from '../../src/context/directory-tree.ts';
import { IgnoreMatcher } from '../../src/dockerfile/ignore.ts';
import { digestOf } from '../../src/image/descriptor.ts';
import { packTree } from '../../src/layer/pack-tree.ts';

class Place {
  readonly directory = mkdtempSync(join(tmpdir(), 'kiln-memory-'));
  readonly context = mkdtempSync(join(this.directory, 'context-'));

  constructor() {
    onTestFinished(() => rmSync(this.directory, { recursive: true }));
  }

  path(name: string): string {
    return join(this.context, name);
  }

  memory(): DigestMemory {
    return DigestMemory.load(join(this.directory, 'memory'), this.directory);
  }

  /** Digests of files as one build sees them. */
  build(...names: string[]): string[] {
    const memory = this.memory();
    const tree = new DirectoryTree(this.context, { memory, clock: Date.now });
    const digests = names.map((name) => tree.digest(name));
    memory.save();
    return digests;
  }
}

test('a rewrite of equal size in the same tick, mtime restored, is seen every time', () => {
  const place = new Place();
  const path = place.path('f');
  for (let round = 0; round < 15; round++) {
    writeFileSync(path, `old ${round % 10}`);
    const { atime, mtime } = lstatSync(path);
    expect(place.build('f')).toEqual([digestOf(`old ${round % 10}`)]);
    writeFileSync(path, `new ${round % 10}`);
    utimesSync(path, atime, mtime);
    expect(place.build('f')).toEqual([digestOf(`new ${round % 10}`)]);
  }
});

test('what changed a moment ago is waited for, once; what a coarse clock stamped is not remembered', () => {
  const now = 1_000_000_000_500.25;
  expect(timeUntilClean({ size: 1, ino: 1, mtimeMs: 1, ctimeMs: now - 20 }, now)).toBeCloseTo(30, 1);
  expect(timeUntilClean({ size: 1, ino: 1, mtimeMs: now, ctimeMs: now - 60 }, now)).toBe(0);
  // A clock that was set back: nothing to wait for, and nothing to rely on.
  expect(timeUntilClean({ size: 1, ino: 1, mtimeMs: 1, ctimeMs: now + 9e6 }, now)).toBe(0);
  const memory = new Place().memory();
  const file = { digest: digestOf('x'), xattrs: '' };
  const coarse = { size: 1, ino: 1, mtimeMs: 1_000_000_000_000, ctimeMs: 1_000_000_000_000 };
  expect(timeUntilClean(coarse, now)).toBe(0);
  for (const [identity, at, kept] of [
    [coarse, 1_000_000_001_900, false],
    [coarse, 1_000_000_002_100, true],
    [{ ...coarse, ctimeMs: now }, now + 20, false],
    [{ ...coarse, ctimeMs: now }, now + 80, true],
    [{ ...coarse, ctimeMs: now + 9e6 }, now + 80, false],
  ] as const) {
    const name = `${identity.ctimeMs} ${at}`;
    memory.set(name, identity, { now: at, file });
    expect(memory.get(name, identity), name).toEqual(kept ? file : undefined);
  }
});

test('each of size, mtime, ctime and inode tells two files apart', () => {
  const memory = new Place().memory();
  const identity = { size: 5, ino: 7, mtimeMs: 1.25, ctimeMs: 2.5 };
  memory.set('f', identity, { now: 1e6, file: { digest: digestOf('x'), xattrs: '' } });
  expect(memory.get('f', identity)).toBeDefined();
  for (const other of [{ size: 6 }, { ino: 8 }, { mtimeMs: 1.5 }, { ctimeMs: 2.75 }]) {
    expect(memory.get('f', { ...identity, ...other })).toBeUndefined();
  }
  expect(memory.get('', identity)).toBeUndefined();
});

test('a memory outlives the process, in whatever order and with whatever names it is asked', () => {
  const place = new Place();
  const names = ['', 'a', 'dir', 'dir/\n', 'dir/%0A', 'dir/\xc3\xa9', 'z'];
  const identity = { size: 5, ino: 7, mtimeMs: 1.25, ctimeMs: 2.5 };
  const first = place.memory();
  for (const name of names) {
    first.set(name, identity, { now: 1e6, file: { digest: digestOf(name), xattrs: '{"user.a":"\\n"}' } });
  }
  first.save();
  for (const order of [names, names.toReversed(), ['z', 'a', '']]) {
    const memory = place.memory();
    for (const name of order) {
      expect(memory.get(name, identity)).toEqual({ digest: digestOf(name), xattrs: '{"user.a":"\\n"}' });
    }
    memory.set('more', identity, { now: 1e6, file: { digest: digestOf('more'), xattrs: '' } });
    memory.save();
  }
  expect(place.memory().get('dir', identity)?.digest).toBe(digestOf('dir'));
  writeFileSync(join(place.directory, 'memory'), 'kiln-digests-0\nz\0rubbish');
  expect(place.memory().get('z', identity)).toBeUndefined();
});

test('many files, learned and learned again, are each remembered as they were last', () => {
  const place = new Place();
  const state = (number: number) => ({
    size: number,
    ino: 2 ** 40 + number,
    mtimeMs: number + 0.25,
    ctimeMs: 2.5,
  });
  const file = (number: number) => ({
    digest: digestOf(String(number)),
    xattrs: number % 3 === 0 ? '{}' : '',
  });
  const learn = (memory: DigestMemory, name: string, number: number): void =>
    memory.set(name, state(number), { now: 1e6, file: file(number) });
  const first = place.memory();
  for (let number = 0; number < 3000; number++) learn(first, `f${number}`, number);
  learn(first, 'f1', 5001);
  expect(first.get('f1', state(1))).toBeUndefined();
  expect(first.get('f1', state(5001))).toEqual(file(5001));
  first.save();
  // A later build finds some as they were, one changed and one new; of the others it is not asked.
  const second = place.memory();
  for (const number of [7, 2, 2, 2999]) expect(second.get(`f${number}`, state(number))).toEqual(file(number));
  learn(second, 'f2', 5002);
  learn(second, 'new', 5003);
  second.save();
  const third = place.memory();
  for (let number = 0; number < 3000; number++) {
    const now = { 1: 5001, 2: 5002 }[number] ?? number;
    expect(third.get(`f${number}`, state(now)), `f${number}`).toEqual(file(now));
  }
  expect(third.get('new', state(5003))).toEqual(file(5003));
});

test('a large file is read while other work goes on, and given up when that is wanted', async () => {
  const place = new Place();
  const bytes = Buffer.alloc((70 << 20) + 5, 'large');
  writeFileSync(place.path('f'), bytes);
  const { signal } = new AbortController();
  const tree = new DirectoryTree(place.context, { memory: place.memory(), clock: Date.now });
  let turns = 0;
  const ticking = setInterval(() => turns++, 0);
  await tree.learn('f', signal);
  clearInterval(ticking);
  expect(turns).toBeGreaterThan(1);
  rmSync(place.path('f'));
  // What was learned is not read again.
  expect(tree.digest('f')).toBe(digestOf(bytes));

  writeFileSync(place.path('g'), bytes);
  const late = new DirectoryTree(place.context, { clock: Date.now });
  late.lstat('g');
  await expect(late.learn('g', AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped');
  writeFileSync(place.path('g'), 'another');
  await expect(late.learn('g', signal)).rejects.toMatchObject({ code: 'COPY_FILE_CHANGED' });
  rmSync(place.path('g'));
  await expect(late.learn('g', signal)).rejects.toMatchObject({ code: 'CONTEXT_FILE_VANISHED' });
});

test('a memory with any byte changed, or cut anywhere, is an empty one', () => {
  const place = new Place();
  const identity = { size: 5, ino: 7, mtimeMs: 1.25, ctimeMs: 2.5 };
  const memory = place.memory();
  for (const name of ['a', 'b']) {
    memory.set(name, identity, { now: 1e6, file: { digest: digestOf(name), xattrs: '' } });
  }
  memory.save();
  const file = join(place.directory, 'memory');
  const whole = readFileSync(file);
  expect(DigestMemory.isIntact(whole)).toBe(true);
  for (let at = 0; at < whole.length; at++) {
    const changed = Buffer.from(whole);
    changed[at] = (changed[at] ?? 0) ^ 1;
    for (const bytes of [changed, whole.subarray(0, at)]) {
      expect(DigestMemory.isIntact(bytes)).toBe(false);
      writeFileSync(file, bytes);
      expect(place.memory().get('a', identity)).toBeUndefined();
    }
  }
});

test('a file that is replaced between the look and the reading, or before it is packed, is an error', async () => {
  const place = new Place();
  const replace = (): void => {
    writeFileSync(place.path('other'), 'new');
    renameSync(place.path('other'), place.path('f'));
  };
  writeFileSync(place.path('f'), 'old');
  const early = new DirectoryTree(place.context, { clock: Date.now });
  early.lstat('f');
  replace();
  expect(() => early.digest('f')).toThrow(expect.objectContaining({ code: 'COPY_FILE_CHANGED' }));

  const late = new DirectoryTree(place.context, { clock: Date.now });
  const entry = late.lstat('f');
  if (entry === undefined) throw new Error('no file');
  expect(late.digest('f')).toBe(digestOf('new'));
  const item = { entry: { ...entry }, content: late.content('f') };
  const output = (name: string) => ({
    directory: mkdtempSync(join(place.directory, name)),
    forms: [],
    epoch: undefined,
  });
  // One more name moves the ctime alone: the file is the same.
  linkSync(place.path('f'), place.path('twin'));
  unlinkSync(place.path('twin'));
  await packTree([item], output('same-'));
  replace();
  await expect(packTree([item], output('other-'))).rejects.toMatchObject({ code: 'COPY_FILE_CHANGED' });
});

test('hidden files stay hidden, however they are asked for', () => {
  const place = new Place();
  for (const name of ['kept', 'secret']) writeFileSync(place.path(name), name);
  const filter = new IgnoreMatcher(['secret', 'none/**']);
  const tree = new DirectoryTree(place.context, { filter, clock: Date.now });
  expect(tree.lstat('secret')).toBeUndefined();
  expect(tree.list('')).toEqual(['kept']);
  expect(tree.lstat('secret')).toBeUndefined();
  expect(tree.lstat('kept')?.size).toBe(4);
});
