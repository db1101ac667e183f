import { randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test, vi } from 'vitest';
import { BackgroundFile } from '../../src/system/background-file.ts';
import { copyFile } from '../../src/system/copy-file.ts';
import { IoRoute, type Way } from '../../src/system/io-route.ts';
import { run } from '../setup/run.ts';

/** ext4 or the like, where O_DIRECT works; a filesystem in memory, where it may not. */
const PLACES = ['/var/tmp', '/dev/shm'];

const { signal } = new AbortController();

/** Takes the ways it is told to, one after another. */
class GivenRoute extends IoRoute {
  readonly #ways: readonly Way[];
  #turn = 0;

  constructor(ways: readonly Way[]) {
    super();
    this.#ways = ways;
  }

  override get way(): Way {
    return this.#ways[this.#turn % this.#ways.length] ?? 'cached';
  }

  override went(): void {
    this.#turn += 1;
  }

  override refuse(): void {
    this.#turn += 1;
  }
}

function directory(place: string): string {
  const path = mkdtempSync(join(place, 'kiln-io-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** Files of a directory that this process has open. */
function openBelow(folder: string): string[] {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return '';
    }
  });
  return targets.filter((target) => target.startsWith(`${folder}/`));
}

test.each(PLACES)('bytes written either way, in pieces of any size, are the file (%s)', async (place) => {
  const folder = directory(place);
  const noise = randomBytes(8 << 20);
  const sizes = fc.oneof(
    fc.integer({ min: 0, max: 5000 }),
    fc.constant(1 << 20),
    fc.integer({ min: 0, max: 3 << 20 }),
  );
  const ways = fc.array(fc.constantFrom<Way>('cached', 'direct'), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(fc.array(sizes, { maxLength: 12 }), ways, async (pieces, chosen) => {
      const [path, copied] = [join(folder, 'written'), join(folder, 'copied')];
      rmSync(path, { force: true });
      const copy = openSync(copied, 'w+');
      const file = new BackgroundFile(path, { route: new GivenRoute(chosen), copy });
      const expected: Buffer[] = [];
      let begun = 0;
      let done = 0;
      for (const size of pieces) {
        const piece = noise.subarray(size % 4096, (size % 4096) + size);
        expected.push(piece);
        // A copy that is spoiled as soon as it may be.
        const own = Buffer.from(piece);
        begun += 1;
        await file.room();
        file.append(own, () => {
          own.fill(0xee);
          done += 1;
        });
      }
      await file.finish();
      expect(done).toBe(begun);
      const bytes = Buffer.concat(expected);
      expect(file.size).toBe(bytes.length);
      expect(readFileSync(path).equals(bytes)).toBe(true);
      expect(file.isCopied).toBe(true);
      closeSync(copy);
      expect(readFileSync(copied).equals(bytes)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test.each(PLACES)('a copy has the bytes of its source (%s)', async (place) => {
  const folder = directory(place);
  for (const size of [0, 1, 4095, 1 << 20, (1 << 20) + 1, (40 << 20) + 12_345]) {
    const [source, target] = [join(folder, `source-${size}`), join(folder, `target-${size}`)];
    writeFileSync(source, randomBytes(size));
    await copyFile(source, target, signal);
    expect(statSync(target).size).toBe(size);
    run('cmp', [source, target]);
  }
});

test('a copy is given up at once', async () => {
  const folder = directory('/var/tmp');
  writeFileSync(join(folder, 'source'), randomBytes(40 << 20));
  const abort = new AbortController();
  const copying = copyFile(join(folder, 'source'), join(folder, 'target'), abort.signal);
  abort.abort(new Error('stopped'));
  await expect(copying).rejects.toThrow('stopped');
  await vi.waitFor(() => expect(openBelow(folder)).toEqual([]));
});

test('a copy is not written over anything', async () => {
  const folder = directory('/var/tmp');
  const [source, target] = [join(folder, 'source'), join(folder, 'target')];
  writeFileSync(source, 'new');
  writeFileSync(target, 'old');
  await expect(copyFile(source, target, signal)).rejects.toThrow(/EEXIST/);
  expect(readFileSync(target, 'utf8')).toBe('old');
});

/** A directory with room for 4 MB. */
function smallDisk(): string {
  const folder = directory('/var/tmp');
  run('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder]);
  onTestFinished(() => {
    run('umount', [folder]);
  });
  return folder;
}

test.each<Way>(['cached', 'direct'])('a copy that fails is no failure of the file, %s', async (way) => {
  const folder = directory('/var/tmp');
  const copy = openSync(join(smallDisk(), 'copy'), 'w');
  onTestFinished(() => closeSync(copy));
  const file = new BackgroundFile(join(folder, 'f'), { route: new GivenRoute([way]), copy });
  const bytes = randomBytes(9 << 20);
  for (let at = 0; at < bytes.length; at += 1 << 20) {
    file.append(bytes.subarray(at, at + (1 << 20)));
    await file.room();
  }
  await file.finish();
  expect(file.isCopied).toBe(false);
  expect(readFileSync(join(folder, 'f')).equals(bytes)).toBe(true);
});

test.each<Way>(['cached', 'direct'])('a full disk is told, %s, and the file is closed', async (way) => {
  const folder = smallDisk();
  const file = new BackgroundFile(join(folder, 'f'), { route: new GivenRoute([way]) });
  for (let index = 0; index < 8; index++) file.append(randomBytes(1 << 20));
  await expect(file.finish()).rejects.toThrow(/ENOSPC/);
  file.abandon();
  // What was under way ends first.
  await vi.waitFor(() => expect(openBelow(folder)).toEqual([]));
});
