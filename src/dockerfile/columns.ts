/**
 * Columns for messages, found with dockerfile-ast. Only this file knows that package, and only when a message is
 * printed: loading it costs some milliseconds. It gets one instruction at a time, cut by our own splitter, because it
 * finds the borders of instructions wrongly in ways that matter, but positions within one rightly.
 */
import type { Instruction as AstInstruction } from 'dockerfile-ast';
import { BuildError, type SourceLocation } from '../errors.ts';
import { parseDirectives } from './directives.ts';
import { type Needle, needleOf } from './needle.ts';
import { trimStart } from './text.ts';
import type { Escape } from './words.ts';

/** dockerfile-ast's range: lines and characters from 0. */
type AstRange = ReturnType<AstInstruction['getInstructionRange']>;

function escapeOf(location: SourceLocation): Escape {
  try {
    return parseDirectives(location.source).escape;
  } catch (error) {
    // A wrong directive is reported by the parser; here the default will do.
    if (error instanceof BuildError) return '\\';
    throw error;
  }
}

/** The lines of an instruction as dockerfile-ast reads them rightly: no comment and no empty line inside. */
function isolate(location: SourceLocation, escapeToken: Escape): string {
  const lines = location.source.text.split('\n').slice(location.startLine - 1, location.endLine);
  const cleaned = lines.map((line, index) => {
    const start = trimStart(line);
    return index > 0 && (start === '' || start.startsWith('#')) ? escapeToken : line;
  });
  return `# escape=${escapeToken}\n${cleaned.join('\n')}`;
}

function textAt(text: string, range: AstRange): string {
  if (range.start.line !== range.end.line) return '';
  return (text.split('\n')[range.start.line] ?? '').slice(range.start.character, range.end.character);
}

async function findRange(location: SourceLocation, needle: Needle): Promise<AstRange | undefined> {
  // CommonJS: only the default export is there both in the bundle and from the package.
  const { DockerfileParser, ModifiableInstruction } = (await import('dockerfile-ast')).default;
  const text = isolate(location, escapeOf(location));
  const instruction = DockerfileParser.parse(text).getInstructions()[0];
  if (instruction === undefined) return undefined;
  switch (needle.kind) {
    case 'keyword':
      return instruction.getInstructionRange();
    case 'flag': {
      if (!(instruction instanceof ModifiableInstruction)) return undefined;
      return instruction
        .getFlags()
        .find((flag) => flag.getName() === needle.name)
        ?.getRange();
    }
    case 'argument':
      return instruction
        .getArguments()
        .map((argument) => argument.getRange())
        .find((range) => textAt(text, range) === needle.text);
    case 'variable':
      return instruction
        .getVariables()
        .find((variable) => variable.getName() === needle.name)
        ?.getRange();
  }
}

/** What the needle looks like in the text, for what dockerfile-ast does not see. */
function patternOf(needle: Needle): RegExp {
  const name = 'name' in needle ? needle.name : 'text' in needle ? needle.text : '';
  const quoted = name.replaceAll(/[^\p{L}\p{Nd}_]/gu, '\\$&');
  if (needle.kind === 'keyword') return /\S+/;
  if (needle.kind === 'flag') return new RegExp(`--${quoted}(?![\\w-])\\S*`);
  if (needle.kind === 'argument') return new RegExp(quoted);
  return new RegExp(`\\$(?:${quoted}(?!\\w)|\\{${quoted}(?!\\w)[^}]*\\}?)`);
}

function searchText(location: SourceLocation, needle: Needle): SourceLocation | undefined {
  const lines = location.source.text.split('\n').slice(location.startLine - 1, location.endLine);
  const pattern = patternOf(needle);
  for (const [index, line] of lines.entries()) {
    const match = trimStart(line).startsWith('#') ? null : pattern.exec(line);
    if (match === null) continue;
    const lineNumber = location.startLine + index;
    const startColumn = match.index + 1;
    const endColumn = startColumn + match[0].length;
    return { source: location.source, startLine: lineNumber, endLine: lineNumber, startColumn, endColumn };
  }
  return undefined;
}

/**
 * Where within an instruction the needle is: the same location with columns, on the needle's own lines. The given location
 * where the needle cannot be found or the location has columns already. Never throws for odd text.
 */
export async function pinpoint(location: SourceLocation, needle: Needle): Promise<SourceLocation> {
  if (location.startColumn !== undefined) return location;
  const range = await findRange(location, needle);
  if (range === undefined) return searchText(location, needle) ?? location;
  // Line 0 of what was parsed is the escape directive.
  const offset = location.startLine - 1;
  return {
    source: location.source,
    startLine: range.start.line + offset,
    endLine: range.end.line + offset,
    startColumn: range.start.character + 1,
    endColumn: range.end.character + 1,
  };
}

/** Gives an error the columns of what it is about, if it knows. To be called before the error is printed. */
export async function pinpointError(error: BuildError): Promise<void> {
  const needle = needleOf(error);
  if (needle === undefined || error.location === undefined) return;
  error.location = await pinpoint(error.location, needle);
}
