/** What the checks found, as text (in docker's form), as docker's JSON, and as SARIF 2.1.0 for code hosts. */
import type { CheckResult } from '../actions/check-build.ts';
import type { Warning } from '../dockerfile/checks/collector.ts';
import { allRules } from '../dockerfile/checks/rules.ts';
import { codeFrame } from '../progress/code-frame.ts';
import { createStyle } from '../progress/style.ts';

/** The forms of a report. */
export const CHECK_FORMATS = ['text', 'json', 'sarif'] as const;

export type CheckFormat = (typeof CHECK_FORMATS)[number];

/** The report as it is printed, with its last newline. */
export function checkReport(
  result: CheckResult,
  {
    format,
    color,
    columns,
  }: { readonly format: CheckFormat; readonly color: boolean; readonly columns: number },
): string {
  switch (format) {
    case 'text':
      return textReport(result, { color, columns });
    case 'json':
      return `${JSON.stringify(jsonReport(result), undefined, 2)}\n`;
    case 'sarif':
      return `${JSON.stringify(sarifReport(result), undefined, 2)}\n`;
  }
}

function textReport(
  { warnings }: CheckResult,
  { color, columns }: { readonly color: boolean; readonly columns: number },
): string {
  if (warnings.length === 0) return 'Check complete, no warnings found.\n';
  const style = createStyle(color);
  const lines = [
    `Check complete, ${warnings.length === 1 ? '1 warning has' : `${warnings.length} warnings have`} been found!`,
  ];
  for (const { rule, url, message, location } of byRule(warnings)) {
    lines.push('', `WARNING: ${rule} - ${url}`, message, ...codeFrame(location, { style, columns }));
  }
  return `${lines.join('\n')}\n`;
}

/** Rules in the order of their names, each from top to bottom of the file. */
function byRule(warnings: readonly Warning[]): Warning[] {
  return warnings.toSorted((one, other) => (one.rule < other.rule ? -1 : one.rule > other.rule ? 1 : 0));
}

function jsonReport({ warnings, dockerfile: { source } }: CheckResult): unknown {
  return {
    warnings: warnings.map(({ rule, description, url, message, location: { startLine, endLine } }) => ({
      ruleName: rule,
      description,
      url,
      detail: message,
      location: { ranges: [{ start: { line: startLine }, end: { line: endLine } }] },
    })),
    sources: [
      {
        fileName: source.path,
        language: 'Dockerfile',
        data: Buffer.from(source.text).toString('base64'),
      },
    ],
  };
}

function sarifReport({ warnings, dockerfile: { source } }: CheckResult): unknown {
  const used = new Set(warnings.map(({ rule }) => rule));
  const rules = allRules().filter(({ name }) => used.has(name));
  const uri = source.path === '-' ? 'Dockerfile' : encodeURI(source.path);
  return {
    version: '2.1.0',
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    runs: [
      {
        tool: {
          driver: {
            name: 'kiln',
            rules: rules.map(({ name, description, url }) => ({
              id: name,
              shortDescription: { text: description },
              helpUri: url,
            })),
          },
        },
        results: warnings.map(({ rule, message, location }) => ({
          ruleId: rule,
          ruleIndex: rules.findIndex(({ name }) => name === rule),
          level: 'warning',
          message: { text: message },
          locations: [{ physicalLocation: { artifactLocation: { uri }, region: regionOf(location) } }],
        })),
      },
    ],
  };
}

function regionOf({ startLine, endLine, startColumn, endColumn }: Warning['location']): unknown {
  return {
    startLine,
    endLine,
    ...(startColumn === undefined ? {} : { startColumn }),
    ...(endColumn === undefined ? {} : { endColumn }),
  };
}
