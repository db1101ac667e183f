import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compileGlob,
  compileIgnorePattern,
  hasWildcard,
  matchPath,
  splitWildcard,
} from '../../src/dockerfile/glob.ts';
import { cleanPath, IgnoreMatcher, type IgnoreState, parseIgnoreFile } from '../../src/dockerfile/ignore.ts';
import { errorOf } from './read.ts';

describe('parseIgnoreFile', () => {
  it.each([
    ['', []],
    ['\ufeffa\n', ['a']],
    ['# c\na\r\n  # not a comment \n', ['a', '# not a comment']],
    [' a \t\n\n \nb', ['a', 'b']],
    ['/a\n//b/\n./c\nd/../e\nf//g', ['a', 'b', 'c', 'e', 'f/g']],
    ['/', ['/']],
    ['.', ['.']],
    ['../a', ['../a']],
    ['!a\n! b\n!/c/', ['!a', '!b', '!c']],
    ['!\n!/', ['!', '!/']],
    ['\\#a', ['\\#a']],
  ])('%j gives %j', (text, patterns) => {
    expect(parseIgnoreFile(text)).toEqual(patterns);
  });
});

describe('cleanPath', () => {
  it.each([
    ['', '.'],
    ['/', '/'],
    ['a/', 'a'],
    ['a/./b//c', 'a/b/c'],
    ['a/../..', '..'],
    ['/../a', '/a'],
    ['../../a/..', '../..'],
  ])('%j is %j', (path, clean) => {
    expect(cleanPath(path)).toBe(clean);
  });
});

describe('IgnoreMatcher', () => {
  it.each([
    [['node_modules'], 'node_modules', true],
    [['node_modules'], 'node_modules/a/b', true],
    [['node_modules'], 'x/node_modules', false],
    [['*.md'], 'a.md', true],
    [['*.md'], 'x/a.md', false],
    [['**/*.md'], 'x/y/a.md', true],
    [['**/*.md'], 'a.md', true],
    [['*'], 'a/b', true],
    [['*', '!src'], 'src/a', false],
    [['*', '!src'], 'srcs', true],
    [['foo', '!foo/bar/baz'], 'foo/bar/baz', false],
    [['foo', '!foo/bar/baz'], 'foo/bar/qux', true],
    [['foo', '!foo/bar', 'foo/bar/x'], 'foo/bar/x', true],
    [['foo/x', '!foo'], 'foo/x', false],
    [['!a', 'a'], 'a', true],
    [['a', '!a', 'a'], 'a', true],
    [['doc/**'], 'doc', false],
    [['doc/**'], 'doc/a', true],
    [['doc/**'], 'doc/a/b', true],
    [['doc'], 'doc', true],
    [['a/**/b'], 'a/b', true],
    [['a/**/b'], 'a/x/y/b', true],
    [['a/**/b'], 'a/xb', false],
    [['**'], 'a', true],
    [['**/foo'], 'foo', true],
    [['**/foo'], 'a/foo', true],
    [['**/foo'], 'a/xfoo', false],
    [['**foo'], 'a/xfoo', true],
    [['**/fo?'], 'a/xfoo', false],
    [['foo**'], 'foobar/x', true],
    [['a?c'], 'abc', true],
    [['a?c'], 'a/c', false],
    [['[a-c]x'], 'bx', true],
    [['[^a-c]x'], 'bx', false],
    [['[^a-c]x'], 'dx', true],
    [['[!a]x'], '!x', true],
    [['[!a]x'], 'bx', false],
    [['c++'], 'c++', true],
    [['a+b(c){d}|e$^.txt'], 'a+b(c){d}|e$^.txt', true],
    [['a.c*'], 'abc', false],
    [['{a,b}'], 'a', false],
    [['a\\*'], 'a*', true],
    [['a\\*'], 'ab', false],
    [['\\!a'], '!a', true],
    [['A'], 'a', false],
    [['a b'], 'a b', true],
    [['ü*'], 'üx/y', true],
    [['?'], '𝒳', true],
    [['./a/../b/'], 'b', true],
    [['.'], 'a', false],
    [['/a'], 'a', false],
    [[''], 'a', false],
    [['*'], '.', false],
    [['*'], '', false],
  ])('%j on %j is %s', (patterns, path, excluded) => {
    expect(new IgnoreMatcher(patterns).excludes(path)).toBe(excluded);
  });

  it.each(['!', '!/', '[', 'a[', '[]', '[]a]', '[a-]', '[-a]', '[^]', '[a', 'a\\', '![', '**/[', '[a\\'])(
    'refuses %j',
    (pattern) => {
      const error = errorOf(() => new IgnoreMatcher([pattern]));
      expect(error.code).toBe('CONTEXT_PATTERN');
      expect(error.message).toMatch(/^(syntax error in pattern: |illegal exclusion pattern: "!")/);
    },
  );

  it('knows whether it does anything', () => {
    expect(new IgnoreMatcher([]).isEmpty).toBe(true);
    expect(new IgnoreMatcher(['a'])).toMatchObject({ isEmpty: false, hasExceptions: false });
    expect(new IgnoreMatcher(['a', '!b']).hasExceptions).toBe(true);
  });

  it.each([
    [['*', '!src'], 'src', false],
    [['*', '!src'], '', true],
    [['*', '!src'], 'lib', false],
    [['a', '!a/b/c'], 'a', true],
    [['a', '!a/b/c'], 'a/b', true],
    [['a', '!a/b/c'], 'a/x', false],
    [['a', '!*/b'], 'a', true],
    [['a', '!*/b'], 'a/b', false],
    [['a', '!**/b'], 'a/x/y', true],
    [['a', '!a/**'], 'a/x', true],
    [['a', '!x/**'], 'a', false],
    [['a', '![ab]x'], 'a/b', true],
    [['a', '!a\\/b'], 'a', true],
    [['a'], 'a', false],
  ])('%j below %j can keep something: %s', (patterns, directory, can) => {
    expect(new IgnoreMatcher(patterns).canContainException(directory)).toBe(can);
  });
});

