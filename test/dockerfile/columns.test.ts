import { describe, expect, it } from 'vitest';
import { pinpoint, pinpointError } from '../../src/dockerfile/columns.ts';
import type { Needle } from '../../src/dockerfile/needle.ts';
import { BuildError, type SourceLocation } from '../../src/errors.ts';
import { errorOf, parseText } from './read.ts';

/** The text at a location with columns on one line. */
function shown({ source, startLine, endLine, startColumn, endColumn }: SourceLocation): string {
  if (startColumn === undefined || endColumn === undefined) return `no columns ${startLine}-${endLine}`;
  expect(endLine).toBe(startLine);
  return (source.text.split('\n')[startLine - 1] ?? '').slice(startColumn - 1, endColumn - 1);
}

describe('pinpoint', () => {
  it.each<[string, Needle, string, number]>([
    ['FROM a\n  RUN x', { kind: 'keyword' }, 'RUN', 2],
    ['FROM a\nCOPY --from=x --chown=y a b', { kind: 'flag', name: 'chown' }, '--chown=y', 2],
    ['FROM a\nCOPY --from=x \\\n  --chown=y a b', { kind: 'flag', name: 'chown' }, '--chown=y', 3],
    ['FROM a\nRUN a \\\n# --network=x\n\n b', { kind: 'flag', name: 'network' }, 'no columns 2-5', 2],
    ['FROM a\nENV --x=y a=b', { kind: 'flag', name: 'x' }, '--x=y', 2],
    ['FROM a\nEXPOSE 80 \\\n  81 82', { kind: 'argument', text: '81' }, '81', 3],
    ['FROM a\nENV a=b c', { kind: 'argument', text: 'c' }, 'c', 2],
    ['FROM a\nCOPY $x ${y} ${z:-1} .', { kind: 'variable', name: 'y' }, '${y}', 2],
    ['FROM a\nCOPY $x ${y} ${z:-1} .', { kind: 'variable', name: 'x' }, '$x', 2],
    ['FROM a\nCOPY ${z#p} .', { kind: 'variable', name: 'z' }, '${z#p}', 2],
    ['FROM a\nCOPY ${zz} ${z%p} .', { kind: 'variable', name: 'z' }, '${z%p}', 2],
    ['FROM a\nCOPY a .', { kind: 'variable', name: 'z' }, 'no columns 2-2', 2],
    ['# escape=`\nFROM a\nCOPY a `\n  $x .', { kind: 'variable', name: 'x' }, '$x', 4],
    ['FROM é𝒳\nCOPY é𝒳 $x .', { kind: 'variable', name: 'x' }, '$x', 2],
  ])('%j, %j', async (text, needle, expected, line) => {
    const instruction = parseTextAllowingFlags(text);
    const found = await pinpoint(instruction, needle);
    expect(shown(found)).toBe(expected);
    expect(found.startLine).toBe(line);
  });

  it('leaves columns alone that are there', async () => {
    const location = { ...parseTextAllowingFlags('FROM a\nRUN b'), startColumn: 5, endColumn: 6 };
    expect(await pinpoint(location, { kind: 'keyword' })).toBe(location);
  });

  it('does not mind a wrong directive', async () => {
    const source = { path: 'Dockerfile', text: '# escape=x\nRUN a' };
    const found = await pinpoint({ source, startLine: 2, endLine: 2 }, { kind: 'keyword' });
    expect(shown(found)).toBe('RUN');
  });
});

/** Lines of the last instruction, found by hand so that instructions with errors can be used. */
function parseTextAllowingFlags(text: string): SourceLocation {
  const source = { path: 'Dockerfile', text };
  const lines = text.split('\n');
  const startLine = lines.findLastIndex((line) => /^\s*[A-Z]+ /.test(line)) + 1;
  return { source, startLine, endLine: lines.length };
}

describe('pinpointError', () => {
  it.each([
    ['FROM a\nRUNN x', 'RUNN'],
    ['FROM a\nCOPY --link --form=x a b', '--form=x'],
    ['FROM a\nCOPY --link --link a b', '--link'],
    ['FROM a AS 1x', '1x'],
    ['FROM a\nENV a=b c', 'c'],
    ['FROM a\nCOPY x <<EOF\nEOF', '<<EOF'],
    ['FROM a\nCOPY --from=$x a b', '$x'],
  ])('%j points at %s', async (text, expected) => {
    const error = errorOf(() => parseText(text));
    await pinpointError(error);
    expect(shown(error.location ?? expect.fail())).toBe(expected);
  });

  it('leaves other errors alone', async () => {
    const error = errorOf(() => parseText('FROM a\nENV'));
    const { location } = error;
    await pinpointError(error);
    expect(error.location).toBe(location);
    const lost = new BuildError('DOCKERFILE_SYNTAX', 'x');
    await pinpointError(lost);
    expect(lost.location).toBeUndefined();
  });
});
