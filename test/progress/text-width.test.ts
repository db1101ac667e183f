import { createRequire } from 'node:module';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { clip, padded, rowsTaken, textWidth } from '../../src/progress/text-width.ts';

// ora's own measure, the best one there is: found through ora, for kiln does not depend on it.
const MEASURE = 'string-width';
let stringWidth: (text: string) => number;
beforeAll(async () => {
  const require = createRequire(createRequire(import.meta.url).resolve('ora'));
  stringWidth = (await import(require.resolve(MEASURE))).default;
});

const clean = fc.string({ unit: 'grapheme' }).map((text) => text.replace(/[\p{Cc}\p{Cs}]/gu, ''));

describe('the width of text', () => {
  it.each([
    ['', 0],
    ['plain', 5],
    ['漢字', 4],
    ['한국', 4],
    ['カタカナ', 8],
    ['ｶﾀｶﾅ', 4],
    ['Ａ', 2],
    ['e\u0301', 1],
    ['👍', 2],
    ['⠹ ✔ …', 5],
    ['ñ é ü ß Ж ع', 11],
  ])('of %j is %i', (text, width) => {
    expect(textWidth(text)).toBe(width);
  });

  it('is never less than what a careful measure says', () => {
    fc.assert(
      fc.property(clean, (text) => {
        expect(textWidth(text)).toBeGreaterThanOrEqual(stringWidth(text));
      }),
      { numRuns: 500 },
    );
    const narrow: string[] = [];
    // Beyond the small blocks come Han, Hangul and Tangut by the ten thousand: every seventh will do.
    for (let code = 0x20; code < 0x20000; code += code < 0x3400 ? 1 : 7) {
      const character = String.fromCodePoint(code);
      if (/[\p{Cc}\p{Cs}]/u.test(character)) continue;
      if (textWidth(character) < stringWidth(character)) narrow.push(code.toString(16));
    }
    expect(narrow).toEqual([]);
  });
});

describe('wrapping text', () => {
  it.each([
    ['', 10, 1],
    ['0123456789', 10, 1],
    ['0123456789a', 10, 2],
    ['漢字漢字漢', 10, 1],
    ['漢字漢字漢', 9, 2],
    ['漢字漢字漢字漢字', 7, 3],
  ])('of %j at %i columns takes %i rows', (text, columns, rows) => {
    expect(rowsTaken(text, columns)).toBe(rows);
  });
});

describe('cutting text', () => {
  it('keeps what fits', () => {
    expect(clip('abc', 3)).toBe('abc');
    expect(clip('abcd', 3)).toBe('ab…');
    expect(clip('漢字漢字', 6)).toBe('漢字…');
    expect(clip('漢字漢字', 4)).toBe('漢…');
    expect(clip('abc', 0)).toBe('');
  });

  it('never gives more than the width, and all of it when filled up', () => {
    fc.assert(
      fc.property(clean, fc.nat(40), (text, width) => {
        expect(textWidth(clip(text, width))).toBeLessThanOrEqual(width);
        expect(textWidth(padded(text, width))).toBe(width);
      }),
    );
  });
});