/** Does a simple pattern of literal, `*`, `?` and whole `**` parts match? Straight from the documented rules. */
function partMatches(pattern: string, name: string): boolean {
  if (pattern === '') return name === '';
  if (pattern[0] === '*') {
    return partMatches(pattern.slice(1), name) || (name !== '' && partMatches(pattern, name.slice(1)));
  }
  return (
    name !== '' &&
    (pattern[0] === '?' || pattern[0] === name[0]) &&
    partMatches(pattern.slice(1), name.slice(1))
  );
}

function partsMatch(pattern: readonly string[], path: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return path.length === 0;
  if (first === '**') {
    if (rest.length === 0) return path.length > 0;
    return path.some((_, skip) => partsMatch(rest, path.slice(skip)));
  }
  const [name, ...below] = path;
  return name !== undefined && partMatches(first, name) && partsMatch(rest, below);
}

/** The rule of the documentation: the last pattern that matches the path or a parent decides. */
function oracle(patterns: readonly string[], path: string): boolean {
  const names = path.split('/');
  const self = names.map((_, index) => names.slice(0, index + 1));
  const last = patterns.findLast((pattern) => {
    const parts = pattern.replace(/^!/, '').split('/');
    return self.some((prefix) => partsMatch(parts, prefix));
  });
  return last !== undefined && !last.startsWith('!');
}

