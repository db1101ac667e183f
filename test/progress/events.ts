/** Builds to report: a fixed one that has every event, and arbitrary ones. */
import fc from 'fast-check';
import type { BuildEvent, StepLabel, UntimedEvent } from '../../src/progress/event.ts';

const SHA = `sha256:${'0123456789abcdef'.repeat(4)}` as const;

/** A step's label. */
export function label(id: string, prefix: string, name: string): StepLabel {
  return { id, prefix, name, line: 3 };
}

/** Every type of event once at least. */
export const EVERY_EVENT: readonly BuildEvent[] = [
  { at: 0, type: 'build-started', dockerfile: 'Dockerfile', target: 'app', platform: 'linux/amd64' },
  { at: 1, type: 'note', message: 'snapshots: overlay' },
  {
    at: 2,
    type: 'warning',
    rule: 'JSONArgsRecommended',
    message: 'JSON arguments recommended for CMD',
    line: 9,
    url: 'https://docs.docker.com/go/dockerfile/rule/json-args-recommended/',
  },
  { at: 3, type: 'step-started', step: label('b/1', '[builder 1/3]', 'FROM debian:13') },
  { at: 4000, type: 'step-progress', step: 'b/1', current: 1_000_000, total: 48_500_000, unit: 'bytes' },
  { at: 5100, type: 'step-progress', step: 'b/1', current: 31_200_000, total: 48_500_000, unit: 'bytes' },
  {
    at: 6003,
    type: 'step-finished',
    step: label('b/1', '[builder 1/3]', 'FROM debian:13'),
    outcome: 'done',
    duration: 6000,
    note: '48.5 MB',
  },
  {
    at: 6003,
    type: 'step-explained',
    step: label('b/2', '[builder 2/3]', 'COPY . .'),
    cache: 'miss',
    reason: '1 file differs in the build context: a.c',
    difference: { part: 'files', files: [{ path: 'a.c', change: 'content' }], more: 0 },
  },
  {
    at: 6004,
    type: 'step-finished',
    step: label('b/2', '[builder 2/3]', 'COPY . .'),
    outcome: 'cached',
    duration: 0,
  },
  { at: 6005, type: 'step-started', step: label('b/3', '[builder 3/3]', 'RUN make') },
  { at: 6105, type: 'step-output', step: 'b/3', stream: 'stdout', text: 'cc -c a.c\ncc -c b.c' },
  { at: 6205, type: 'step-started', step: label('a/1', '[app 1/2]', 'RUN apk add curl') },
  { at: 6305, type: 'step-output', step: 'a/1', stream: 'stderr', text: 'fetch \x1b[32mok\x1b[0m' },
  { at: 6405, type: 'step-output', step: 'b/3', stream: 'stdout', text: '' },
  {
    at: 6505,
    type: 'step-finished',
    step: label('b/3', '[builder 3/3]', 'RUN make'),
    outcome: 'done',
    duration: 500,
  },
  {
    at: 7205,
    type: 'step-failed',
    step: label('a/1', '[app 1/2]', 'RUN apk add curl'),
    duration: 1000,
    message: 'exit code: 1\nand more',
    code: 'RUN_FAILED',
  },
  {
    at: 7300,
    type: 'build-finished',
    imageId: SHA,
    manifest: SHA,
    names: ['docker.io/library/app:1'],
    duration: 7300,
    cached: 1,
    steps: 4,
  },
  {
    at: 7301,
    type: 'build-failed',
    code: 'RUN_FAILED',
    message: 'exit code: 1',
    duration: 7301,
    line: 7,
    suggestions: ['Look at the output.'],
  },
];

const NASTY = [
  '\x1b[2J',
  '\x1b]0;title\x07',
  '\x1b',
  '\r',
  '\b',
  '\x9b1A',
  '\t',
  '漢字',
  '👩‍👩‍👧',
  'é',
  '\u202e',
  'x'.repeat(90),
];

/** Text as a hostile or careless process prints it, without newlines. */
export const anyText: fc.Arbitrary<string> = fc
  .array(fc.oneof(fc.constantFrom(...NASTY), fc.string({ unit: 'binary' }), fc.string()), { maxLength: 6 })
  .map((parts) => parts.join('').replaceAll('\n', ' '));

const anyLines = fc.array(anyText, { minLength: 1, maxLength: 8 }).map((lines) => lines.join('\n'));
const anyId = fc.constantFrom('a/1', 'a/2', 'b/1', 'b/2', 'c/1');
const anyDuration = fc.nat(100_000);
const anyLabel = fc.record({ id: anyId, prefix: fc.constant('[a 1/2]'), name: anyLines });

const anyUntimed: fc.Arbitrary<UntimedEvent> = fc.oneof(
  fc.record({ type: fc.constant('step-started' as const), step: anyLabel }),
  fc.record({
    type: fc.constant('step-output' as const),
    step: anyId,
    stream: fc.constantFrom('stdout' as const, 'stderr' as const),
    text: anyLines,
  }),
  fc.record({
    type: fc.constant('step-progress' as const),
    step: anyId,
    current: fc.nat(),
    total: fc.nat(),
    unit: fc.constantFrom('bytes' as const, 'files' as const),
  }),
  fc.record({
    type: fc.constant('step-finished' as const),
    step: anyLabel,
    outcome: fc.constantFrom('done' as const, 'cached' as const),
    duration: anyDuration,
    note: anyText,
  }),
  fc.record({
    type: fc.constant('step-failed' as const),
    step: anyLabel,
    duration: anyDuration,
    message: anyLines,
    code: fc.constant('RUN_FAILED'),
  }),
  fc.record({
    type: fc.constant('step-explained' as const),
    step: anyLabel,
    cache: fc.constantFrom('hit' as const, 'miss' as const, 'not-needed' as const),
    reason: anyLines,
  }),
  fc.record({ type: fc.constant('warning' as const), rule: anyText, message: anyLines, url: anyText }),
  fc.record({ type: fc.constant('note' as const), message: anyLines }),
);

/** Events of a build in any order that pays no heed to sense, with times that grow. */
export const anyEvents: fc.Arbitrary<BuildEvent[]> = fc
  .array(fc.tuple(anyUntimed, fc.nat(400)), { maxLength: 25 })
  .map((pairs) => {
    let at = 0;
    return pairs.map(([event, wait]) => {
      at += wait;
      return { at, ...event };
    });
  });
