/** Rows of text in aligned columns, as terminals show them. */
import { clip, padded, textWidth } from '../progress/text-width.ts';

export interface TableOptions {
  /** Columns of the terminal; undefined when nothing may be shortened, as in a pipe. */
  readonly width?: number | undefined;
  /** Numbers of the columns that may be shortened on a narrow terminal. */
  readonly flexible?: readonly number[];
}

const GAP = '   ';

/** Shortened columns keep this much, however narrow the terminal. */
const LEAST = 12;

/**
 * One line a row; columns are three blanks apart, and the last one is not filled up. On a terminal that is too narrow
 * the widest of the flexible columns give way, ending in `…`.
 */
export function renderTable(
  rows: readonly (readonly string[])[],
  { width, flexible = [] }: TableOptions = {},
): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, index) => {
      widths[index] = Math.max(widths[index] ?? 0, textWidth(cell));
    });
  if (width !== undefined) shrink(widths, { width, flexible });
  const line = (row: readonly string[]): string =>
    row
      .map((cell, index) =>
        index === row.length - 1 ? clip(cell, widths[index] ?? 0) : padded(cell, widths[index] ?? 0),
      )
      .join(GAP);
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}

/** Takes from the widest flexible column, again and again, until all fit or none can give more. */
function shrink(widths: number[], { width, flexible }: { width: number; flexible: readonly number[] }): void {
  let excess = widths.reduce((sum, each) => sum + each, 0) + GAP.length * (widths.length - 1) - width;
  while (excess > 0) {
    const [widest] = [...flexible].sort((a, b) => (widths[b] ?? 0) - (widths[a] ?? 0));
    if (widest === undefined || (widths[widest] ?? 0) <= LEAST) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess -= 1;
  }
}
