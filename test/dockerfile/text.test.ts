import { describe, expect, it } from 'vitest';
import { parseDuration } from '../../src/dockerfile/duration.ts';
import { stripLeadingTabs } from '../../src/dockerfile/heredoc.ts';
import { nearestWord } from '../../src/dockerfile/suggest.ts';
import { isSpace, parseBool, quote, trimSpace } from '../../src/dockerfile/text.ts';

describe('text as Go reads it', () => {
  it('spaces', () => {
    for (const character of '\t\n\v\f\r \u0085\u00a0\u2003\u3000') expect(isSpace(character)).toBe(true);
    for (const character of ['\ufeff', '\u200b', 'a', '']) expect(isSpace(character)).toBe(false);
    expect(trimSpace('\u0085 a b \u00a0')).toBe('a b');
    expect(trimSpace('\ufeffa')).toBe('\ufeffa');
  });

  it.each([
    ['', '""'],
    ['a "b" \\', '"a \\"b\\" \\\\"'],
    ['\n\t\x07\x00\x7f', '"\\n\\t\\a\\x00\\x7f"'],
    ['é 𝒳', '"é 𝒳"'],
    ['\u00a0\u200b', '"\\u00a0\\u200b"'],
    ['\u{e0001}', '"\\U000e0001"'],
  ])('quote(%j) is %s', (text, quoted) => {
    expect(quote(text)).toBe(quoted);
  });

  it.each([
    ['1', true],
    ['T', true],
    ['True', true],
    ['FALSE', false],
    ['f', false],
    ['0', false],
    ['yes', undefined],
    ['tRUE', undefined],
    ['', undefined],
  ])('parseBool(%j) is %s', (text, value) => {
    expect(parseBool(text)).toBe(value);
  });

  it('takes tabs only from the start of lines', () => {
    expect(stripLeadingTabs('\t\ta\tb\n \tc\n\t\n\td')).toBe('a\tb\n \tc\n\nd');
  });
});

describe('parseDuration', () => {
  it.each([
    ['0', 0],
    ['+0', 0],
    ['1ns', 1],
    ['1.5us', 1500],
    ['2µs', 2000],
    ['3ms', 3e6],
    ['1h2m3.5s', 3723.5e9],
    ['.5s', 0.5e9],
    ['5.s', 5e9],
    ['-1m', -60e9],
  ])('%s is %d ns', (text, nanoseconds) => {
    expect(parseDuration(text)).toBe(nanoseconds);
  });

  it.each([
    ['', 'time: invalid duration ""'],
    ['-', 'time: invalid duration "-"'],
    ['.', 'time: invalid duration "."'],
    ['.s', 'time: invalid duration ".s"'],
    ['s', 'time: invalid duration "s"'],
    ['1', 'time: missing unit in duration "1"'],
    ['1h2', 'time: missing unit in duration "1h2"'],
    ['1d', 'time: unknown unit "d" in duration "1d"'],
    ['1 s', 'time: unknown unit " s" in duration "1 s"'],
    ['3000000h', 'time: invalid duration "3000000h"'],
  ])('%s: %s', (text, message) => {
    expect(() => parseDuration(text)).toThrow(message);
  });
});

describe('nearestWord', () => {
  it.each([
    ['form', ['from', 'chown'], 'from'],
    ['chwon', ['from', 'chown'], 'chown'],
    ['xyz', ['from', 'chown'], undefined],
    ['from', ['form', 'from'], undefined],
    ['ab', ['ac', 'aa'], 'ac'],
    ['', ['ab'], 'ab'],
    ['', ['abc'], undefined],
    ['kitten', ['sitting', 'mitten'], 'mitten'],
    ['RUNN', ['RUN'], 'RUN'],
    ['runn', ['RUN'], undefined],
    ['a', [], undefined],
  ])('%s among %j is %s', (word, options, near) => {
    expect(nearestWord(word, options)).toBe(near);
  });

  it.each([
    ['runn', 'run'],
    ['RUNN', 'RUN'],
    ['Runn', 'run'],
    ['run', undefined],
  ])('%s without case is %s', (word, near) => {
    expect(nearestWord(word, ['RUN', 'COPY'], { ignoreCase: true })).toBe(near);
  });
});
