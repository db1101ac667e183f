import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BugError, BuildError, type SourceLocation } from '../../src/errors.ts';
import { failureEvent, renderError, renderWarning, renderWarnings } from '../../src/progress/error-report.ts';
import { anyText } from './events.ts';

const TEXT = `FROM alpine
WORKDIR /src
COPY . .
RUN make \\
    -j4
	RNU echo 漢字 now
CMD ["app"]
`;

function at(startLine: number, more: Partial<SourceLocation> = {}, text = TEXT): SourceLocation {
  return { source: { path: 'Dockerfile', text }, startLine, endLine: startLine, ...more };
}

describe('an error', () => {
  it('shows the output, the cause, the place and the way out', () => {
    const error = new BuildError('RUN_FAILED', 'process "/bin/sh -c make" failed: exit code: 2', {
      location: at(4, { endLine: 5 }),
      output: ['cc -c a.c', '', '::error::not a command', '\x1b[31ma.c:1: error\x1b[0m\r'],
      suggestions: ['Install make.', 'Or this:\n  kiln lint'],
    });
    expect(renderError(error)).toBe(`last 4 lines of output:
  | cc -c a.c
  |
  | ::error::not a command
  | a.c:1: error

error: process "/bin/sh -c make" failed: exit code: 2 [RUN_FAILED]

Dockerfile:4
  2 |     WORKDIR /src
  3 |     COPY . .
  4 | >>> RUN make \\
  5 | >>>     -j4
  6 |         RNU echo 漢字 now
  7 |     CMD ["app"]

help: Install make.
help: Or this:
        kiln lint
`);
  });

  it('leaves the output out when the reader has just seen it', () => {
    const error = new BuildError('RUN_FAILED', 'exit code: 2', { output: ['cc -c a.c'] });
    expect(renderError(error, { output: false })).toBe('error: exit code: 2 [RUN_FAILED]\n');
  });

  it('underlines columns, below tabs and wide characters too', () => {
    const word = new BuildError('DOCKERFILE_SYNTAX', 'unknown instruction: RNU', {
      location: at(6, { startColumn: 2, endColumn: 5 }),
    });
    expect(renderError(word)).toContain(`
  6 | >>>     RNU echo 漢字 now
    |         ^^^
  7 |     CMD ["app"]
`);
    const wide = new BuildError('DOCKERFILE_SYNTAX', 'x', {
      location: at(6, { startColumn: 11, endColumn: 13 }),
    });
    expect(renderError(wide)).toContain(`
  6 | >>>     RNU echo 漢字 now
    |                  ^^^^
`);
  });

  it('underlines to the end of the first line when the place goes on', () => {
    const error = new BuildError('DOCKERFILE_SYNTAX', 'x', {
      location: at(4, { endLine: 5, startColumn: 5, endColumn: 8 }),
    });
    expect(renderError(error)).toContain(`
  4 | >>> RUN make \\
    |         ^^^^^^
  5 | >>>     -j4
`);
  });

  it('points behind the end of a line', () => {
    const error = new BuildError('DOCKERFILE_SYNTAX', 'x', {
      location: at(3, { startColumn: 9, endColumn: 10 }),
    });
    expect(renderError(error)).toContain('\n  3 | >>> COPY . .\n    |             ^\n');
  });

  it('shortens a long instruction and aligns the numbers of its lines', () => {
    const text = Array.from({ length: 120 }, (_, index) => `line ${index + 1}`).join('\n');
    const error = new BuildError('RUN_FAILED', 'x', { location: at(96, { endLine: 110 }, text) });
    expect(renderError(error)).toBe(`error: x [RUN_FAILED]

Dockerfile:96
   94 |     line 94
   95 |     line 95
   96 | >>> line 96
   97 | >>> line 97
   98 | >>> line 98
   99 | >>> line 99
  100 | >>> line 100
      | >>> …
  109 | >>> line 109
  110 | >>> line 110
  111 |     line 111
  112 |     line 112
`);
  });

  it('cuts a long line around its place', () => {
    const text = `RUN ${'a'.repeat(300)} BAD ${'b'.repeat(300)}`;
    const location = at(1, { startColumn: 306, endColumn: 309 }, text);
    const lines = renderError(new BuildError('RUN_FAILED', 'x', { location }), { columns: 60 }).split('\n');
    expect(lines[3]).toMatch(/^ {2}1 \| >>> …a+ BAD b+…$/);
    expect(lines[3]?.length).toBeLessThan(60);
    expect(lines[4]?.indexOf('^^^')).toBe(lines[3]?.indexOf('BAD'));
  });

  it('survives a place that is not in the text', () => {
    const report = (location: SourceLocation) =>
      renderError(new BuildError('DOCKERFILE_SYNTAX', 'x', { location }));
    expect(report(at(1, {}, ''))).toBe('error: x [DOCKERFILE_SYNTAX]\n\nDockerfile:1\n');
    expect(report(at(9))).toBe('error: x [DOCKERFILE_SYNTAX]\n\nDockerfile:9\n  7 |     CMD ["app"]\n');
    expect(report(at(7, { startColumn: 400, endColumn: 500 }))).toContain(
      'CMD ["app"]\n    |                ^\n',
    );
  });

  it('names standard input', () => {
    const location = { ...at(1), source: { path: '-', text: 'FROM x' } };
    expect(renderError(new BuildError('IMAGE_NOT_FOUND', 'x', { location }))).toContain(
      '\nDockerfile on standard input:1\n  1 | >>> FROM x\n',
    );
  });

  it('spells out control characters of names and messages', () => {
    const error = new BuildError('COPY_NOT_FOUND', 'no file "\x1b[2J\u202egpj.exe"');
    expect(renderError(error)).toBe('error: no file "\\x1b[2J\\u202egpj.exe" [COPY_NOT_FOUND]\n');
  });

  it('has no control characters, whatever it is made of', () => {
    fc.assert(
      fc.property(anyText, anyText, anyText, fc.nat(200), (message, output, text, column) => {
        const location = at(1, { startColumn: column + 1, endColumn: column + 5 }, text);
        const error = new BuildError('RUN_FAILED', message, {
          output: [output],
          location: { ...location, source: { path: message, text } },
          suggestions: [text],
        });
        for (const report of [
          renderError(error),
          renderWarning({ message, rule: output, url: text, location }),
        ]) {
          expect(report).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/);
        }
      }),
    );
  });

  it('is painted only when told', () => {
    const error = new BuildError('RUN_FAILED', 'x', { location: at(1) });
    expect(renderError(error)).not.toContain('\x1b');
    expect(renderError(error, { color: true })).toContain('\x1b[31m');
  });
});

