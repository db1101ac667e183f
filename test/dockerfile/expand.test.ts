import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ExpandOptions, expandWord, expandWords } from '../../src/dockerfile/expand.ts';
import { BuildError } from '../../src/errors.ts';

const VARIABLES = new Map([
  ['PWD', '/home'],
  ['SHELL', 'bash'],
  ['KOREAN', '한국어'],
  ['NULL', ''],
  ['FOO', 'xxyy'],
  ['SPACES', 'a  b'],
]);
const BACKSLASH: ExpandOptions = { escape: '\\' };

function textOf(word: string, options = BACKSLASH): string {
  return expandWord(word, VARIABLES, options).text;
}

function failureOf(word: string, variables: ReadonlyMap<string, string> = VARIABLES): BuildError {
  try {
    const { text } = expandWord(word, variables, BACKSLASH);
    throw new Error(`expanded to ${text}`);
  } catch (error) {
    if (error instanceof BuildError) return error;
    throw error;
  }
}

describe('quotes and escapes', () => {
  it.each([
    ['', ''],
    ['hello', 'hello'],
    ['he"llo"', 'hello'],
    ["he'llo'", 'hello'],
    ["'hello'", 'hello'],
    ["'he\\'llo'x'", 'he\\llox'],
    ['he\\llo', 'hello'],
    ['he\\\\llo', 'he\\llo'],
    ["he\\'llo", "he'llo"],
    ['\\"quoted\\"', '"quoted"'],
    ['"a\\nb"', 'a\\nb'],
    ['a\\nb', 'anb'],
    ['"\\"\\$\\\\\\a"', '"$\\\\a'],
    ["'single $PWD'", 'single $PWD'],
    ['"double $PWD"', 'double /home'],
    ["abc\\tdef.'\\t'", 'abctdef.\\t'],
    ['a\\', 'a'],
    ["'$'hello'x'", '$hellox'],
    ['"\'"', "'"],
    ["'\"'", '"'],
  ])('%s gives %s', (word, text) => {
    expect(textOf(word)).toBe(text);
  });

  it.each([
    ['\\$PWD', '\\/home'],
    ['`$PWD', '$PWD'],
    ['"`n"', '`n'],
    ['"`$PWD"', '$PWD'],
    ['C:\\out', 'C:\\out'],
    ['a``b', 'a`b'],
  ])('with the backtick %s gives %s', (word, text) => {
    expect(textOf(word, { escape: '`' })).toBe(text);
  });

  it.each([
    ['it\'s "$PWD"', 'it\'s "/home"'],
    ["'$PWD'", "'/home'"],
    ['printf "a\\nb"', 'printf "anb"'],
    ['\\$PWD', '$PWD'],
    ['line $NULL\nnext ${UNSET}\n', 'line \nnext \n'],
  ])('in a heredoc body %s gives %s', (word, text) => {
    expect(textOf(word, { escape: '\\', keepQuotes: true })).toBe(text);
  });

  it.each([
    ['\'a\' "b" \\c', { rawQuotes: true }, '\'a\' "b" c'],
    ["'a' \\c", { rawEscapes: true }, 'a \\c'],
    ['"\\a\\""', { rawEscapes: true }, '\\\\a\\"'],
    ['$PWD $X ${X} ${X:-d} ${X#p} ${X//a/b}', { keepUnset: true }, '/home $X ${X} ${X:-d} ${X#p} ${X//a/b}'],
    ['${X-\\a}', { keepUnset: true, rawEscapes: true }, '${X-a}'],
  ] as const)('raw variant of %s', (word, options, text) => {
    expect(textOf(word, { escape: '\\', ...options })).toBe(text);
  });
});

