import { describe, expect, test } from 'vitest';
import {
  parseCacheExport,
  parseCacheImport,
  parseMountExport,
  parseMountImport,
} from '../../src/cache/cache-spec.ts';
import { BuildError } from '../../src/errors.ts';

const to = (text: string) => parseCacheExport(text, '/work');
const from = (text: string) => parseCacheImport(text, '/work');

function refusal(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    return `${error.code} ${error.message} | ${error.suggestions.join(' ')}`;
  }
  return 'accepted';
}

const DAY = 86_400_000;

describe('what a cache flag says', () => {
  test("BuildKit's names and defaults", () => {
    expect(to('type=registry,ref=host:5000/a/b:c')).toEqual([
      {
        kind: 'stored',
        place: { kind: 'registry', reference: 'host:5000/a/b:c' },
        mode: 'min',
        form: { compression: 'gzip', level: undefined, force: false },
        bounds: { maxAge: 14 * DAY, maxSize: undefined },
        ignoreError: true,
      },
    ]);
    expect(
      to(
        'type=registry,ref=a/b,mode=max,compression=zstd,compression-level=9,force-compression=true,oci-mediatypes=true,image-manifest=true,ignore-error=false,max-age=7d,max-size=5GB',
      ),
    ).toMatchObject([
      {
        mode: 'max',
        form: { compression: 'zstd', level: 9, force: true },
        bounds: { maxAge: 7 * DAY, maxSize: 5 * 1024 ** 3 },
        ignoreError: false,
      },
    ]);
  });

  test('directories are relative to where kiln is started; the tag is latest unless said', () => {
    expect(to('type=local,dest=out')).toMatchObject([
      { place: { kind: 'local', directory: '/work/out', tag: 'latest' } },
    ]);
    expect(from('type=local,src=/in,tag=main')).toEqual([{ kind: 'local', directory: '/in', tag: 'main' }]);
    const digest = `sha256:${'a'.repeat(64)}`;
    expect(from(`type=local,src=/in,digest=${digest}`)).toEqual([
      { kind: 'local', directory: '/in', tag: digest },
    ]);
  });

  test('a bare reference is a registry, and several may be in one value', () => {
    expect(from('user/app:1,ghcr.io/o/r')).toEqual([
      { kind: 'registry', reference: 'user/app:1' },
      { kind: 'registry', reference: 'ghcr.io/o/r' },
    ]);
    expect(to('user/app:cache')).toMatchObject([
      { place: { kind: 'registry', reference: 'user/app:cache' } },
    ]);
    expect(to('type=inline')).toEqual([{ kind: 'inline', ignoreError: true }]);
  });

  test.each([
    ['type=registy,ref=a', 'unknown type "registy" | Did you mean registry?'],
    ['type=gha', 'kiln has no cache of type gha | Use one of registry, local, inline'],
    ['type=s3,bucket=b', 'kiln has no cache of type s3'],
    ['type=azblob', 'kiln has no cache of type azblob'],
    ['type=registry', 'ref is missing'],
    ['type=local', 'dest is missing'],
    ['type=local,dst=x', 'unknown option "dst" | Did you mean dest?'],
    ['type=registry,ref=a,mod=max', 'unknown option "mod" | Did you mean mode?'],
    ['type=registry,ref=a,mode=maxi', 'mode cannot be "maxi" | Did you mean max?'],
    ['type=registry,ref=a,compression=estargz', 'compression cannot be "estargz" | compression is one of'],
    ['type=registry,ref=a,compression-level=12', 'compression-level 12 is not possible'],
    ['type=registry,ref=a,compression-level=x', 'compression-level x is not possible'],
    ['type=registry,ref=a,ignore-error=maybe', 'ignore-error must be true or false'],
    ['type=registry,ref=a,max-age=long', 'max-age long is no time'],
    ['type=registry,ref=a,max-age=-1h', 'max-age -1h is no time'],
    ['type=registry,ref=a,max-size=much', 'max-size much is no size'],
    ['type=registry,ref=a,image-manifest=false', 'image-manifest=false is not possible'],
    ['type=inline,mode=max', 'an inline cache holds the steps of the image alone'],
    [`type=registry,ref=a@sha256:${'b'.repeat(64)}`, 'names a digest, which cannot be written to'],
    ['ref=a', 'type is missing'],
    ['type=registry,oops', '"oops" is no key=value'],
    ['', 'it is empty'],
    ['"', 'USAGE_CACHE'],
  ])('--cache-to %s is refused with a way out', (text, said) => {
    const line = refusal(() => to(text));
    expect(line).toContain('USAGE_CACHE --cache-to');
    expect(line).toContain(said);
  });

  test('an inline cache is read from its image', () => {
    expect(refusal(() => from('type=inline'))).toContain('Write type=registry,ref=IMAGE.');
    expect(refusal(() => from('type=registry,ref=a/UPPER'))).toContain('IMAGE_INVALID_REFERENCE');
    expect(refusal(() => from('type=registry,ref=a,mode=max'))).toContain('unknown option "mode"');
  });

  test('cache mounts have ids, and a form of their own', () => {
    expect(parseMountExport('type=local,dest=m,id=a,id=/b,max-size=1g', '/work')).toMatchObject([
      {
        place: { kind: 'local', directory: '/work/m', tag: 'latest' },
        ids: new Set(['a', '/b']),
        form: { compression: 'zstd' },
        bounds: { maxSize: 1024 ** 3 },
      },
    ]);
    expect(parseMountImport('host/a:mounts', '/work')).toEqual([
      { place: { kind: 'registry', reference: 'host/a:mounts' }, ids: undefined },
    ]);
    expect(refusal(() => parseMountExport('type=inline', '/work'))).toContain('unknown type "inline"');
    expect(refusal(() => parseMountImport('type=local,src=x,di=a', '/work'))).toContain('Did you mean id?');
  });
});
