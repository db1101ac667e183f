import { describe, expect, it } from 'vitest';
import type { BuildEvent } from '../../src/progress/event.ts';
import {
  createEmitter,
  createReporter,
  type ProgressMode,
  resolveMode,
  wantsColor,
} from '../../src/progress/reporter.ts';
import { EVERY_EVENT } from './events.ts';

const terminal = { isTTY: true, env: { TERM: 'xterm-256color' } };
const pipe = { isTTY: false, env: { TERM: 'xterm-256color' } };

function outputOf(mode: ProgressMode, target: typeof terminal): string {
  let text = '';
  const stream = {
    write(part: string) {
      text += part;
    },
  };
  const reporter = createReporter({ ...target, mode, stream, now: () => 0 });
  for (const event of EVERY_EVENT) reporter.handle(event);
  reporter.close();
  return text;
}

describe('the kind of progress', () => {
  it.each([
    ['auto', terminal, 'tty'],
    ['auto', pipe, 'plain'],
    ['auto', { isTTY: true, env: { CI: 'true', TERM: 'xterm' } }, 'plain'],
    ['auto', { isTTY: true, env: { CI: '1' } }, 'plain'],
    ['auto', { isTTY: true, env: { CI: 'false' } }, 'tty'],
    ['auto', { isTTY: true, env: { CI: '' } }, 'tty'],
    ['auto', { isTTY: true, env: { TERM: 'dumb' } }, 'plain'],
    ['tty', { isTTY: true, env: { CI: 'true' } }, 'tty'],
    ['tty', pipe, 'plain'],
    ['plain', terminal, 'plain'],
    ['json', terminal, 'json'],
    ['quiet', terminal, 'quiet'],
  ] as const)('%s on %j is %s', (mode, target, expected) => {
    expect(resolveMode(mode, target)).toBe(expected);
  });

  it('is what is created', () => {
    expect(outputOf('auto', pipe)).toContain('#3 0.10 cc -c a.c\n');
    expect(outputOf('auto', terminal)).toContain('✔');
    expect(JSON.parse(outputOf('json', terminal).split('\n')[0] ?? '')).toEqual(EVERY_EVENT[0]);
    expect(outputOf('quiet', terminal)).toBe('');
  });

  it('has collapsible sections where the environment names a CI system that has them', () => {
    const alone = EVERY_EVENT.slice(0, 11);
    let text = '';
    const stream = {
      write(part: string) {
        text += part;
      },
    };
    const reporter = createReporter({
      mode: 'auto',
      stream,
      isTTY: false,
      env: { GITHUB_ACTIONS: 'true' },
      now: () => 0,
    });
    for (const event of alone) reporter.handle(event);
    reporter.close();
    expect(text).toContain('::group::#3 output\n#3 0.10 cc -c a.c\n#3 0.10 cc -c b.c\n::endgroup::\n');
  });

  it.each([
    [terminal, true],
    [pipe, false],
    [{ isTTY: true, env: { NO_COLOR: '1' } }, false],
    [{ isTTY: true, env: { NO_COLOR: '' } }, true],
    [{ isTTY: true, env: { TERM: 'dumb' } }, false],
  ])('with %j has colour: %s', (target, expected) => {
    expect(wantsColor(target)).toBe(expected);
  });
});

describe('an emitter', () => {
  it('adds the time since it was made, and makes all times whole milliseconds', () => {
    const events: BuildEvent[] = [];
    let time = 1_000.4;
    const emit = createEmitter({
      reporter: { handle: (event) => events.push(event), close() {} },
      now: () => time,
    });
    time = 1_012.9;
    emit({ type: 'note', message: 'hello' });
    emit({ type: 'build-failed', code: 'RUN_FAILED', message: 'x', duration: 12.4999 });
    expect(events).toEqual([
      { at: 13, type: 'note', message: 'hello' },
      { at: 13, type: 'build-failed', code: 'RUN_FAILED', message: 'x', duration: 12 },
    ]);
  });
});
