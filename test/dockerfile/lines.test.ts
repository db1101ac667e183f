import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { detectSyntax } from '../../src/dockerfile/directives.ts';
import { errorOf, linesOf, parseOne, parseText } from './read.ts';

/** The shell text of the only RUN after FROM. */
function runText(text: string): string {
  const { command } = parseOne('RUN', text);
  return command.form === 'shell' ? command.text : JSON.stringify(command.argv);
}

function outline(text: string): string[] {
  return parseText(text).instructions.map((one) => `${one.keyword} ${linesOf(one)}`);
}

describe('directives', () => {
  it.each([
    ['# escape=`\nFROM a', '`'],
    ['# escape=\\\nFROM a', '\\'],
    ['#escape=`\nFROM a', '`'],
    ['# ESCAPE = ` \nFROM a', '`'],
    ['  # escape=`\nFROM a', '`'],
    ['\ufeff# escape=`\nFROM a', '`'],
    ['# escape=`\r\nFROM a\r\n', '`'],
    ['# syntax=x\n# escape=`\nFROM a', '`'],
    ['# check=skip=all\n# escape=`\nFROM a', '`'],
    ['# foo=bar\n# escape=`\nFROM a', '\\'],
    ['# a comment\n# escape=`\nFROM a', '\\'],
    ['# this is = not a directive\n# escape=`\nFROM a', '\\'],
    ['\n# escape=`\nFROM a', '\\'],
    ['#!/usr/bin/env x\n# escape=`\nFROM a', '\\'],
    ['FROM a\n# escape=`\n', '\\'],
    ['# escape=\nFROM a', '\\'],
  ])('%j has the escape %s', (text, token) => {
    expect(parseText(text).escape).toBe(token);
  });

  it.each([
    ['# syntax=docker/dockerfile:1\nFROM a', 'docker/dockerfile:1'],
    ['# syntax = a/b:1 --x \nFROM a', 'a/b:1 --x'],
    ['#!/bin/x\n# syntax=a\nFROM a', 'a'],
    ['// syntax=a\nFROM a', 'a'],
    ['//syntax = a\n{}', 'a'],
    ['{ "syntax": "a", "x": 1 }', 'a'],
    ['#!x\n{"syntax": "a"}', 'a'],
    ['{"syntax": 1}', undefined],
    ['{"other": "a"}', undefined],
    ['[1]', undefined],
    ['# escape=`\n# syntax=a\nFROM a', 'a'],
    ['# other\n# syntax=a\nFROM a', undefined],
    ['FROM a\n# syntax=a', undefined],
  ])('%j has the syntax %s', (text, syntax) => {
    expect(detectSyntax(text)).toBe(syntax);
  });

  it('keeps syntax and check in the Dockerfile', () => {
    const file = parseText('# syntax=a b\n# check=skip=all;error=true\nFROM a');
    expect(file).toMatchObject({ syntax: 'a b', check: 'skip=all;error=true', escape: '\\' });
    expect(parseText('FROM a')).not.toHaveProperty('syntax');
  });

  it.each([
    ['# escape=`\n# escape=`\nFROM a', 'only one escape parser directive can be used', '2-2'],
    ['# syntax=a\n# check=b\n# Syntax=c\nFROM a', 'only one syntax parser directive can be used', '3-3'],
    ['# escape=x\nFROM a', "invalid escape token 'x' does not match ` or \\", '1-1'],
    ['# escape=\\\\\nFROM a', "invalid escape token '\\\\' does not match ` or \\", '1-1'],
  ])('%j is refused: %s', (text, message, lines) => {
    const error = errorOf(() => parseText(text));
    expect(error).toMatchObject({ code: 'DOCKERFILE_DIRECTIVE', message });
    expect(linesOf(error)).toBe(lines);
  });
});

