import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type CompressedBlob, makeCompressor } from '../../src/layer/compress.ts';

const MIB = 1 << 20;
const directory = mkdtempSync(join(tmpdir(), 'kiln-compress-'));
afterAll(() => rmSync(directory, { recursive: true }));

let blobs = 0;

async function compress(
  bytes: Buffer,
  { compression = 'gzip', piece = 100_003 }: { compression?: 'gzip' | 'zstd'; piece?: number } = {},
): Promise<CompressedBlob> {
  const compressor = makeCompressor({
    compression,
    level: undefined,
    path: join(directory, String(blobs++)),
  });
  for (let at = 0; at < bytes.length; at += piece) await compressor.push(bytes.subarray(at, at + piece));
  return compressor.finish();
}

function decompress({ compression, path }: CompressedBlob): Buffer {
  const program = compression === 'gzip' ? 'gzip' : 'zstd';
  return execFileSync(program, ['-dc'], { input: readFileSync(path), maxBuffer: 64 * MIB });
}

const noise = randomBytes(5 * MIB + 777);
const text = Buffer.from('every line the same, or nearly\n'.repeat(80_000));
/** Half of each byte is always zero, and nothing repeats: only its coding can be made shorter. */
const uneven = Buffer.from(noise.subarray(0, 3 * MIB).map((byte) => byte & 0x0f));
/** A unit that begins and ends with noise and has text in between, and one that is cut in the middle. */
const mixed = Buffer.concat([noise.subarray(0, 300_000), text, noise.subarray(0, 900_000), text]);

describe.each([
  ['nothing', Buffer.alloc(0)],
  ['a byte', Buffer.from('x')],
  ['zeros', Buffer.alloc(3 * MIB + 5)],
  ['text', text],
  ['noise', noise],
  ['noise and text', mixed],
  ['uneven bytes', uneven],
] as const)('%s', (_, bytes) => {
  test.each(['gzip', 'zstd'] as const)('comes out of %s as it went in', async (compression) => {
    const blob = await compress(bytes, { compression });
    expect(decompress(blob).equals(bytes)).toBe(true);
    const written = readFileSync(blob.path);
    expect(written.length).toBe(blob.size);
    expect(`sha256:${createHash('sha256').update(written).digest('hex')}`).toBe(blob.digest);
  });

  test('is the same blob however it arrives', async () => {
    const [one, other] = await Promise.all([
      compress(bytes, { piece: 4096 }),
      compress(bytes, { piece: 3 * MIB }),
    ]);
    expect(one.digest).toBe(other.digest);
  });
});

test('noise is kept as it is at hardly any cost, and what is between noise is still compressed', async () => {
  expect((await compress(noise)).size).toBeLessThan(noise.length * 1.001);
  expect((await compress(uneven)).size).toBeLessThan(uneven.length * 0.51);
  expect((await compress(mixed)).size).toBeLessThan(1_400_000);
});
