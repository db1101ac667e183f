import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AttemptEvents } from '../../src/actions/attempt-events.ts';
import type { UntimedEvent } from '../../src/progress/event.ts';

const STARTED: UntimedEvent = { type: 'build-started', dockerfile: 'Dockerfile', platform: 'linux/amd64' };
const WARNING: UntimedEvent = { type: 'warning', message: 'careful' };

function step(id: string): { id: string; prefix: string; name: string } {
  return { id, prefix: `[${id}]`, name: `COPY ${id}` };
}

function begins(id: string): UntimedEvent {
  return { type: 'step-started', step: step(id) };
}

function ends(id: string, outcome: 'done' | 'cached', duration: number): UntimedEvent {
  return { type: 'step-finished', step: step(id), outcome, duration };
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

test('an attempt that is over in a moment is told when it stands', () => {
  const told: UntimedEvent[] = [];
  const events = new AttemptEvents((event) => told.push(event));
  events.add(STARTED);
  events.add(begins('a'));
  expect(told).toEqual([]);
  events.tell();
  expect(told).toEqual([STARTED, begins('a')]);
});

test('one that takes longer is told as it goes', () => {
  const told: UntimedEvent[] = [];
  const events = new AttemptEvents((event) => told.push(event));
  events.add(STARTED);
  vi.advanceTimersByTime(150);
  expect(told).toEqual([STARTED]);
  events.add(begins('a'));
  expect(told).toEqual([STARTED, begins('a')]);
  events.tell();
  expect(told).toHaveLength(2);
});

test('an attempt that was not told is told by the second one, made steps as made', () => {
  const told: UntimedEvent[] = [];
  const events = new AttemptEvents((event) => told.push(event));
  for (const event of [STARTED, begins('a'), ends('a', 'done', 40), ends('b', 'cached', 0)])
    events.add(event);
  events.end();
  vi.advanceTimersByTime(1000);
  const again = events.again();
  for (const event of [STARTED, ends('a', 'cached', 1), ends('b', 'cached', 0), WARNING]) again.add(event);
  expect(told).toEqual([STARTED, ends('a', 'done', 40), ends('b', 'cached', 0), WARNING]);
  expect(again.taken).toBe(1);
});

test('nothing is told twice; what the first attempt left unfinished ends in the second', () => {
  const told: UntimedEvent[] = [];
  const events = new AttemptEvents((event) => told.push(event));
  const first = [STARTED, WARNING, begins('a'), ends('a', 'done', 400), begins('b')];
  for (const event of first) events.add(event);
  vi.advanceTimersByTime(150);
  events.end();
  const again = events.again();
  const failed: UntimedEvent = {
    type: 'step-failed',
    step: step('a'),
    duration: 1,
    message: 'no',
    code: 'RUN_FAILED',
  };
  const second = [
    STARTED,
    WARNING,
    WARNING,
    ends('a', 'cached', 1),
    begins('b'),
    ends('b', 'done', 3),
    failed,
  ];
  for (const event of second) again.add(event);
  expect(told).toEqual([...first, WARNING, ends('b', 'done', 3), failed]);
  expect(again.taken).toBe(1);
});