describe('continuations', () => {
  it.each([
    ['RUN echo hi \\\n  there', 'echo hi   there'],
    ['RUN echo hi \\  \t\nthere', 'echo hi there'],
    ['RUN echo hi \\\n  # c1\n  there', 'echo hi   there'],
    ['RUN echo hi \\\n# c1\n# c2 \\\nthere', 'echo hi there'],
    ['RUN echo hi \\\n\n\n there', 'echo hi  there'],
    ['RUN echo hi \\\n \\\n  there', 'echo hi    there'],
    ['RUN echo hi \\\n\\\nthere', 'echo hi there'],
    ['RUN a\\\nb', 'ab'],
    ['RUN a \\', 'a'],
    ['RUN a \\\n', 'a'],
    ['RUN a \\\\', 'a \\\\'],
    ['RUN a # not a comment', 'a # not a comment'],
    ['R\\\nUN a', 'a'],
    ['  RUN a', 'a'],
    ['RUN\fx', 'x'],
    ['RUN\vx', 'x'],
    ['RUN\tx\t', 'x'],
    ['RUN a \\\r\n  b\r\n', 'a   b'],
    ['RUN a\rb', 'a\rb'],
    ['RUN é \\\n  𝒳', 'é   𝒳'],
    ['\\\nRUN a', 'a'],
  ])('%j runs %j', (text, command) => {
    expect(runText(text)).toBe(command);
  });

  it('does not take two escapes for a continuation', () => {
    expect(outline('FROM a\nRUN a \\\\\nRUN b')).toEqual(['FROM 1-1', 'RUN 2-2', 'RUN 3-3']);
  });

  it('continues with the backtick where that is the escape', () => {
    const { instructions } = parseText('# escape=`\nFROM a\nRUN dir C:\\\nRUN a `\n b');
    expect(instructions.map(({ original }) => original)).toEqual(['FROM a', 'RUN dir C:\\', 'RUN a  b']);
  });

  it('joins the original as BuildKit does', () => {
    const { original } = parseOne('RUN', '  RUN  --network=none \\\n  # c\n  a  b  ');
    expect(original).toBe('RUN  --network=none   a  b');
  });

  it('accepts lines longer than 64 KiB', () => {
    expect(runText(`RUN ${'x'.repeat(70_000)}`)).toHaveLength(70_000);
  });

  it('knows the lines of each instruction', () => {
    const text = '# syntax=x\n\nFROM a\n# c\nRUN a \\\n\n  b\nCOPY <<A <<B /d\nA1\nA\nB1\nB\nCMD x \\\n';
    expect(outline(text)).toEqual(['FROM 3-3', 'RUN 5-7', 'COPY 8-12', 'CMD 13-13']);
  });

  it.each([
    ['FROM a\nCOPY b \\\n\n.\nCOPY b \\\n.\n', [4]],
    ['FROM a\nRUN b \\\n# c\n d', []],
    ['FROM a\nRUN b \\\n \t\n c\nRUN d \\\n\n e', [4, 7]],
    ['FROM a\n\n\nRUN b', []],
  ])('warns of empty continuation lines in %j', (text, lines) => {
    const { warnings } = parseText(text);
    expect(warnings.map(({ location }) => location.startLine)).toEqual(lines);
    for (const { rule, message } of warnings) {
      expect([rule, message]).toEqual(['NoEmptyContinuation', 'Empty continuation line']);
    }
  });

  it('gives an instruction the comments right above it', () => {
    const text = '# check=skip=x\n# one\n# two\nFROM a\n# three\n\nRUN a\n# four\n#\n  # five\nRUN b';
    expect(parseText(text).instructions.map(({ comments }) => comments)).toEqual([
      ['one', 'two'],
      undefined,
      ['five'],
    ]);
  });

  it('loses no word of a command that is cut over lines', () => {
    const word = fc.string({
      unit: fc.constantFrom('a', 'b', '-', '"', '<', '#', '$'),
      minLength: 1,
      maxLength: 4,
    });
    const cutMark = fc.constantFrom(
      ' ',
      ' \\\n',
      ' \\ \t\n   ',
      ' \\\n# comment\n',
      ' \\\n\n\n  ',
      ' \\\r\n',
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(word, cutMark), { minLength: 1, maxLength: 6 }), (parts) => {
        // A word that begins a line with # would make it a comment, one with << a heredoc.
        const usable = parts.filter(
          ([text]) => !text.startsWith('#') && !text.includes('<<') && !text.startsWith('--'),
        );
        const body = usable.map(([text, mark]) => text + mark).join('');
        const command = runText(`RUN x ${body}end`);
        expect(command.split(/\s+/)).toEqual(['x', ...usable.map(([text]) => text), 'end']);
      }),
      { numRuns: 500 },
    );
  });
});

