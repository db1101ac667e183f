import { describe, expect, test } from 'vitest';
import {
  type GitRef,
  gitRefOf,
  isGitContext,
  isGitSource,
  isHttpSource,
  parseGitRef,
} from '../../src/dockerfile/remote-source.ts';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';

test.each([
  ['https://h/o/r.git', 'git'],
  ['https://h/o/r.git#v1', 'git'],
  ['https://h/o/r.git?tag=v1', 'git'],
  ['https://h/o/r', 'http'],
  ['https://h/o/r.git/x', 'http'],
  ['http://h/f?x=r.git', 'http'],
  ['git://h/r', 'git'],
  ['ssh://git@h:2222/r', 'git'],
  ['git@h:o/r.git', 'git'],
  ['git@h:o/r.git#v1:dir', 'git'],
  ['user_1@h-1.example:r', 'git'],
  ['github.com/o/r', 'context'],
  ['github.com/o', 'path'],
  ['./git@h:r', 'path'],
  ['a/b@c', 'path'],
  ['file', 'path'],
])('%s is a %s', (source, kind) => {
  expect(isGitSource(source)).toBe(kind === 'git');
  expect(isHttpSource(source)).toBe(kind === 'http');
  expect(isGitContext(source)).toBe(kind === 'git' || kind === 'context');
});

describe('an address of a repository', () => {
  test.each<readonly [string, Partial<GitRef>]>([
    ['https://h/r.git', { remote: 'https://h/r.git' }],
    ['https://h/r.git#', { remote: 'https://h/r.git' }],
    ['https://h/r.git#v1', { ref: 'v1' }],
    ['https://h/r.git#v1:a/b', { ref: 'v1', subdir: 'a/b' }],
    ['https://h/r.git#:a', { subdir: 'a' }],
    ['https://h/r.git#refs/pull/1/head', { ref: 'refs/pull/1/head' }],
    ['git@h:o/r.git#v1:dir', { remote: 'git@h:o/r.git', ref: 'v1', subdir: 'dir' }],
    ['git@h:o/r.git?branch=b', { remote: 'git@h:o/r.git', ref: 'refs/heads/b' }],
    ['ssh://git@h:22/r.git?ref=x', { remote: 'ssh://git@h:22/r.git', ref: 'x' }],
    ['github.com/o/r#b', { remote: 'https://github.com/o/r', ref: 'b' }],
    ['https://h/r.git?branch=b', { ref: 'refs/heads/b' }],
    ['https://h/r.git?branch=refs/heads/b', { ref: 'refs/heads/b' }],
    ['https://h/r.git?tag=t', { ref: 'refs/tags/t' }],
    ['https://h/r.git?tag=refs/tags/t#refs/tags/t', { ref: 'refs/tags/t' }],
    ['https://h/r.git?ref=x#x', { ref: 'x' }],
    ['https://h/r.git?subdir=a/b', { subdir: 'a/b' }],
    [`https://h/r.git?checksum=${COMMIT}`, { ref: COMMIT, checksum: COMMIT }],
    [`https://h/r.git?commit=${COMMIT}`, { ref: COMMIT, checksum: COMMIT }],
    [`https://h/r.git?tag=t&checksum=0123`, { ref: 'refs/tags/t', checksum: '0123' }],
    ['https://h/r.git?keep-git-dir', { keepGitDir: true }],
    ['https://h/r.git?keep-git-dir=0', { keepGitDir: false }],
    ['https://h/r.git?submodules=false', { submodules: false }],
    ['https://h/r.git?submodules', { submodules: true }],
    ['https://h/r.git?tag=a%2Fb', { ref: 'refs/tags/a/b' }],
  ])('%s', (address, parts) => {
    expect(parseGitRef(address)).toMatchObject(parts);
    const given = Object.entries(parseGitRef(address)).filter(([, value]) => value !== undefined);
    expect(given.map(([name]) => name).sort()).toEqual(
      [...new Set(['remote', ...Object.keys(parts)])].sort(),
    );
  });

  test.each([
    ['https://h/r.git?nope=1', 'unexpected query "nope"'],
    ['https://h/r.git?ref=a&ref=b', 'query "ref" has multiple values'],
    ['https://h/r.git?ref=', 'query "ref" has no value'],
    ['https://h/r.git?ref=a#b', 'ref conflicts: "b" vs "a"'],
    ['https://h/r.git?ref=a&tag=a', 'ref conflicts: "a" vs "refs/tags/a"'],
    ['https://h/r.git?tag=a&branch=b', 'branch conflicts with tag'],
    ['https://h/r.git?subdir=a#:b', 'subdir conflicts: "b" vs "a"'],
    ['https://h/r.git?keep-git-dir=maybe', 'invalid keep-git-dir value: "maybe"'],
    ['https://h/r.git?submodules=2', 'invalid submodules value: "2"'],
  ])('%s is refused', (address, message) => {
    expect(() => parseGitRef(address)).toThrow(message);
  });

  test('flags of ADD go before it', () => {
    const address = 'https://h/r.git?keep-git-dir&checksum=aa';
    expect(gitRefOf(address, {})).toMatchObject({ keepGitDir: true, checksum: 'aa' });
    expect(gitRefOf(address, { keepGitDir: false, checksum: 'bb' })).toMatchObject({
      keepGitDir: false,
      checksum: 'bb',
    });
  });
});
