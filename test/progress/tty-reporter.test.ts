import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { BuildEvent } from '../../src/progress/event.ts';
import { TtyReporter } from '../../src/progress/tty-reporter.ts';
import { anyEvents, EVERY_EVENT, label } from './events.ts';
import { Screen } from './screen.ts';

beforeAll(() => import('ora'));
beforeEach(() => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
});
afterEach(() => {
  vi.useRealTimers();
});

function reporterOn(screen: Screen, env: Record<string, string> = {}, color = false): TtyReporter {
  return new TtyReporter({ stream: screen, env, color, now: () => performance.now() });
}

/** Lets time pass; importing ora takes turns of the real event loop. */
async function wait(milliseconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(milliseconds);
  for (let turn = 0; turn < 3; turn += 1) await tick();
}

const begin: BuildEvent = { at: 0, type: 'build-started', dockerfile: 'Dockerfile', platform: 'linux/amd64' };
const started = (id: string, name: string, at = 0): BuildEvent => ({
  at,
  type: 'step-started',
  step: label(id, `[${id}]`, name),
});
const printed = (id: string, text: string, at = 0): BuildEvent => ({
  at,
  type: 'step-output',
  step: id,
  stream: 'stdout',
  text,
});

/** Waits for ora without letting time pass. */
async function isOpen(screen: Screen): Promise<void> {
  for (let turn = 0; turn < 10_000 && screen.cursorVisible; turn += 1) await tick();
  expect(screen.cursorVisible).toBe(false);
}

/** A reporter whose live view is open. */
async function opened(screen: Screen, events: readonly BuildEvent[], env = {}): Promise<TtyReporter> {
  const reporter = reporterOn(screen, env);
  reporter.handle(begin);
  for (const event of events) reporter.handle(event);
  await wait(150);
  await isOpen(screen);
  return reporter;
}

