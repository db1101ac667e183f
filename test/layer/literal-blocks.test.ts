/** Deflate of literals: it must inflate to the same bytes anywhere, and be as small as zlib's. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { constants, crc32, deflateRawSync, inflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codeLiterals, literalRoom } from '../../src/layer/literal-blocks.ts';

const MIB = 1 << 20;

/** Bytes of a block's head, about: for less than a hundred bytes zlib has shorter ways. */
const HEAD = 160;

/** Coded into a buffer full of something else, as those that are used again are. */
function coded(bytes: Buffer): Buffer {
  const into = Buffer.alloc(literalRoom(bytes.length), 0xaa);
  return into.subarray(0, codeLiterals(bytes, into));
}

const inflated = (blocks: Buffer): Buffer => inflateRawSync(blocks, { finishFlush: constants.Z_SYNC_FLUSH });

const zlibs = (bytes: Buffer): Buffer =>
  deflateRawSync(bytes, {
    strategy: constants.Z_HUFFMAN_ONLY,
    memLevel: 9,
    finishFlush: constants.Z_SYNC_FLUSH,
  });

/** One gzip member of parts that are deflated already, in a file's form. */
function member(bytes: Buffer, parts: readonly Buffer[]): Buffer {
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(bytes), 0);
  trailer.writeUInt32LE(bytes.length, 4);
  return Buffer.concat([Buffer.from('1f8b08000000000000ff', 'hex'), ...parts, Buffer.from([3, 0]), trailer]);
}

/** Bytes drawn at random, each as often as its weight says. */
function drawn(weights: readonly number[], length: number): Buffer {
  const limits: number[] = [];
  let total = 0;
  for (const weight of weights) {
    total += weight;
    limits.push(total);
  }
  const noise = randomBytes(4 * length);
  return Buffer.from(
    Uint8Array.from({ length }, (_, at) => {
      const point = (noise.readUInt32LE(4 * at) / 2 ** 32) * total;
      return limits.findIndex((limit) => point < limit);
    }),
  );
}

/** Bytes in numbers of Fibonacci: a code without a limit would be as long as there are different ones. */
function fibonacci(different: number): Buffer {
  const parts: Buffer[] = [];
  for (let index = 0, [one, two] = [1, 1]; index < different; index++, [one, two] = [two, one + two]) {
    parts.push(Buffer.alloc(one, 255 - index));
  }
  return Buffer.concat(parts);
}

const noise = randomBytes(MIB);

/** Bytes of which the quarters that the coder looks at have been made in another way than the others. */
function unsampled(
  bytes: Buffer,
  others: (byte: number, at: number) => number,
  samples: (byte: number, at: number) => number,
): Buffer {
  return Buffer.from(
    bytes.map((byte, at) => (((at >> 10) & 3) === ((at >> 12) & 3) ? samples(byte, at) : others(byte, at))),
  );
}

describe.each([
  ['nothing', Buffer.alloc(0)],
  ['a byte', Buffer.from('x')],
  ['a byte of zero', Buffer.alloc(1)],
  ['two bytes', Buffer.from('xy')],
  ['three bytes', Buffer.from('aab')],
  ['one byte a million times', Buffer.alloc(MIB, 7)],
  ['two different bytes', Buffer.from(noise.map((byte) => byte & 1))],
  ['each byte once', Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))],
  ['all bytes alike', Buffer.from(Array.from({ length: MIB }, (_, at) => at & 0xff))],
  ['noise', noise],
  ['half of each byte', Buffer.from(noise.map((byte) => byte & 0x0f))],
  ['counts of Fibonacci', fibonacci(28)],
  ['255 rare bytes and a frequent one', Buffer.concat([Buffer.alloc(MIB - 255, 9), noise.subarray(0, 255)])],
  ['a piece and a byte', noise.subarray(0, (32 << 10) + 1)],
] as const)('%s', (_, bytes) => {
  test('inflates to the same, within the room, and no larger than zlib makes it', () => {
    const blocks = coded(bytes);
    expect(inflated(blocks).equals(bytes)).toBe(true);
    expect(blocks.length).toBeLessThanOrEqual(zlibs(bytes).length * 1.005 + HEAD);
  });
});

