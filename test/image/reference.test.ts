import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BuildError } from '../../src/errors.ts';
import {
  familiarName,
  familiarReference,
  formatReference,
  manifestName,
  parseReference,
  sameRepository,
  withDefaultTag,
} from '../../src/image/reference.ts';

const DIGEST = `sha256:${'ab01'.repeat(16)}` as const;

describe('a reference', () => {
  // Names, and what github.com/distribution/reference makes of them.
  test.each([
    ['alpine', 'docker.io', 'library/alpine', undefined, undefined, 'alpine'],
    ['alpine:3.20', 'docker.io', 'library/alpine', '3.20', undefined, 'alpine:3.20'],
    [`alpine@${DIGEST}`, 'docker.io', 'library/alpine', undefined, DIGEST, `alpine@${DIGEST}`],
    [`alpine:3.20@${DIGEST}`, 'docker.io', 'library/alpine', '3.20', DIGEST, `alpine:3.20@${DIGEST}`],
    ['docker.io/alpine', 'docker.io', 'library/alpine', undefined, undefined, 'alpine'],
    ['index.docker.io/library/alpine', 'docker.io', 'library/alpine', undefined, undefined, 'alpine'],
    ['team/app', 'docker.io', 'team/app', undefined, undefined, 'team/app'],
    ['docker.io/team/app/sub', 'docker.io', 'team/app/sub', undefined, undefined, 'team/app/sub'],
    ['library/alpine/x', 'docker.io', 'library/alpine/x', undefined, undefined, 'library/alpine/x'],
    ['localhost/app', 'localhost', 'app', undefined, undefined, 'localhost/app'],
    ['localhost:5000/app:v1', 'localhost:5000', 'app', 'v1', undefined, 'localhost:5000/app:v1'],
    ['localhost:5000', 'docker.io', 'library/localhost', '5000', undefined, 'localhost:5000'],
    ['ghcr.io/team/app:v1', 'ghcr.io', 'team/app', 'v1', undefined, 'ghcr.io/team/app:v1'],
    ['Registry/app', 'Registry', 'app', undefined, undefined, 'Registry/app'],
    ['127.0.0.1:80/a/b', '127.0.0.1:80', 'a/b', undefined, undefined, '127.0.0.1:80/a/b'],
    ['[::1]:5000/a', '[::1]:5000', 'a', undefined, undefined, '[::1]:5000/a'],
    ['[fe80::1]/a:t', '[fe80::1]', 'a', 't', undefined, '[fe80::1]/a:t'],
    ['xn--bcher-kva.test/a', 'xn--bcher-kva.test', 'a', undefined, undefined, 'xn--bcher-kva.test/a'],
    ['a__b/c---d/e.f', 'docker.io', 'a__b/c---d/e.f', undefined, undefined, 'a__b/c---d/e.f'],
    ['a:Tag_1.2-X', 'docker.io', 'library/a', 'Tag_1.2-X', undefined, 'a:Tag_1.2-X'],
    ['abcdef', 'docker.io', 'library/abcdef', undefined, undefined, 'abcdef'],
  ])('%s', (text, registry, repository, tag, digest, familiar) => {
    const reference = parseReference(text);
    expect(reference).toEqual({ registry, repository, ...(tag && { tag }), ...(digest && { digest }) });
    expect(familiarReference(reference)).toBe(familiar);
    expect(parseReference(formatReference(reference))).toEqual(reference);
    expect(parseReference(familiarReference(reference))).toEqual(reference);
  });

  test.each([
    ['', 'empty'],
    ['Alpine', 'lower case'],
    ['ghcr.io/Team/app', 'lower case'],
    ['https://ghcr.io/team/app', 'URL scheme'],
    ['team//app', 'empty'],
    ['/app', 'empty'],
    ['app/', 'empty'],
    ['a..b', '"a..b" is not a repository name'],
    ['a___b', 'not a repository name'],
    ['-a', 'not a repository name'],
    ['a-', 'not a repository name'],
    ['a b', 'not a repository name'],
    ['app:', 'tag after ":" is empty'],
    ['app:-x', '"-x" is not a tag'],
    [`app:${'x'.repeat(129)}`, 'not a tag'],
    ['app:a/b', 'not a registry host'],
    ['app@', 'not a digest'],
    ['app@sha256:abc', 'not a digest'],
    [`app@sha256:${'AB01'.repeat(16)}`, 'not a digest'],
    [`app@sha512:${'ab01'.repeat(32)}`, 'type sha512 are not supported'],
    [`app@${DIGEST}:tag`, 'not a digest'],
    ['ab01'.repeat(16), 'bare image ID'],
    ['-bad.test/app', '"-bad.test" is not a registry host'],
    ['host:port/app', 'not a registry host'],
    ['[::1/app', 'not a registry host'],
    ['a'.repeat(256), '256 characters'],
    ['a/'.repeat(600), 'longer than 1024'],
    ['ghcr.io/', 'empty'],
    ['app\n', 'not a repository name'],
    ['${VERSION}', 'lower case'],
  ])('%j is refused', (text, reason) => {
    const error = (() => {
      try {
        parseReference(text);
      } catch (thrown) {
        return thrown;
      }
      return undefined;
    })();
    expect(error).toBeInstanceOf(BuildError);
    expect(error).toMatchObject({ code: 'IMAGE_INVALID_REFERENCE' });
    expect((error as BuildError).message).toContain(reason);
    expect((error as BuildError).suggestions.length).toBeGreaterThan(0);
  });

  test('never does anything but parse, or refuse with a BuildError', () => {
    const part = fc.stringMatching(/^[a-zA-Z0-9:/@.\-_[\]]{0,40}$/);
    fc.assert(
      fc.property(part, (text) => {
        try {
          const reference = parseReference(text);
          expect(parseReference(formatReference(reference))).toEqual(reference);
          expect(parseReference(familiarReference(reference))).toEqual(reference);
        } catch (error) {
          expect(error).toBeInstanceOf(BuildError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('of the longest repository is taken', () => {
    expect(parseReference(`ghcr.io/${'a'.repeat(255)}`).repository).toHaveLength(255);
  });

  test('that would read as a host when shortened keeps its docker.io', () => {
    const reference = { registry: 'docker.io', repository: 'localhost/app' };
    expect(familiarName(reference)).toBe('docker.io/localhost/app');
    expect(parseReference('docker.io/localhost/app')).toEqual(reference);
  });

  test('gets the tag latest only when it has neither tag nor digest', () => {
    expect(withDefaultTag(parseReference('a')).tag).toBe('latest');
    expect(withDefaultTag(parseReference('a:1')).tag).toBe('1');
    expect(withDefaultTag(parseReference(`a@${DIGEST}`)).tag).toBeUndefined();
  });

  test('asks the registry for its digest before its tag', () => {
    expect(manifestName(parseReference(`a:1@${DIGEST}`))).toBe(DIGEST);
    expect(manifestName(parseReference('a:1'))).toBe('1');
    expect(manifestName(parseReference('a'))).toBe('latest');
  });

  test('names the same repository under other tags', () => {
    expect(sameRepository(parseReference('alpine:1'), parseReference('docker.io/library/alpine'))).toBe(true);
    expect(sameRepository(parseReference('ghcr.io/a'), parseReference('quay.io/a'))).toBe(false);
  });
});
