import { randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { cheapestWay } from '../../src/layer/compressibility.ts';

const MIB = 1 << 20;
const noise = randomBytes(MIB);
const nibbles = Buffer.from(noise.map((byte) => byte & 0x0f));
const words = ['layer', 'digest', 'the', 'of', 'manifest', 'a', 'config', '\n'];
const prose = Buffer.from(
  Array.from(noise.subarray(0, 300_000), (byte) => words[byte & 7]).join(' '),
).subarray(0, MIB);
const programs = deflateRawSync(noise);

/** `what` in place of a part of the noise that samples see. */
function between(what: Buffer): Buffer {
  const bytes = Buffer.from(noise);
  what.copy(bytes, MIB / 2, 0, MIB / 4);
  return bytes;
}

describe('how a megabyte is compressed', () => {
  test.each([
    ['noise', noise, 'stored'],
    ['what is compressed already', programs, 'stored'],
    ['bytes that are uneven and never repeat', nibbles, 'huffman'],
    ['prose', prose, 'full'],
    ['zeros', Buffer.alloc(MIB), 'full'],
    ['noise with prose in it', between(prose), 'full'],
    ['noise with zeros in it', between(Buffer.alloc(MIB)), 'full'],
    ['noise with uneven bytes in it', between(nibbles), 'huffman'],
    [
      'noise that comes again after 4 KiB',
      Buffer.concat(Array.from({ length: 256 }, () => noise.subarray(0, 4096))),
      'full',
    ],
    ['less than samples are worth', noise.subarray(0, 100_000), 'full'],
    ['nothing', Buffer.alloc(0), 'full'],
  ] as const)('%s', (_, bytes, way) => {
    expect(cheapestWay(bytes)).toBe(way);
  });
});