describe('heredocs', () => {
  const plain = { expand: true, stripTabs: false, fd: 0 };

  it.each([
    ['RUN <<EOF\necho a\necho b\nEOF', [{ ...plain, name: 'EOF', content: 'echo a\necho b\n' }]],
    ['RUN <<EOF\nEOF', [{ ...plain, name: 'EOF', content: '' }]],
    ['RUN <<-EOF\n\ta\n\tEOF', [{ ...plain, name: 'EOF', stripTabs: true, content: '\ta\n' }]],
    ["RUN <<'EOF'\n$a\nEOF", [{ ...plain, name: 'EOF', expand: false, content: '$a\n' }]],
    ['RUN <<"EOF"\n$a\nEOF', [{ ...plain, name: 'EOF', expand: false, content: '$a\n' }]],
    ["RUN <<E'O'F\na\nEOF", [{ ...plain, name: 'EOF', expand: false, content: 'a\n' }]],
    ["RUN <<eo\\'f\na\neo'f", [{ ...plain, name: "eo'f", content: 'a\n' }]],
    ["RUN <<'e'o\\'f\na\neo'f", [{ ...plain, name: "eo'f", expand: false, content: 'a\n' }]],
    ["RUN <<'one two'\na\none two", [{ ...plain, name: 'one two', expand: false, content: 'a\n' }]],
    ['RUN 3<<EOF\na\nEOF', [{ ...plain, name: 'EOF', fd: 3, content: 'a\n' }]],
    ['RUN << EOF\na\nEOF', [{ ...plain, name: 'EOF', content: 'a\n' }]],
    ['RUN <<$EOF\na\n$EOF', [{ ...plain, name: '$EOF', content: 'a\n' }]],
    ['RUN <<a.txt\nx\na.txt', [{ ...plain, name: 'a.txt', content: 'x\n' }]],
    ['RUN <<EOF>/x\na\nEOF>/x', [{ ...plain, name: 'EOF>/x', content: 'a\n' }]],
    ['RUN (cat <<EOF)\na\nEOF)', [{ ...plain, name: 'EOF)', content: 'a\n' }]],
    ['RUN <<EOF\r\na\r\nEOF\r\n', [{ ...plain, name: 'EOF', content: 'a\r\n' }]],
    ['RUN x \\\n <<EOF\na\nEOF', [{ ...plain, name: 'EOF', content: 'a\n' }]],
    ['RUN <<EOF\nx \\\nEOF', [{ ...plain, name: 'EOF', content: 'x \\\n' }]],
    ['RUN <<EOF\n# kept\n\n EOF\nEOF', [{ ...plain, name: 'EOF', content: '# kept\n\n EOF\n' }]],
    [
      'RUN <<-A <<B\n\tA1\n\tA\n\tB1\nB',
      [
        { ...plain, name: 'A', stripTabs: true, content: '\tA1\n' },
        { ...plain, name: 'B', content: '\tB1\n' },
      ],
    ],
    ['RUN echo "a <<EOF b"', []],
    ["RUN echo 'a <<EOF b'", []],
    ['RUN cat<<EOF', []],
    ['RUN cat <<<x', []],
    ['RUN echo $((1<<2))', []],
    ['RUN ["<<EOF"]', []],
    ["RUN it's <<EOF", []],
    ['RUN <<', []],
  ])('%j', (text, heredocs) => {
    expect(parseOne('RUN', text).heredocs).toEqual(heredocs);
  });

  it('uses the backslash for heredoc words whatever the escape is', () => {
    const { instructions } = parseText("# escape=`\nFROM a\nRUN <<eo\\'f\na\neo'f");
    expect(instructions[1]).toMatchObject({ heredocs: [{ name: "eo'f" }] });
  });

  it.each(['CMD', 'ENTRYPOINT', 'SHELL', 'HEALTHCHECK CMD', 'USER'])('%s has none', (keyword) => {
    const [, ...rest] = outline(
      `FROM a\n${keyword === 'SHELL' ? 'SHELL ["<<EOF"]' : `${keyword} <<EOF`}\nRUN x`,
    );
    expect(rest).toHaveLength(2);
  });

  it.each([
    ['FROM a\nRUN <<EOF\na\n', '2-2'],
    ['FROM a\nRUN a \\\n <<EOF\nEOF x\n', '2-3'],
    ['FROM a\nRUN echo $(( 1 << 2 ))\nRUN b', '2-2'],
    ['FROM a\nRUN echo 1<<2\nRUN b', '2-2'],
    ['FROM a\nONBUILD RUN <<EOF\n', '2-2'],
    ['FROM a\nCOPY <<A <<B /d\nA\n', '2-2'],
  ])('%j is refused as unterminated', (text, lines) => {
    const error = errorOf(() => parseText(text));
    expect(error).toMatchObject({ code: 'DOCKERFILE_HEREDOC', message: 'unterminated heredoc' });
    expect(linesOf(error)).toBe(lines);
    expect(error.suggestions[0]).toMatch(/^Add a line with nothing but/);
  });

  it('keeps any body as it is', () => {
    const line = fc.string({
      unit: fc.constantFrom('a', ' ', '\t', '\\', '#', '$', '"', '<', '\r'),
      maxLength: 8,
    });
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const content = lines.map((text) => `${text}\n`).join('');
        expect(parseOne('RUN', `RUN <<END\n${content}END\n`).heredocs[0]?.content).toBe(content);
      }),
    );
  });
});