describe('variables', () => {
  it.each([
    ['$PWD', '/home'],
    ['he$PWD.', 'he/home.'],
    ['he${PWD}llo', 'he/homello'],
    ['$PWDx', ''],
    ['$', '$'],
    ['a$', 'a$'],
    ['$.', '$.'],
    ['he$1x', 'hex'],
    ['he$12xx', 'hexx'],
    ['he$@x', 'hex'],
    ['he$*x', 'hex'],
    ['$$x', 'x'],
    ['${!}', ''],
    ['he$한글x', 'he'],
    ['he$KOREAN', 'he한국어'],
    ['he\\$PWD', 'he$PWD'],
    ['he\\\\$PWD', 'he\\/home'],
    ['"$PWD:$SHELL"', '/home:bash'],
    ['${PWD}/a${NULL}b', '/home/ab'],
    ['$SPACES', 'a  b'],
  ])('%s gives %s', (word, text) => {
    expect(textOf(word)).toBe(text);
  });

  it.each([
    ['${UNSET:-d}', 'd'],
    ['${UNSET-d}', 'd'],
    ['${NULL:-d}', 'd'],
    ['${NULL-d}', ''],
    ['${PWD:-d}', '/home'],
    ['${UNSET:+d}', ''],
    ['${UNSET+d}', ''],
    ['${NULL:+d}', ''],
    ['${NULL+d}', 'd'],
    ['${PWD:+d}', 'd'],
    ['${PWD:?e}', '/home'],
    ['${NULL?e}', ''],
    ['${UNSET:-${PWD}}', '/home'],
    ['${UNSET:-$PWD}/x', '/home/x'],
    ['${UNSET:-"a b"}', 'a b'],
    ["${UNSET:-'$PWD'}", '$PWD'],
    ['${UNSET:-\\}}', '}'],
    ['${UNSET:-a:b}', 'a:b'],
    ['${PWD:+${SHELL:+x}y}', 'xy'],
  ])('default and alternative: %s gives %s', (word, text) => {
    expect(textOf(word)).toBe(text);
  });

  it.each([
    ['${FOO#x}', 'xyy'],
    ['${FOO#*x}', 'xyy'],
    ['${FOO##*x}', 'yy'],
    ['${FOO#*}', 'xxyy'],
    ['${FOO##*}', ''],
    ['${FOO#?}', 'xyy'],
    ['${FOO#}', 'xxyy'],
    ['${FOO#y}', 'xxyy'],
    ['${FOO%y}', 'xxy'],
    ['${FOO%y*}', 'xxy'],
    ['${FOO%%y*}', 'xx'],
    ['${FOO%%*}', ''],
    ['${FOO%}', 'xxyy'],
    ['${PWD#/}', 'home'],
    ['${PWD%$UNSET}', '/home'],
    ['${UNSET#x}', ''],
    ['${FOO/x/.}', '.xyy'],
    ['${FOO//x/.}', '..yy'],
    ['${FOO/x*/.}', '.'],
    ['${FOO//*/.}', '.'],
    ['${FOO///}', 'xxyy'],
    ['${FOO/y/}', 'xxy'],
    ['${PWD//\\//_}', '_home'],
    ['${UNSET//a/b}', ''],
    ['${KOREAN%?}', '한국'],
    ['${KOREAN#?}', '국어'],
  ])('patterns: %s gives %s', (word, text) => {
    expect(textOf(word)).toBe(text);
  });

  it.each([
    ['${V#()[]{\\}^$.\\*\\?|\\\\}', '()[]{}^$.*?|\\x', 'x'],
    ['${V%%\\**}', 'xx**', 'xx'],
    ['${V%%\\**\\*}', 'a***yy*', 'a'],
    ['${V#?\\?}', '???y', '?y'],
    ['${V#*x*y}', 'xxyy', 'y'],
    ['${V//\\//\\/}', '/tmp/foo.txt', '\\/tmp\\/foo.txt'],
    ['${V/http:\\/\\//}', 'http://a', 'a'],
    ['${V//b/$W}', 'abab', 'aa'],
    ['${V%.}', 'a\nb.', 'a\nb'],
    ['${V#*}', 'a\nb', 'a\nb'],
    ['${V##*}', 'a\nb', '\nb'],
  ])('%s of %j gives %j', (word, value, text) => {
    expect(expandWord(word, new Map([['V', value]]), BACKSLASH).text).toBe(text);
  });

  it('replaces with the text of a variable, not with a template', () => {
    const variables = new Map([
      ['V', 'abc'],
      ['R', '$&$1'],
    ]);
    expect(expandWord('${V//b/$R}', variables, BACKSLASH).text).toBe('a$&$1c');
  });

  it('tells which variables it used and which are not set', () => {
    const { used, unset } = expandWord('$PWD ${NULL:-$X} ${Y-}${Z:+$FOO}', VARIABLES, BACKSLASH);
    expect([...used].sort()).toEqual(['FOO', 'NULL', 'PWD']);
    expect([...unset].sort()).toEqual(['X', 'Y', 'Z']);
  });
});

