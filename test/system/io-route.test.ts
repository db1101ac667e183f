import { expect, test } from 'vitest';
import { IoRoute } from '../../src/system/io-route.ts';

const MB = 1 << 20;

/** Sends megabytes at what each way gives, and says which way each went. */
function send(route: IoRoute, megabytes: number, rates: Record<'cached' | 'direct', number>): string {
  let ways = '';
  for (let sent = 0; sent < megabytes; sent++) {
    const { way } = route;
    ways += way[0];
    route.went(way, { bytes: MB, milliseconds: (1000 * MB) / (rates[way] * 1e6) });
  }
  return ways;
}

test('a fast page cache is used alone', () => {
  expect(send(new IoRoute(), 300, { cached: 2000, direct: 5000 })).toBe('c'.repeat(300));
});

test('a slow one is left for a faster disk, and for good', () => {
  expect(send(new IoRoute(), 300, { cached: 290, direct: 1200 })).toBe(`${'c'.repeat(8)}${'d'.repeat(292)}`);
});

test('a slower disk is tried ever less often', () => {
  const ways = send(new IoRoute(), 400, { cached: 290, direct: 100 });
  expect(ways).toMatch(/^c{8}d{8}c{64}d{8}c{128}d{8}c+$/);
});

test('a disk that becomes slow is left again', () => {
  const route = new IoRoute();
  send(route, 40, { cached: 290, direct: 1200 });
  expect(route.way).toBe('direct');
  expect(send(route, 60, { cached: 290, direct: 90 })).toMatch(/^d{1,8}c+$/);
});

test('what is not possible is not tried again; late ends of the other way do not count', () => {
  const route = new IoRoute();
  send(route, 8, { cached: 290, direct: 1200 });
  expect(route.way).toBe('direct');
  route.went('cached', { bytes: 100 * MB, milliseconds: 1 });
  expect(route.way).toBe('direct');
  route.refuse();
  expect(send(route, 200, { cached: 290, direct: 1200 })).toBe('c'.repeat(200));
});
