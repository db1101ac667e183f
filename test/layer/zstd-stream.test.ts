/** Zstandard streams however they are made and however they arrive. */
import { randomBytes } from 'node:crypto';
import { constants, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decompressZstd } from '../../src/layer/zstd-stream.ts';
import { runBytes } from '../setup/run.ts';

async function decompress(bytes: Buffer, pieces: number): Promise<Buffer> {
  async function* source(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += pieces) yield bytes.subarray(at, at + pieces);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of decompressZstd(source(), 64 << 10)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function skippable(size: number): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(0x184d2a5e, 0);
  head.writeUInt32LE(size, 4);
  return Buffer.concat([head, Buffer.alloc(size, 'skip')]);
}

const frame = fc
  .record({
    size: fc.constantFrom(0, 1, 100, 5000, 70_000, 300_000),
    kind: fc.constantFrom('zeros', 'random', 'text'),
    checksum: fc.boolean(),
    level: fc.constantFrom(1, 3, 19),
    contentSize: fc.boolean(),
  })
  .map(({ size, kind, checksum, level, contentSize }) => {
    const plain =
      kind === 'zeros'
        ? Buffer.alloc(size)
        : kind === 'random'
          ? randomBytes(size)
          : Buffer.alloc(size, 'abcdefg');
    const params = {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: checksum ? 1 : 0,
      [constants.ZSTD_c_contentSizeFlag]: contentSize ? 1 : 0,
    };
    return { plain, packed: zstdCompressSync(plain, { params }) };
  });

test('any frames, skippable ones between them, in pieces of any size', async () => {
  const skip = fc
    .constantFrom(0, 5, 3000)
    .map((size) => ({ plain: Buffer.alloc(0), packed: skippable(size) }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 4, arbitrary: frame }, { weight: 1, arbitrary: skip }), {
        minLength: 1,
        maxLength: 6,
      }),
      fc.constantFrom(1 << 20, 65_536, 1000, 37),
      async (frames, pieces) => {
        const whole = Buffer.concat(frames.map(({ packed }) => packed));
        const plain = Buffer.concat(frames.map((one) => one.plain));
        expect((await decompress(whole, pieces)).equals(plain)).toBe(true);
      },
    ),
    { numRuns: 60 },
  );
});

test.each([
  ['one thread', []],
  ['several threads', ['-T4', '-B512K']],
  ['a long window', ['--long=27']],
  ['the fastest level', ['--fast=5']],
  ['no checksum', ['--no-check']],
] as const)('what zstd(1) writes: %s', async (_, options) => {
  const plain = Buffer.concat([randomBytes(200_000), Buffer.alloc(3 << 20, 'kiln '), randomBytes(999)]);
  const packed = runBytes('zstd', ['-q', '-c', ...options], { input: plain });
  expect(
    (await decompress(Buffer.concat([packed, packed]), 10_000)).equals(Buffer.concat([plain, plain])),
  ).toBe(true);
});

test('what is cut short, damaged or something else is no success', async () => {
  const packed = zstdCompressSync(randomBytes(50_000));
  for (const length of [1, 3, 10, 1000, packed.length - 1])
    await expect(decompress(packed.subarray(0, length), 1 << 20)).rejects.toMatchObject({
      code: 'Z_BUF_ERROR',
    });
  const two = Buffer.concat([packed, packed]);
  await expect(decompress(two.subarray(0, two.length - 5), 1 << 20)).rejects.toThrow('unexpected end');
  await expect(decompress(Buffer.concat([packed, Buffer.alloc(10)]), 1 << 20)).rejects.toThrow(
    'no zstd frame',
  );
  await expect(decompress(Buffer.from('something else'), 1 << 20)).rejects.toThrow('no zstd frame');
});
