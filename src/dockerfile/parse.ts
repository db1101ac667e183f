/** A Dockerfile's text into instructions. The entry of this folder; follows BuildKit's frontend/dockerfile. */
import { BuildError, located, type SourceFile, type SourceLocation } from '../errors.ts';
import { parseDirectives, withoutByteOrderMark } from './directives.ts';
import type { Dockerfile, Instruction } from './instruction.ts';
import { LineSplitter, type LogicalLine } from './lines.ts';
import { parseInstruction } from './parse-instruction.ts';
import { trimSpace } from './text.ts';
import { type Escape, splitHead } from './words.ts';

function fromLine(line: LogicalLine, escapeToken: Escape): Instruction {
  const { location, comments, heredocs } = line;
  const origin = { location, original: trimSpace(line.text), ...(comments.length > 0 && { comments }) };
  try {
    return parseInstruction({
      head: splitHead(line.text, escapeToken),
      text: line.text,
      origin,
      heredocs,
      escape: escapeToken,
    });
  } catch (error) {
    throw located(error, { ...location, endLine: line.headEndLine });
  }
}

/** Before the first FROM only ARG may stand. */
function checkPlace(instruction: Instruction, hasStage: boolean): void {
  if (hasStage || instruction.keyword === 'FROM' || instruction.keyword === 'ARG') return;
  throw new BuildError('DOCKERFILE_NO_STAGE', 'no build stage in current context', {
    suggestions: [`Put a FROM instruction before ${instruction.keyword}; only ARG may come earlier.`],
    location: instruction.location,
  });
}

/**
 * Reads a whole Dockerfile. Text is taken as it is: a byte order mark is dropped, CRLF and LF both end lines.
 * Throws a BuildError of an area DOCKERFILE_ with its lines for the first thing BuildKit refuses.
 */
export function parseDockerfile(source: SourceFile): Dockerfile {
  if (withoutByteOrderMark(source.text) === '') {
    throw emptyFile(source, 'the Dockerfile cannot be empty');
  }
  const { lineCount, ...directives } = parseDirectives(source);
  const splitter = new LineSplitter(source, { ...directives, lineCount });
  const instructions: Instruction[] = [];
  const warnings: Dockerfile['warnings'][number][] = [];
  let hasStage = false;
  for (const line of splitter.split()) {
    const instruction = fromLine(line, directives.escape);
    checkPlace(instruction, hasStage);
    hasStage ||= instruction.keyword === 'FROM';
    instructions.push(instruction);
    if (line.hasEmptyContinuation) warnings.push(emptyContinuation(source, line.headEndLine));
  }
  if (instructions.length === 0) throw emptyFile(source, 'file with no instructions');
  return {
    source,
    ...directives,
    instructions,
    warnings,
  };
}

function emptyFile(source: SourceFile, message: string): BuildError {
  return new BuildError('DOCKERFILE_EMPTY', message, {
    suggestions: ['Begin with a FROM instruction, such as FROM scratch.'],
    location: { source, startLine: 1, endLine: 1 },
  });
}

function emptyContinuation(source: SourceFile, line: number): Dockerfile['warnings'][number] {
  return {
    rule: 'NoEmptyContinuation',
    message: 'Empty continuation line',
    location: { source, startLine: line, endLine: line },
  };
}

function onlyLine(text: string, path: string): LogicalLine {
  const source = { path, text };
  const lines = [...new LineSplitter(source, { escape: '\\', lineCount: 0 }).split()];
  const [line] = lines;
  if (line !== undefined && lines.length === 1) return line;
  throw new BuildError('DOCKERFILE_ONBUILD', 'onbuild trigger should be a single expression', {
    suggestions: ['Write one ONBUILD for each instruction in the base image.'],
  });
}

/**
 * Reads an ONBUILD trigger of a base image. The instruction, and every error, stands at `location`: the FROM that
 * brought it in. The escape character is the backslash, whatever this file's directive says.
 * Throws DOCKERFILE_ONBUILD unless the text is one instruction other than FROM, and what parseDockerfile throws.
 */
export function parseTrigger(text: string, location: SourceLocation): Instruction {
  try {
    const line = onlyLine(text, location.source.path);
    const instruction = fromLine({ ...line, location, headEndLine: location.endLine }, '\\');
    if (instruction.keyword !== 'FROM') return { ...instruction, onBuild: true };
    throw new BuildError('DOCKERFILE_ONBUILD', "FROM isn't allowed as an ONBUILD trigger", {
      suggestions: ['Rebuild the base image without this trigger.'],
    });
  } catch (error) {
    if (error instanceof BuildError) error.location = location;
    throw error;
  }
}
