import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const AREAS = readFileSync(join(ROOT, 'src/errors.ts'), 'utf8')
  .match(/type ErrorArea =([^;]+);/)?.[1]
  ?.match(/[A-Z_]+/g);

/** Every quoted word of src/ that has the form of an error code. */
function codesOfTheSource(): string[] {
  if (!AREAS) throw new Error('src/errors.ts no longer lists the areas of error codes');
  const code = new RegExp(`['"\`]((?:${AREAS.join('|')})_[A-Z0-9_]*[A-Z0-9])['"\`]`, 'g');
  const found = new Set<string>();
  for (const name of readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    for (const match of readFileSync(join(ROOT, 'src', name), 'utf8').matchAll(code))
      found.add(match[1] ?? '');
  }
  return [...found].sort();
}

const DOCUMENTED = [
  ...readFileSync(join(ROOT, 'docs/errors.md'), 'utf8').matchAll(/^\| `([A-Z0-9_]+)` \|/gm),
].map((match) => match[1] ?? '');

test('every error code of the source has an entry in docs/errors.md', () => {
  const missing = codesOfTheSource().filter((code) => !DOCUMENTED.includes(code));
  expect(missing).toEqual([]);
});

test('docs/errors.md speaks of no code that is gone, and of none twice', () => {
  const codes = codesOfTheSource();
  expect(DOCUMENTED.filter((code) => !codes.includes(code))).toEqual([]);
  expect(DOCUMENTED.filter((code, index) => DOCUMENTED.indexOf(code) !== index)).toEqual([]);
});
