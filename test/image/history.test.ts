import { expect, test } from 'vitest';
import { fillTimes } from '../../src/image/history.ts';

/** Times by one letter an entry; "-" is none. */
test.each([
  ['', '', 'an empty history'],
  ['ab', 'ab', 'nothing is missing'],
  ['--', '--', 'metadata alone has no time'],
  ['-c', 'cc', 'metadata before the first layer takes that layer’s time'],
  ['ab-c', 'abcc', 'and not the time of the base image'],
  ['ab--c-d-', 'abccccdd', 'later metadata takes the time of the layer before it'],
  ['ab--', 'abbb', 'without a new layer, the last time of the base image'],
  ['a-b-d', 'abbbd', 'a base image that left one out is filled too'],
  ['-a-', 'aaa', 'around the only layer'],
])('%o becomes %o: %s', (before, after) => {
  const entries = [...before].map((created, index) => ({
    ...(created === '-' ? {} : { created }),
    created_by: `step ${index}`,
  }));
  const filled = fillTimes(entries);
  expect(filled.map(({ created }) => created ?? '-').join('')).toBe(after);
  expect(filled.map((entry) => entry.created_by)).toEqual(entries.map((entry) => entry.created_by));
});