describe('an error that should not happen', () => {
  it.each([new BugError('no such step'), new TypeError('no such step'), 'no such step'])(
    'asks for a report: %s',
    (error) => {
      const report = renderError(error);
      expect(report).toMatch(
        /^error: unexpected error: no such step \[INTERNAL\]\n\nhelp: This is a bug in kiln/,
      );
      expect(report).not.toContain('    at ');
    },
  );

  it('shows its stack and its causes only to those who debug', () => {
    const error = new BuildError('STORE_BROKEN', 'x', { cause: new BugError('deep cause') });
    expect(renderError(error)).not.toContain('deep cause');
    const report = renderError(error, { debug: true });
    expect(report).toContain('caused by: BugError: deep cause');
    expect(report).toContain('error-report.test.ts');
  });

  it('ends when causes go round', () => {
    const error = new Error('round');
    error.cause = error;
    expect(renderError(error, { debug: true }).match(/Error: round/g)?.length).toBe(1);
  });

  it('is no bug when the disk is full', () => {
    const error = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    expect(renderError(error)).toBe(
      'error: ENOSPC: no space left on device, write [INTERNAL]\n\n' +
        'help: The disk or the quota is full: free space, or run kiln prune.\n',
    );
  });
});

describe('a failure as an event', () => {
  it('says what the report says', () => {
    const error = new BuildError('RUN_FAILED', 'exit code: 2', { location: at(4), suggestions: ['Try.'] });
    expect(failureEvent(error, 12.6)).toEqual({
      type: 'build-failed',
      code: 'RUN_FAILED',
      message: 'exit code: 2',
      duration: 13,
      line: 4,
      suggestions: ['Try.'],
    });
    expect(failureEvent(new BuildError('RUN_FAILED', 'x'), 1)).toEqual({
      type: 'build-failed',
      code: 'RUN_FAILED',
      message: 'x',
      duration: 1,
    });
  });
});

describe('warnings', () => {
  it('have their rule, page and place, and come in the order of the lines', () => {
    const warnings = [
      {
        rule: 'JSONArgsRecommended',
        message: 'JSON arguments recommended',
        url: 'https://x/',
        location: at(7),
      },
      { message: 'look here', location: at(1) },
    ];
    expect(renderWarnings(warnings)).toBe(`warning: look here
Dockerfile:1
  1 | >>> FROM alpine
  2 |     WORKDIR /src
  3 |     COPY . .

warning: JSONArgsRecommended: JSON arguments recommended
  https://x/
Dockerfile:7
  5 |         -j4
  6 |         RNU echo 漢字 now
  7 | >>> CMD ["app"]
`);
    expect(renderWarnings([])).toBe('');
  });
});