describe('errors', () => {
  it.each([
    ['$PWD"', 'unexpected end of statement while looking for matching double-quote'],
    ["'abc", 'unexpected end of statement while looking for matching single-quote'],
    ['"abc\\"', 'unexpected end of statement while looking for matching double-quote'],
    ['${', "syntax error: missing '}'"],
    ['${PWD:-x', "syntax error: missing '}'"],
    ['${PWD:', "syntax error: missing '}'"],
    ['${PWD#x', "syntax error: missing '}'"],
    ['${PWD:-"x}', "syntax error: missing '}'"],
    ['${}', 'syntax error: bad substitution'],
    ['${{PWD}}', 'syntax error: bad substitution'],
    ['${:x}', 'syntax error: bad substitution'],
    ['${PWD', 'unsupported modifier (\ufffd) in substitution'],
    ['${PWD=x}', 'unsupported modifier (=) in substitution'],
    ['${PWD:=x}', 'unsupported modifier (:=) in substitution'],
    ['${PWD:#x}', 'unsupported modifier (:#) in substitution'],
    ['${PWD:%x}', 'unsupported modifier (:%) in substitution'],
    ['${PWD x}', 'unsupported modifier ( ) in substitution'],
    ['${FOO//ww}', "syntax error: missing '/' in ${}"],
    ['${FOO/a/b', "syntax error: missing '}'"],
    ['${FOO#\\x}', "invalid pattern (\\x) in substitution: invalid escape '\\x'"],
    ['${UNSET?}', 'UNSET: is not allowed to be unset'],
    ['${UNSET:?}', 'UNSET: is not allowed to be unset'],
    ['${NULL:?}', 'NULL: is not allowed to be empty'],
    ['${UNSET:?give $SHELL}', 'UNSET: give bash'],
  ])('%s is refused: %s', (word, reason) => {
    const error = failureOf(word);
    expect(error.code).toBe('DOCKERFILE_EXPANSION');
    expect(error.message).toBe(`failed to process ${JSON.stringify(word)}: ${reason}`);
    expect(error.suggestions).not.toHaveLength(0);
  });

  it('shows only the start of a long text', () => {
    expect(failureOf(`${'x'.repeat(300)}\${`).message.length).toBeLessThan(260);
  });
});

describe('expandWords', () => {
  it.each([
    ['hello', ['hello']],
    ['hello${hi}bye', ['hellobye']],
    ['  a \t b ', ['a', 'b']],
    ['"hello there" bye', ['hello there', 'bye']],
    ["'a b'c d", ['a bc', 'd']],
    ['a\\ b c', ['a b', 'c']],
    ['$SPACES', ['a', 'b']],
    ['x$SPACES.', ['xa', 'b.']],
    ['"$SPACES"', ['a  b']],
    ['$UNSET', []],
    ['""', []],
    ['80${UNSET:-81}', ['8081']],
    ['80${UNSET-82 83}', ['8082', '83']],
    ['a $UNSET b', ['a', 'b']],
    ['a\u00a0b\ufeffc', ['a', 'b\ufeffc']],
  ])('%s gives %j', (text, words) => {
    expect(expandWords(text, VARIABLES, BACKSLASH).words).toEqual(words);
  });

  it('reports unset variables and throws what expandWord throws', () => {
    expect([...expandWords('$A $B', VARIABLES, BACKSLASH).unset]).toEqual(['A', 'B']);
    expect(() => expandWords('"', VARIABLES, BACKSLASH)).toThrow('matching double-quote');
  });
});