describe('properties of IgnoreMatcher', () => {
  const part = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'ab', '*', 'a*', '?', '*b') },
    { weight: 1, arbitrary: fc.constant('**') },
  );
  const pattern = fc
    .tuple(fc.boolean(), fc.array(part, { minLength: 1, maxLength: 3 }))
    // Several ** in a row, or ** before a wildcard at the end, have quirks that the tables above hold.
    .filter(([, parts]) => parts.filter((text) => text === '**').length < 2)
    .map(([isException, parts]) => (isException ? '!' : '') + parts.join('/'));
  const patterns = fc.array(pattern, { maxLength: 5 });
  const path = fc
    .array(fc.constantFrom('a', 'b', 'ab', 'ba'), { minLength: 1, maxLength: 4 })
    .map((names) => names.join('/'));

  it('decides as the documentation says', () => {
    fc.assert(
      fc.property(patterns, path, (rules, name) => {
        expect(new IgnoreMatcher(rules).excludes(name)).toBe(oracle(rules, name));
      }),
      { numRuns: 5000 },
    );
  });

  it('decides the same on a walk', () => {
    fc.assert(
      fc.property(patterns, path, (rules, name) => {
        const matcher = new IgnoreMatcher(rules);
        const names = name.split('/');
        let state: IgnoreState | undefined;
        for (const index of names.keys()) {
          const here = names.slice(0, index + 1).join('/');
          const step = matcher.descend(state, here);
          expect(step.excluded).toBe(matcher.excludes(here));
          expect(matcher.excludesChild(state, here)).toBe(step.excluded);
          state = step.state;
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('never prunes a directory with something to keep below it', () => {
    fc.assert(
      fc.property(patterns, path, path, (rules, directory, below) => {
        const matcher = new IgnoreMatcher(rules);
        fc.pre(matcher.excludes(directory) && !matcher.canContainException(directory));
        expect(matcher.excludes(`${directory}/${below}`)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('globs', () => {
  it.each([
    ['abc', 'abc', true],
    ['*', 'abc', true],
    ['*', '', true],
    ['*c', 'abc', true],
    ['a*', 'a', true],
    ['a*', 'ab/c', false],
    ['a*/b', 'abc/b', true],
    ['a*/b', 'a/c/b', false],
    ['a*b*c*d*e*/f', 'axbxcxdxe/f', true],
    ['a*b?c*x', 'abxbbxdbxebxczzx', true],
    ['**', 'a', true],
    ['**', 'a/b', false],
    ['a?b', 'a☺b', true],
    ['a???b', 'a☺b', false],
    ['a?b', 'a/b', false],
    ['ab[c]', 'abc', true],
    ['ab[b-d]', 'abc', true],
    ['ab[e-g]', 'abc', false],
    ['ab[^c]', 'abc', false],
    ['ab[^e-g]', 'abc', true],
    ['[a-ζ]*', 'α', true],
    ['*[a-ζ]', 'A', false],
    ['[z-a]', 'b', false],
    ['[^z-a]', 'b', true],
    ['[\\]a]', ']', true],
    ['[\\-]', '-', true],
    ['[x\\-]', 'z', false],
    ['[*]', '*', true],
    ['[*]', 'a', false],
    ['a\\*b', 'ab', false],
    ['a\\*b', 'a*b', true],
    ['.c', 'xc', false],
    ['(a)|^$', '(a)|^$', true],
  ])('matchPath(%j, %j) is %s', (pattern, name, matches) => {
    expect(matchPath(pattern, name)).toBe(matches);
  });

  it.each(['[', '[]a]', '[^', '[^bc', '[a-', '[-x]', '[x-]', 'a[', 'a\\', '[a-b-c]', 'x*['])(
    'refuses %j',
    (pattern) => {
      expect(errorOf(() => compileGlob(pattern)).message).toBe(`syntax error in pattern: ${pattern}`);
      expect(errorOf(() => compileIgnorePattern(pattern)).code).toBe('CONTEXT_PATTERN');
    },
  );

  it('agrees with plain recursion', () => {
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?', '/'), maxLength: 6 });
    const name = fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 6 });
    fc.assert(
      fc.property(pattern, name, (glob, text) => {
        const parts = glob.split('/');
        const names = text.split('/');
        const expected =
          parts.length === names.length &&
          parts.every((part, index) => partMatches(part, names[index] ?? ''));
        expect(matchPath(glob, text)).toBe(expected);
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    ['a/b', false],
    ['a/*', true],
    ['a?', true],
    ['[a]', true],
    ['a\\*', false],
    ['a\\\\*', true],
  ])('hasWildcard(%j) is %s', (path, has) => {
    expect(hasWildcard(path)).toBe(has);
  });

  it.each([
    ['a/b', 'a/b', undefined],
    ['a/b*/c', 'a', 'b*/c'],
    ['*', '', '*'],
    ['/a/*', '/a', '*'],
    ['a\\*/b', 'a\\*/b', undefined],
  ])('splitWildcard(%j)', (path, base, pattern) => {
    expect(splitWildcard(path)).toEqual({ base, pattern });
  });
});
