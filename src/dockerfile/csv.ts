/** One line of comma-separated values with double quotes, as Go's encoding/csv reads it. */

function failure(at: number, reason: string): Error {
  return new Error(`parse error on line 1, column ${at + 1}: ${reason}`);
}

/** Reads a quoted field from its opening quote; `end` is where the next field or the end of the line is. */
function readQuoted(line: string, start: number): { field: string; end: number } {
  let field = '';
  for (let at = start + 1; ; ) {
    const close = line.indexOf('"', at);
    if (close < 0) throw failure(at, 'extraneous or missing " in quoted-field');
    field += line.slice(at, close);
    const after = line[close + 1];
    if (after === undefined || after === ',') return { field, end: close + 1 };
    if (after !== '"') throw failure(close, 'extraneous or missing " in quoted-field');
    field += '"';
    at = close + 2;
  }
}

/**
 * The fields of a line; at least one. Throws an Error with Go's text for an empty line, a quote inside a plain field and
 * a quoted field that does not end well.
 */
export function splitCsv(text: string): string[] {
  const line = text.replace(/\r?\n$/, '');
  if (line === '') throw new Error('EOF');
  const fields: string[] = [];
  for (let at = 0; ; ) {
    let end: number;
    if (line[at] === '"') {
      const quoted = readQuoted(line, at);
      fields.push(quoted.field);
      end = quoted.end;
    } else {
      const comma = line.indexOf(',', at);
      end = comma < 0 ? line.length : comma;
      const field = line.slice(at, end);
      if (field.includes('"')) throw failure(at + field.indexOf('"'), 'bare " in non-quoted-field');
      fields.push(field);
    }
    if (end >= line.length) return fields;
    at = end + 1;
  }
}
