/**
 * What --format does to a list: the command's own table, `table TEMPLATE`, `json` (one object a line), or a template
 * executed for each row.
 */
import { renderTable, type TableOptions } from './table.ts';
import { Template } from './template.ts';

/** A row: every field that a template may name, and that `--format json` shows, in this order. */
export type Row = Readonly<Record<string, unknown>>;

export interface Listing {
  /** Heading of each field, for tables. A field without one is headed by its own name. */
  readonly headings: Readonly<Record<string, string>>;
  /** Fields of the table that is shown without --format. */
  readonly columns: readonly string[];
  /** Those of the columns that give way on a narrow terminal. */
  readonly flexible?: readonly string[];
}

export interface ListingOptions extends Pick<TableOptions, 'width'> {
  /** Value of --format; undefined or "table" for the table of the command itself. */
  readonly format: string | undefined;
}

/** Turns rows into what is printed. Throws USAGE_FORMAT, for a wrong template even when there are no rows. */
export function renderListing(rows: readonly Row[], listing: Listing, options: ListingOptions): string {
  const { format, width } = options;
  if (format === 'json') return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  if (format === undefined || format === 'table' || format === '') return ownTable(rows, listing, width);
  const table = /^table\s+(.*)$/s.exec(format)?.[1];
  const template = Template.parse(table ?? format);
  const lines = rows.map((row) => template.execute(row));
  if (table === undefined) return lines.map((line) => `${line}\n`).join('');
  const heading = template.execute(headingRow(rows, listing));
  return renderTable([heading, ...lines].map((line) => line.split('\t')));
}

/** Turns one value, or several, into what `inspect` prints: a template executed for each, or one JSON array. */
export function renderDetails(values: readonly object[], format: string | undefined): string {
  if (format === undefined || format === '') return `${JSON.stringify(values, undefined, 4)}\n`;
  if (format === 'json') return `${JSON.stringify(values)}\n`;
  const template = Template.parse(format);
  return values.map((value) => `${template.execute(value)}\n`).join('');
}

function ownTable(
  rows: readonly Row[],
  { headings, columns, flexible = [] }: Listing,
  width: number | undefined,
): string {
  const cells = rows.map((row) => columns.map((field) => String(row[field] ?? '')));
  const head = columns.map((field) => headings[field] ?? field.toUpperCase());
  const indexes = flexible.map((field) => columns.indexOf(field)).filter((index) => index >= 0);
  return renderTable([head, ...cells], { width, flexible: indexes });
}

/** The headings in place of a row's values. */
function headingRow(rows: readonly Row[], { headings }: Listing): Row {
  const fields = new Set([...Object.keys(headings), ...rows.flatMap((row) => Object.keys(row))]);
  return Object.fromEntries([...fields].map((field) => [field, headings[field] ?? field.toUpperCase()]));
}
