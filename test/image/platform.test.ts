import { describe, expect, test } from 'vitest';
import { BuildError } from '../../src/errors.ts';
import { type Descriptor, digestOf, MEDIA_TYPE, type Platform } from '../../src/image/descriptor.ts';
import {
  choosePlatform,
  formatPlatform,
  offeredPlatforms,
  parsePlatform,
  platformSatisfies,
  samePlatform,
} from '../../src/image/platform.ts';

const HOST: Platform = { os: 'linux', architecture: 'arm64', variant: 'v8' };

describe('a platform', () => {
  test.each([
    ['linux/amd64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['Linux/X86_64', 'linux/amd64'],
    ['linux/x86-64', 'linux/amd64'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm64/8', 'linux/arm64'],
    ['linux/arm64/v9', 'linux/arm64/v9'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm/7', 'linux/arm/v7'],
    ['linux/armhf', 'linux/arm/v7'],
    ['linux/armel', 'linux/arm/v6'],
    ['linux/arm/v6', 'linux/arm/v6'],
    ['linux/i386', 'linux/386'],
    ['macos/arm64', 'darwin/arm64'],
    ['windows/amd64', 'windows/amd64'],
    ['linux/riscv64', 'linux/riscv64'],
    ['local', 'linux/arm64'],
    ['linux', 'linux/arm64'],
    ['amd64', 'linux/amd64'],
    ['armhf', 'linux/arm/v7'],
    ['windows', 'windows/arm64'],
  ])('%s is %s', (text, expected) => {
    expect(formatPlatform(parsePlatform(text, HOST))).toBe(expected);
    expect(samePlatform(parsePlatform(text, HOST), parsePlatform(expected, HOST))).toBe(true);
  });

  test.each([
    '',
    '/',
    'linux/',
    '/amd64',
    'linux/amd64/v1/x',
    'linux/am d64',
    'z80',
    '*/*',
    'constructor',
    'linux/amd64,linux/arm64',
  ])('%j is refused with an example', (text) => {
    expect(() => parsePlatform(text, HOST)).toThrow(BuildError);
    expect(() => parsePlatform(text, HOST)).toThrow(/not a platform/);
  });
});

describe('the manifest for a platform', () => {
  const entry = (name: string): Descriptor => ({
    mediaType: MEDIA_TYPE.ociManifest,
    digest: digestOf(name),
    size: 1,
    platform:
      name === 'unknown/unknown' ? { os: 'unknown', architecture: 'unknown' } : parsePlatform(name, HOST),
  });
  const index = (...names: string[]) => names.map(entry);
  const chosen = (wanted: string, ...names: string[]) =>
    choosePlatform(index(...names), parsePlatform(wanted, HOST)).digest;

  test.each([
    ['linux/amd64', ['linux/arm64', 'linux/amd64'], 'linux/amd64'],
    ['linux/arm/v7', ['linux/arm/v5', 'linux/arm/v6', 'linux/amd64'], 'linux/arm/v6'],
    ['linux/arm/v7', ['linux/arm/v5', 'linux/arm/v7'], 'linux/arm/v7'],
    ['linux/arm64/v9', ['linux/arm64'], 'linux/arm64'],
    ['linux/arm64', ['linux/arm64'], 'linux/arm64'],
    ['linux/amd64/v3', ['linux/amd64', 'linux/amd64/v2'], 'linux/amd64/v2'],
    ['linux/amd64', ['unknown/unknown', 'linux/amd64'], 'linux/amd64'],
  ])('%s of %j is %s', (wanted, names, expected) => {
    expect(chosen(wanted, ...names)).toBe(digestOf(expected));
  });

  test.each([
    ['linux/arm/v6', ['linux/arm/v7']],
    ['linux/amd64', ['linux/amd64/v3']],
    ['linux/amd64', ['linux/386']],
    ['linux/arm64', ['linux/arm/v7']],
    ['linux/amd64', ['windows/amd64']],
  ])('%s is not to be had from %j, and the error lists what is', (wanted, names) => {
    const attempt = () =>
      choosePlatform(index(...names, 'unknown/unknown'), parsePlatform(wanted, HOST), 'alpine:3');
    expect(attempt).toThrow(expect.objectContaining({ code: 'BASE_IMAGE_PLATFORM_NOT_FOUND' }));
    expect(attempt).toThrow(`alpine:3 has no variant for ${wanted}; it has ${names.join(', ')}`);
  });

  test('is the only one of an index that names no platforms', () => {
    const { platform: _, ...bare } = entry('linux/amd64');
    expect(choosePlatform([bare], HOST)).toBe(bare);
    expect(() => choosePlatform([bare, bare], HOST)).toThrow(/none at all/);
    expect(() => choosePlatform([], HOST)).toThrow(/none at all/);
  });

  test('lists each platform once, without attestations', () => {
    expect(offeredPlatforms(index('linux/amd64', 'unknown/unknown', 'linux/amd64/v1', 'linux/arm'))).toEqual([
      'linux/amd64',
      'linux/arm/v7',
    ]);
  });

  test('an image of an older variant satisfies, a newer one does not', () => {
    const satisfies = (offered: string, wanted: string) =>
      platformSatisfies(parsePlatform(offered, HOST), parsePlatform(wanted, HOST));
    expect(satisfies('linux/arm/v6', 'linux/arm/v7')).toBe(true);
    expect(satisfies('linux/arm/v7', 'linux/arm/v6')).toBe(false);
    expect(satisfies('linux/arm64', 'linux/amd64')).toBe(false);
  });
});