test.each([
  ['bytes that stand nowhere else', (byte: number) => byte & 3, (byte: number) => byte | 4],
  ['fewer different bytes', (byte: number) => byte & 1, (byte: number) => byte],
] as const)('%s where no sample is taken', (_, others, samples) => {
  const bytes = unsampled(noise, others, samples);
  const blocks = coded(bytes);
  expect(inflated(blocks).equals(bytes)).toBe(true);
  expect(blocks.length).toBeLessThanOrEqual(MIB * 1.005);
});

test('what is rare in the samples alone is counted again', () => {
  const bytes = unsampled(
    noise,
    () => 200,
    (byte, at) => (at % 8 === 0 ? byte : byte & 3),
  );
  const blocks = coded(bytes);
  expect(inflated(blocks).equals(bytes)).toBe(true);
  expect(blocks.length).toBeLessThan(zlibs(bytes).length * 1.02);
});

test('samples that are like the rest cost next to nothing', () => {
  const weights = Array.from({ length: 256 }, (_, byte) => 1 + 5000 / (1 + byte));
  const bytes = drawn(weights, MIB);
  expect(coded(bytes).length).toBeLessThan(zlibs(bytes).length * 1.001);
});

test('any bytes of any distribution', () => {
  const weight = fc.oneof(
    fc.constant(0),
    fc.constant(1),
    fc.integer({ min: 1, max: 20 }).map((power) => 2 ** power),
  );
  const distribution = fc
    .array(weight, { minLength: 1, maxLength: 256 })
    .map((weights) => (weights.some((one) => one > 0) ? weights : [...weights.slice(1), 1]));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(distribution, fc.integer({ min: 0, max: 70_000 })), { maxLength: 4 }),
      fc.integer({ min: 0, max: 3 }),
      (parts, offset) => {
        const drawnParts = parts.map(([weights, length]) => drawn(weights, length));
        // Not at the start of its memory, so that words of it lie anywhere.
        const bytes = Buffer.concat([Buffer.alloc(offset), ...drawnParts]).subarray(offset);
        const blocks = coded(bytes);
        expect(inflated(blocks).equals(bytes)).toBe(true);
        expect(coded(bytes).equals(blocks)).toBe(true);
        expect(blocks.length).toBeLessThanOrEqual(zlibs(bytes).length * 1.005 + HEAD * (1 + parts.length));
      },
    ),
    { numRuns: 60 },
  );
});

test('bytes that change their kind get other codes', () => {
  const parts = Array.from({ length: 8 }, (_, index) =>
    Buffer.from(
      noise
        .subarray(index << 17, (index + 1) << 17)
        .map((byte) => (index % 2 === 0 ? byte & 0x0f : byte | 0xe0)),
    ),
  );
  const bytes = Buffer.concat(parts);
  // Four bits and five in turns; one code for all would take five and a half.
  expect(coded(bytes).length).toBeLessThan((bytes.length * 4.6) / 8);
});

test('joins what zlib deflates, before it and after it, to one gzip member', () => {
  const pieces = [
    Buffer.from('text that repeats, text that repeats, '.repeat(100)),
    noise.subarray(0, 100_001),
    Buffer.from(noise.subarray(0, 200_003).map((byte) => byte & 0x33)),
    Buffer.alloc(0),
    Buffer.from('and again, and again'),
  ];
  const full = { finishFlush: constants.Z_SYNC_FLUSH } as const;
  const parts = pieces.map((piece, index) => (index % 2 === 0 ? coded(piece) : deflateRawSync(piece, full)));
  const bytes = Buffer.concat(pieces);
  const file = member(bytes, parts);
  execFileSync('gzip', ['-t'], { input: file });
  expect(execFileSync('gzip', ['-dc'], { input: file, maxBuffer: MIB }).equals(bytes)).toBe(true);
});

test('too little room is an error, not a cut', () => {
  expect(() => codeLiterals(noise, Buffer.alloc(MIB / 2))).toThrow(RangeError);
});
