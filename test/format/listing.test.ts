import { expect, test } from 'vitest';
import { type Listing, renderDetails, renderListing } from '../../src/format/listing.ts';
import { renderTable } from '../../src/format/table.ts';
import { formatAge, formatSize, formatTime } from '../../src/format/units.ts';

const LISTING: Listing = {
  headings: { Name: 'NAME', ID: 'THE ID', Size: 'SIZE' },
  columns: ['Name', 'Size'],
  flexible: ['Name'],
};
const ROWS = [
  { Name: 'a-rather-long-name-of-an-image', ID: '1', Size: '1B' },
  { Name: 'b', ID: '22', Size: '10B' },
];

function list(format: string | undefined, width?: number, rows = ROWS): string {
  return renderListing(rows, LISTING, { format, width });
}

test('the own table is aligned and, in a pipe, whole', () => {
  const expected =
    'NAME                             SIZE\na-rather-long-name-of-an-image   1B\nb                                10B\n';
  for (const format of [undefined, 'table', '']) expect(list(format)).toBe(expected);
  expect(list(undefined, undefined, [])).toBe('NAME   SIZE\n');
});

test('on a narrow terminal flexible columns give way, others do not', () => {
  expect(list(undefined, 24)).toBe(
    'NAME                SIZE\na-rather-long-na…   1B\nb                   10B\n',
  );
  for (const line of list(undefined, 24).trimEnd().split('\n')) expect(line.length).toBeLessThanOrEqual(24);
  // No narrower than can be read.
  expect(list(undefined, 5)).toContain('a-rather-lo…');
});

test('table TEMPLATE has headings, a template alone has none', () => {
  expect(list('table {{.ID}}\\t{{upper .Name}}')).toBe(
    'THE ID   NAME\n1        A-RATHER-LONG-NAME-OF-AN-IMAGE\n22       B\n',
  );
  expect(list('{{.ID}}\\t{{.Size}}')).toBe('1\t1B\n22\t10B\n');
});

test('json is one object a line', () => {
  expect(
    list('json')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual(ROWS);
  expect(list('json', undefined, [])).toBe('');
});

test('a wrong template is told even when there is nothing to show', () => {
  expect(() => list('{{.Name', undefined, [])).toThrow('not closed');
  expect(() => list('{{.Nothing}}')).toThrow('there are Name, ID, Size');
  expect(() => list('table {{.Nothing}}', undefined, [])).toThrow('no field .Nothing');
});

test('details are an array, or a line a value', () => {
  expect(JSON.parse(renderDetails(ROWS, undefined))).toEqual(ROWS);
  expect(renderDetails(ROWS, 'json')).toBe(`${JSON.stringify(ROWS)}\n`);
  expect(renderDetails(ROWS, '{{.ID}}')).toBe('1\n22\n');
  expect(renderDetails([], undefined)).toBe('[]\n');
});

test('wide characters are counted as terminals show them', () => {
  expect(
    renderTable([
      ['名前', 'x'],
      ['ab', 'y'],
    ]),
  ).toBe('名前   x\nab     y\n');
});

test('sizes, ages and times', () => {
  expect([0, 999, 1000, 999_499, 999_500, 12_345_678, 5e15].map(formatSize)).toEqual([
    '0B',
    '999B',
    '1kB',
    '999kB',
    '1MB',
    '12.3MB',
    '5000TB',
  ]);
  const now = Date.parse('2026-01-02T00:00:00Z');
  expect(formatAge('2026-01-01T00:00:00Z', now)).toBe('1 day ago');
  expect(formatAge('2027-01-01T00:00:00Z', now)).toBe('0 seconds ago');
  expect([formatAge(undefined, now), formatAge('x', now), formatTime(undefined)]).toEqual([
    'N/A',
    'N/A',
    'N/A',
  ]);
  expect(formatTime('2026-01-02T03:04:05.678Z')).toBe('2026-01-02 03:04:05 +0000 UTC');
});
