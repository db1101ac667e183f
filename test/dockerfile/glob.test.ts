/** Patterns of COPY and clean paths, fuzzed against small readings of the same rules. */
import { posix } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matchPath } from '../../src/dockerfile/glob.ts';
import { cleanPath } from '../../src/plan/stage-state.ts';

/** Go's filepath.Match for "*", "?" and plain characters, by recursion over the pattern. */
function matches(pattern: string, name: string): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return name === '';
  const after = rest.join('');
  if (first === '*')
    return matches(after, name) || (name !== '' && name[0] !== '/' && matches(pattern, name.slice(1)));
  if (first === '?') return name !== '' && name[0] !== '/' && matches(after, name.slice(1));
  return name[0] === first && matches(after, name.slice(1));
}

const text = (letters: string[]) =>
  fc.array(fc.constantFrom(...letters), { maxLength: 8 }).map((all) => all.join(''));

test('a wildcard stands for what it says, and never for a slash', () => {
  fc.assert(
    fc.property(text(['a', 'b', '/', '*', '?', '.']), text(['a', 'b', '/', '.']), (pattern, name) => {
      expect(matchPath(pattern, name)).toBe(matches(pattern, name));
    }),
    { numRuns: 2000 },
  );
});

test('a clean path is what POSIX makes of it, and "/." at the end keeps saying directory', () => {
  fc.assert(
    fc.property(text(['a', 'b', '/', '.', '..', '/']), (tail) => {
      const plain = posix.normalize(`/${tail}`).replace(/(.)\/+$/, '$1');
      expect(cleanPath(`/${tail}`).replace(/(.)\/$/, '$1')).toBe(plain);
      expect(cleanPath(`/${tail}/.`).endsWith('/')).toBe(true);
    }),
    { numRuns: 2000 },
  );
});