describe('the live view', () => {
  it('shows each running step with its time and the tail of its output', async () => {
    const screen = new Screen(60, 24);
    const output = Array.from({ length: 9 }, (_, index) => `line ${index + 1}`).join('\n');
    const events = [
      started('a/1', 'RUN make'),
      started('b/1', 'RUN apk add curl'),
      printed('a/1', output, 20),
    ];
    const reporter = await opened(screen, events);
    await wait(1900);
    expect(screen.text.replaceAll(/[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/g, '*')).toBe(
      `
* Building 2.1s, 0 done, 2 running
* [a/1] RUN make                                       2.1s
    line 4
    line 5
    line 6
    line 7
    line 8
    line 9
* [b/1] RUN apk add curl                               2.1s`.slice(1),
    );
    expect(screen.cursorVisible).toBe(false);
    reporter.close();
  });

  it('leaves one line a step, and the whole output of one that failed', async () => {
    const screen = new Screen(60, 24);
    const reporter = await opened(screen, []);
    for (const event of EVERY_EVENT.slice(1, -2)) {
      reporter.handle(event);
      await wait(120);
    }
    reporter.handle(EVERY_EVENT.at(-2) as BuildEvent);
    expect(screen.text).toBe(
      `
snapshots: overlay
⚠ JSONArgsRecommended: JSON arguments recommended for CMD (l
ine 9) https://docs.docker.com/go/dockerfile/rule/json-args-
recommended/
✔ [builder 1/3] FROM debian:13                48.5 MB  6.0s
[builder 2/3] COPY . .
    cache miss: 1 file differs in the build context: a.c
✔ [builder 2/3] COPY . .                             CACHED
✔ [builder 3/3] RUN make                               0.5s
✖ [app 1/2] RUN apk add curl                           1.0s
    fetch ok
⚠ 1 warning above: JSONArgsRecommended (line 9)
✔ built in 7.3s, 1/4 steps cached
  image sha256:0123456789abcdef0123456789abcdef0123456789abc
def0123456789abcdef
  manifest sha256:0123456789abcdef0123456789abcdef0123456789
abcdef0123456789abcdef
  name docker.io/library/app:1`.slice(1),
    );
    expect(screen.cursorVisible).toBe(true);
  });

  it('leaves the same on the screen as a build too fast to be watched', async () => {
    // Wide enough that nothing that stays wraps by the terminal's hand, which a redraw cannot change.
    const run = async (events: readonly BuildEvent[], pause: number) => {
      const screen = new Screen(70, 12);
      const reporter = reporterOn(screen);
      reporter.handle(begin);
      if (pause > 0) {
        await wait(150);
        await isOpen(screen);
      }
      for (const event of events) {
        reporter.handle(event);
        if (pause > 0) await wait(pause);
      }
      reporter.close();
      expect(screen.cursorVisible).toBe(true);
      return { text: screen.text, frames: screen.writes.filter((text) => text.includes('Building')).length };
    };
    let frames = 0;
    await fc.assert(
      fc.asyncProperty(anyEvents, fc.constantFrom(10, 90, 250), async (events, pause) => {
        const watched = await run(events, pause);
        frames += watched.frames;
        expect(watched.text).toBe((await run(events, 0)).text);
      }),
      { numRuns: 60 },
    );
    expect(frames).toBeGreaterThan(60);
  });

  it.each([
    [80, 24],
    [40, 10],
    [24, 5],
    [12, 3],
    [9, 24],
    [5, 2],
  ])('fits into %i columns and %i rows', async (columns, rows) => {
    const screen = new Screen(columns, rows);
    const wide = `${'漢字'.repeat(40)}\n\t${'x'.repeat(100)}\n\x1b[31mred\x1b[2J\x1b[10;10H`;
    const steps = Array.from({ length: 12 }, (_, index) => `s/${index}`);
    const reporter = reporterOn(screen);
    reporter.handle(begin);
    for (const id of steps) {
      reporter.handle(started(id, '漢字 '.repeat(10)));
      reporter.handle(printed(id, wide));
    }
    await wait(150);
    await isOpen(screen);
    await wait(1000);
    const height = screen.text.split('\n').length;
    if (columns >= 12) {
      expect(screen.wrapped).toBe(0);
      expect(height).toBeLessThanOrEqual(Math.max(2, rows - 1));
    }
    if (rows >= 10 && columns >= 40) expect(screen.text).toMatch(/漢字/);
    reporter.close();
    expect(screen.text).toBe('');
  });

  it('draws about ten times a second, however much happens', async () => {
    const screen = new Screen();
    const reporter = await opened(screen, [started('a/1', 'RUN make')]);
    const frames = () => screen.writes.filter((text) => text.includes('Building')).length;
    const before = frames();
    for (let step = 0; step < 1000; step += 1) {
      reporter.handle(printed('a/1', 'x', step));
      reporter.handle({
        at: step,
        type: 'step-finished',
        step: label(`c/${step}`, '[c]', 'RUN x'),
        outcome: 'cached',
        duration: 0,
      });
      await vi.advanceTimersByTimeAsync(1);
    }
    expect(frames() - before).toBeGreaterThanOrEqual(9);
    expect(frames() - before).toBeLessThanOrEqual(21);
    reporter.close();
    expect(screen.text.split('\n').length).toBe(1000);
  });

  it('stays away from a build that is over at once', async () => {
    const screen = new Screen();
    const reporter = reporterOn(screen);
    for (const event of EVERY_EVENT.slice(0, -1)) reporter.handle(event);
    await wait(500);
    expect(screen.writes.join('')).not.toContain('\x1b');
    expect(screen.text).toContain('✔ built in 7.3s');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('can be closed twice, and while it opens', async () => {
    const screen = new Screen();
    const reporter = reporterOn(screen);
    reporter.handle(begin);
    vi.advanceTimersByTime(150);
    reporter.close();
    reporter.close();
    await wait(500);
    expect(screen.text).toBe('');
    expect(screen.cursorVisible).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('uses no colour but what it is told to, and plain signs on a Linux console', async () => {
    const painted = new Screen();
    const first = reporterOn(painted, {}, true);
    first.handle(EVERY_EVENT.at(-4) as BuildEvent);
    expect(painted.writes.join('')).toContain('\x1b[32m✔\x1b[39m');
    const plain = new Screen();
    const second = await opened(plain, [started('a/1', 'RUN make')], { TERM: 'linux' });
    second.handle(EVERY_EVENT.at(-4) as BuildEvent);
    second.close();
    expect(plain.writes.join('')).not.toMatch(/\x1b\[[0-9;]*m|[^\x00-\x7f]/);
  });
});