/** Glob of the substitution patterns by plain recursion: what matches of `text` from its start, by length. */
function matchLengths(pattern: string, text: string): number[] {
  if (pattern === '') return [0];
  const rest = pattern.slice(1);
  if (pattern[0] === '*') {
    return [...text, ''].flatMap((_, skip) =>
      matchLengths(rest, text.slice(skip)).map((length) => length + skip),
    );
  }
  if (text === '' || (pattern[0] !== '?' && pattern[0] !== text[0])) return [];
  return matchLengths(rest, text.slice(1)).map((length) => length + 1);
}

describe('properties', () => {
  const value = fc.string({ unit: fc.constantFrom('a', 'b', '.', '(', '한'), maxLength: 8 });
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '.', '(', '*', '?'), maxLength: 5 });
  const run = (word: string, text: string) => expandWord(word, new Map([['V', text]]), BACKSLASH).text;

  it('removes the shortest and longest start and end that match', () => {
    fc.assert(
      fc.property(value, pattern, (text, glob) => {
        const starts = matchLengths(glob, text);
        const mirrored = [...text].reverse().join('');
        const ends = matchLengths([...glob].reverse().join(''), mirrored);
        const cutStart = (lengths: number[], pick: (...all: number[]) => number) =>
          lengths.length === 0 ? text : text.slice(pick(...lengths));
        const cutEnd = (lengths: number[], pick: (...all: number[]) => number) =>
          lengths.length === 0 ? text : text.slice(0, text.length - pick(...lengths));
        expect(run(`\${V#${glob}}`, text)).toBe(cutStart(starts, Math.min));
        expect(run(`\${V##${glob}}`, text)).toBe(cutStart(starts, Math.max));
        expect(run(`\${V%${glob}}`, text)).toBe(cutEnd(ends, Math.min));
        expect(run(`\${V%%${glob}}`, text)).toBe(cutEnd(ends, Math.max));
      }),
      { numRuns: 2000 },
    );
  });

  it('replaces the leftmost longest match', () => {
    fc.assert(
      fc.property(value, pattern, (text, glob) => {
        const at = [...text, ''].findIndex((_, start) => matchLengths(glob, text.slice(start)).length > 0);
        const length = at < 0 ? 0 : Math.max(...matchLengths(glob, text.slice(at)));
        const expected = at < 0 ? text : `${text.slice(0, at)}<${text.slice(at + length)}`;
        const variables = new Map([
          ['V', text],
          ['P', glob],
        ]);
        expect(expandWord('${V/$P/<}', variables, BACKSLASH).text).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  it('gives back any text that was quoted, as one word', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), (text) => {
        const single = text
          .split("'")
          .map((part) => `'${part}'`)
          .join("\\'");
        const double = `"${text.replaceAll(/["$\\]/g, '\\$&')}"`;
        expect(textOf(single)).toBe(text);
        expect(textOf(double)).toBe(text);
        expect(expandWords(double, VARIABLES, BACKSLASH).words).toEqual([text]);
      }),
      { numRuns: 1000 },
    );
  });

  it('never fails in other ways than its own', () => {
    const soup = fc.string({
      unit: fc.constantFrom('$', '{', '}', ':', '-', '#', '/', '"', "'", '\\', 'a', ' ', '<'),
      maxLength: 14,
    });
    fc.assert(
      fc.property(soup, (word) => {
        let whole: string;
        try {
          whole = textOf(word);
        } catch (error) {
          expect(error).toBeInstanceOf(BuildError);
          return;
        }
        // Splitting only takes spaces away.
        expect(whole.replaceAll(/\s/g, '')).toBe(
          expandWords(word, VARIABLES, BACKSLASH).words.join('').replaceAll(/\s/g, ''),
        );
      }),
      { numRuns: 3000 },
    );
  });
});
