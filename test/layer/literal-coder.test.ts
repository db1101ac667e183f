/** Units of literals, coded here and in a thread. */
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, onTestFinished, test, vi } from 'vitest';
import { makeCompressor } from '../../src/layer/compress.ts';
import { LayerPool } from '../../src/layer/layer-pool.ts';
import { LiteralCoder } from '../../src/layer/literal-coder.ts';
import { file, Place } from './layers.ts';

const UNIT = 1 << 20;
const noise = randomBytes(UNIT);

function shared(bytes: Uint8Array): Buffer {
  const buffer = Buffer.from(new SharedArrayBuffer(bytes.length));
  buffer.set(bytes);
  return buffer;
}

function coder(unit: number): LiteralCoder {
  const made = new LiteralCoder(unit);
  onTestFinished(() => made.end());
  return made;
}

const sum = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Threads of this process, without the pool that writes files. */
function threads(): number {
  return readdirSync('/proc/self/task').filter((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, 'latin1') !== 'libuv-worker\n';
    } catch {
      return false;
    }
  }).length;
}

test('a thread codes as the caller does, into buffers that are used again', async () => {
  const unit = shared(noise.map((byte) => byte & 0x3f));
  const own = coder(UNIT);
  const sums = new Set<string>();
  const buffers = new Set<ArrayBufferLike>();
  for (let round = 0; round < 5; round++) {
    const results = await Promise.all(Array.from({ length: 4 }, () => own.code(unit)));
    for (const { bytes, done } of results) {
      sums.add(sum(bytes));
      buffers.add(bytes.buffer);
      done();
    }
  }
  expect(sums.size).toBe(1);
  expect(buffers.size).toBe(4);
});

test('what a thread cannot do rejects that unit and all after it', async () => {
  const own = coder(100);
  const [fits, large] = [shared(noise.subarray(0, 100)), shared(noise)];
  for (let index = 0; index < 6; index++) await own.code(fits);
  const [before, failed, after] = await Promise.allSettled([own.code(fits), own.code(large), own.code(fits)]);
  expect(before.status).toBe('fulfilled');
  expect(failed).toMatchObject({ status: 'rejected', reason: { name: 'RangeError' } });
  expect(after.status).toBe('rejected');
  await expect(own.code(fits)).rejects.toThrow(RangeError);
});

test('ending it ends the thread and rejects what is not coded', async () => {
  const before = threads();
  const own = coder(UNIT);
  const unit = shared(noise);
  const units = Array.from({ length: 12 }, () => own.code(unit));
  const settled = Promise.allSettled(units);
  expect(threads()).toBeGreaterThan(before);
  await own.end();
  expect((await settled).at(-1)).toMatchObject({
    status: 'rejected',
    reason: { message: expect.stringContaining('ended before its work') as string },
  });
  await vi.waitFor(() => expect(threads()).toBe(before));
});

test('no thread outlives the layers, packed or given up', async () => {
  const place = new Place();
  const before = threads();
  const pool = new LayerPool({ threads: 1 });
  onTestFinished(() => pool.close());
  const uneven = Buffer.from(randomBytes(24 * UNIT).map((byte) => byte & 0x0f));
  const form = { compression: 'gzip', level: undefined } as const;
  const pack = (): Promise<unknown> =>
    pool.run(
      'packTree',
      { items: [file('big', uneven)], output: { ...place.output(), forms: [form] } },
      new AbortController().signal,
    );
  await pack();
  const idle = threads();
  const given = pack();
  given.catch(() => undefined);
  await vi.waitFor(() => expect(threads()).toBeGreaterThan(idle));
  await pool.close();
  await expect(given).rejects.toThrow('a layer thread ended before its work');
  await vi.waitFor(() => expect(threads()).toBe(before));
});

test('a blob that is given up takes its thread with it', async () => {
  const before = threads();
  const compressor = makeCompressor({
    compression: 'gzip',
    level: undefined,
    path: new Place().path('blob'),
  });
  compressor.push(Buffer.from(randomBytes(10 * UNIT).map((byte) => byte & 0x0f)));
  expect(threads()).toBeGreaterThan(before);
  compressor.abandon();
  await vi.waitFor(() => expect(threads()).toBe(before));
});
