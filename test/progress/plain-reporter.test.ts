import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BuildEvent } from '../../src/progress/event.ts';
import { PlainReporter } from '../../src/progress/plain-reporter.ts';
import { type SectionMarks, sectionMarks } from '../../src/progress/sections.ts';
import { anyEvents, EVERY_EVENT, label } from './events.ts';

function plain(events: readonly BuildEvent[], sections?: SectionMarks): string {
  let text = '';
  const stream = {
    write(part: string) {
      text += part;
    },
  };
  const reporter = new PlainReporter({ stream, sections });
  for (const event of events) reporter.handle(event);
  reporter.close();
  return text;
}

const make = label('b/1', '[1/2]', 'RUN make');
const test = label('b/2', '[2/2]', 'RUN make test');

const started = (at: number, step = make): BuildEvent => ({ at, type: 'step-started', step });
const printed = (at: number, text: string, step = make): BuildEvent => ({
  at,
  type: 'step-output',
  step: step.id,
  stream: 'stdout',
  text,
});
const done = (at: number, step = make): BuildEvent => ({
  at,
  type: 'step-finished',
  step,
  outcome: 'done',
  duration: 1000,
});

describe('plain output', () => {
  it('prints a line an event, each with the number of its step', () => {
    expect(plain(EVERY_EVENT.slice(0, -1))).toBe(`#0 building Dockerfile for linux/amd64, target app
note: snapshots: overlay
WARNING: JSONArgsRecommended: JSON arguments recommended for CMD (line 9) https://docs.docker.com/go/dockerfile/rule/json-args-recommended/
#1 [builder 1/3] FROM debian:13
#1 5.10 31.2 MB / 48.5 MB
#1 DONE 6.0s (48.5 MB)
#2 [builder 2/3] COPY . .
#2 cache miss: 1 file differs in the build context: a.c
#2 CACHED
#3 [builder 3/3] RUN make
#3 0.10 cc -c a.c
#3 0.10 cc -c b.c
#4 [app 1/2] RUN apk add curl
#4 0.10 fetch ok
#3 0.40
#3 DONE 0.5s
#4 ERROR: exit code: 1 (after 1.0s)
#4 and more
1 warning above: JSONArgsRecommended (line 9)
built in 7.3s, 1/4 steps cached
image sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
manifest sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
name docker.io/library/app:1
`);
  });

  it('says when a build failed', () => {
    expect(plain(EVERY_EVENT.slice(-1))).toBe('failed after 7.3s\n');
  });

  it('never clips a line', () => {
    const long = 'x'.repeat(3_000_000);
    expect(plain([started(0), printed(10, long)])).toContain(`#1 0.01 ${long}\n`);
  });

  it('makes a heredoc one line', () => {
    const step = label('a/1', '[1/1]', 'RUN <<EOF\n  echo a\n\techo b\nEOF');
    expect(plain([started(0, step)])).toBe('#1 [1/1] RUN <<EOF echo a echo b EOF\n');
  });

  it('shows progress of a step at most every five seconds', () => {
    const progress = (at: number): BuildEvent => ({
      at,
      type: 'step-progress',
      step: make.id,
      current: at,
      unit: 'files',
    });
    const events = [started(0), ...Array.from({ length: 120 }, (_, i) => progress(i * 100))];
    expect(plain(events)).toBe('#1 [1/2] RUN make\n#1 5.00 5000 files\n#1 10.00 10000 files\n');
  });

  it('has no control characters but newlines and tabs, whatever is printed', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        expect(plain(events)).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
      }),
    );
  });

  it('numbers every line of every step', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        const ofSteps = events.filter(({ type }) => type.startsWith('step-'));
        const lines = plain(ofSteps).split('\n').slice(0, -1);
        for (const line of lines) expect(line).toMatch(/^#[1-5]( |$)/);
      }),
    );
  });
});

describe('collapsible sections', () => {
  const github = sectionMarks({ env: { GITHUB_ACTIONS: 'true' }, wallClock: () => 0 });
  const gitlab = sectionMarks({ env: { GITLAB_CI: 'true' }, wallClock: () => 1_700_000_000_999 });

  it('fold the output of a step that runs alone, and only that', () => {
    expect(
      plain([started(0), printed(10, 'a'), printed(20, 'b'), done(1000)], github),
    ).toBe(`#1 [1/2] RUN make
::group::#1 output
#1 0.01 a
#1 0.02 b
::endgroup::
#1 DONE 1.0s
`);
  });

  it('end when another step starts, and begin anew when it has ended', () => {
    const events = [
      started(0),
      printed(10, 'alone'),
      started(20, test),
      printed(30, 'both'),
      printed(30, 'both', test),
      done(1000, test),
      printed(1010, 'alone again'),
    ];
    expect(plain(events, github)).toBe(`#1 [1/2] RUN make
::group::#1 output
#1 0.01 alone
::endgroup::
#2 [2/2] RUN make test
#1 0.03 both
#2 0.01 both
#2 DONE 1.0s
::group::#1 output
#1 1.01 alone again
::endgroup::
`);
  });

  it('have names in GitLab that are never used twice', () => {
    const note: BuildEvent = { at: 15, type: 'note', message: 'n' };
    expect(plain([started(0), printed(10, 'a'), note, printed(20, 'b')], gitlab)).toBe(
      [
        '#1 [1/2] RUN make\n',
        '\x1b[0Ksection_start:1700000000:kiln_1_1\r\x1b[0K#1 output\n',
        '#1 0.01 a\n',
        '\x1b[0Ksection_end:1700000000:kiln_1_1\r\x1b[0K\n',
        'note: n\n',
        '\x1b[0Ksection_start:1700000000:kiln_1_2\r\x1b[0K#1 output\n',
        '#1 0.02 b\n',
        '\x1b[0Ksection_end:1700000000:kiln_1_2\r\x1b[0K\n',
      ].join(''),
    );
  });

  it('open and close in turn, whatever happens', () => {
    fc.assert(
      fc.property(anyEvents, (events) => {
        const marks = plain(events, github)
          .split('\n')
          .filter((line) => line.startsWith('::'))
          .map((line) => line.slice(0, 5));
        expect(marks).toEqual(marks.map((_, index) => (index % 2 === 0 ? '::gro' : '::end')));
        expect(marks.length % 2).toBe(0);
      }),
    );
  });

  it('are not used elsewhere', () => {
    expect(sectionMarks({ env: { CI: 'true' }, wallClock: () => 0 })).toBeUndefined();
  });
});
