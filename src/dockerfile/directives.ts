/**
 * Parser directives: `# syntax=`, `# escape=`, `# check=` at the very top of a file.
 * Follows BuildKit's frontend/dockerfile/parser (directives.go).
 */
import { BuildError, type SourceFile } from '../errors.ts';
import { trimSpace, trimStart } from './text.ts';
import type { Escape } from './words.ts';

type DirectiveName = 'syntax' | 'escape' | 'check';

interface Directive {
  readonly name: DirectiveName;
  readonly value: string;
}

/** What the directives of a file say. */
export interface Directives {
  readonly escape: Escape;
  readonly syntax?: string;
  readonly check?: string;
  /** How many lines at the top are directives; they are no comments of what follows. */
  readonly lineCount: number;
}

const DIRECTIVE = /^([a-zA-Z][a-zA-Z0-9]*)[\t\f\r ]*=([^\n]*)$/;

/** Takes a byte order mark from the start of a text. */
export function withoutByteOrderMark(text: string): string {
  return text.startsWith('\ufeff') ? text.slice(1) : text;
}

function isDirectiveName(name: string): name is DirectiveName {
  return name === 'syntax' || name === 'escape' || name === 'check';
}

/** Reads `key = value` of a known key, such as the text of a comment; undefined for anything else. */
export function parseDirectiveText(text: string): Directive | undefined {
  const match = DIRECTIVE.exec(trimStart(text));
  const name = match?.[1]?.toLowerCase() ?? '';
  const value = trimSpace(match?.[2] ?? '');
  return isDirectiveName(name) && value !== '' ? { name, value } : undefined;
}

function parseDirective(line: string, marker: string): Directive | undefined {
  return line.startsWith(marker) ? parseDirectiveText(line.slice(marker.length)) : undefined;
}

function parseEscape(value: string): Escape {
  if (value === '\\' || value === '`') return value;
  throw new BuildError('DOCKERFILE_DIRECTIVE', `invalid escape token '${value}' does not match \` or \\`, {
    suggestions: ['Write # escape=\\ or # escape=`.'],
  });
}

/**
 * Reads the directives at the top of a file: they end at the first line that is none.
 * Throws DOCKERFILE_DIRECTIVE, with its line, for a repeated directive and an invalid escape character.
 */
export function parseDirectives(source: SourceFile): Directives {
  const seen = new Map<DirectiveName, string>();
  let escapeToken: Escape = '\\';
  let lineCount = 0;
  for (const line of withoutByteOrderMark(source.text).split('\n')) {
    const directive = parseDirective(trimStart(line), '#');
    if (directive === undefined) break;
    lineCount++;
    try {
      if (seen.has(directive.name)) throw repeated(directive.name);
      seen.set(directive.name, directive.value);
      if (directive.name === 'escape') escapeToken = parseEscape(directive.value);
    } catch (error) {
      throw error instanceof BuildError
        ? error.at({ source, startLine: lineCount, endLine: lineCount })
        : error;
    }
  }
  const syntax = detectSyntax(source.text);
  const check = directiveAfterShebang(source.text, '#', 'check');
  return {
    escape: escapeToken,
    ...(syntax !== undefined && { syntax }),
    ...(check !== undefined && { check }),
    lineCount,
  };
}

function repeated(name: DirectiveName): BuildError {
  return new BuildError('DOCKERFILE_DIRECTIVE', `only one ${name} parser directive can be used`, {
    suggestions: [`Keep one # ${name}= line.`],
  });
}

/** A directive of the block at the top, below a `#!` line if there is one. */
function directiveAfterShebang(text: string, marker: string, name: DirectiveName): string | undefined {
  const lines = withoutByteOrderMark(text).split('\n');
  if (lines[0]?.startsWith('#!')) lines.shift();
  for (const line of lines) {
    const directive = parseDirective(line, marker);
    if (directive === undefined) return undefined;
    if (directive.name === name) return directive.value;
  }
  return undefined;
}

function syntaxInJson(text: string): string | undefined {
  const json = withoutByteOrderMark(text).replace(/^#![^\n]*\n?/, '');
  if (!trimStart(json).startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== 'object' || value === null || !('syntax' in value)) return undefined;
    return typeof value.syntax === 'string' ? value.syntax : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The frontend a file asks for: `# syntax=`, else `// syntax=`, else `{"syntax": …}`; a `#!` line before it is skipped.
 * The whole value is returned; the image name is its first word.
 */
export function detectSyntax(text: string): string | undefined {
  return (
    directiveAfterShebang(text, '#', 'syntax') ??
    directiveAfterShebang(text, '//', 'syntax') ??
    syntaxInJson(text)
  );
}
