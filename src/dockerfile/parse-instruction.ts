/** One instruction from its line: the table of keywords and the instructions that set a value. */
import { BuildError } from '../errors.ts';
import { parseFlags } from './flags.ts';
import type {
  ArgInstruction,
  EnvInstruction,
  ExposeInstruction,
  FromInstruction,
  Heredoc,
  Instruction,
  KeyValue,
  LabelInstruction,
  OnbuildInstruction,
  VolumeInstruction,
} from './instruction.ts';
import { attachNeedle } from './needle.ts';
import { parseCmd, parseEntrypoint, parseHealthcheck, parseRun, parseShell } from './parse-command.ts';
import { parseAdd, parseCopy } from './parse-transfer.ts';
import { argumentError, errorAtArgument, needsArgument, onlyArgument, type Request } from './request.ts';
import { didYouMean } from './suggest.ts';
import { cut, cutAtSeparator, quote, splitAtSeparators, trimSpace } from './text.ts';
import { type Escape, parseJsonArray, splitHead, splitQuotedWords } from './words.ts';

const STAGE_NAME = /^[a-z][a-z0-9-_.]*$/;

function parseFrom({ head, origin }: Request): FromInstruction {
  const [image = '', as, name, ...others] = splitAtSeparators(head.rest);
  const named = name !== undefined && as?.toLowerCase() === 'as' && others.length === 0;
  if (image === '' || (as !== undefined && !named)) {
    throw argumentError(
      'FROM requires either one or three arguments',
      'Write FROM IMAGE or FROM IMAGE AS NAME.',
    );
  }
  const stageName = named ? name.toLowerCase() : undefined;
  if (stageName !== undefined && !STAGE_NAME.test(stageName)) {
    const message = `invalid name for build stage: ${quote(name ?? '')}, name can't start with a number or contain symbols`;
    const remedy = 'Begin with a letter, then letters, digits, dots, dashes and underscores.';
    throw errorAtArgument(
      new BuildError('DOCKERFILE_STAGE_NAME', message, { suggestions: [remedy] }),
      name ?? '',
    );
  }
  const { platform } = parseFlags(head.flags, { platform: 'text' });
  return {
    keyword: 'FROM',
    ...origin,
    image,
    ...(platform !== undefined && platform !== '' && { platform }),
    ...(stageName !== undefined && { stageName }),
  };
}

interface Pairs {
  readonly pairs: readonly KeyValue[];
  readonly legacyForm?: true;
}

/** `k=v k=v`, or the old form `k all the rest`. */
function parsePairs(keyword: 'ENV' | 'LABEL', rest: string, escapeToken: Escape): Pairs {
  const words = splitQuotedWords(rest, escapeToken);
  if (words[0]?.includes('=') === false) {
    const [key, value] = cutAtSeparator(rest);
    if (value === undefined)
      throw argumentError(`${keyword} must have two arguments`, `Write ${keyword} ${key}=VALUE.`);
    return { pairs: [{ key, value }], legacyForm: true };
  }
  const pairs = words.map((word) => {
    const [key, value] = cut(word, '=');
    if (value !== undefined) return { key, value };
    const message = `Syntax error - can't find = in ${quote(word)}. Must be of the form: name=value`;
    const remedy = 'Put a value that holds spaces in double quotes.';
    throw errorAtArgument(new BuildError('DOCKERFILE_SYNTAX', message, { suggestions: [remedy] }), word);
  });
  return { pairs };
}

function namedPairs(keyword: 'ENV' | 'LABEL', { head, ...request }: Request): Pairs {
  const result = parsePairs(keyword, head.rest, request.escape);
  parseFlags(head.flags, {});
  if (result.pairs.length === 0) throw needsArgument(keyword, `${keyword} KEY=value`);
  if (result.pairs.some(({ key }) => key === '')) throw blankName(keyword);
  return result;
}

function blankName(keyword: string): BuildError {
  return argumentError(`${keyword} names can not be blank`, `Write a name in front of the equals sign.`);
}

function parseEnv(request: Request): EnvInstruction {
  return { keyword: 'ENV', ...request.origin, ...namedPairs('ENV', request) };
}

function parseLabel(request: Request): LabelInstruction {
  return { keyword: 'LABEL', ...request.origin, ...namedPairs('LABEL', request) };
}

function parseArg({ head, origin, ...request }: Request): ArgInstruction {
  const words = splitQuotedWords(head.rest, request.escape);
  parseFlags(head.flags, {});
  if (words.length === 0) throw needsArgument('ARG', 'ARG VERSION=1.0');
  const args = words.map((word) => {
    const [name, value] = cut(word, '=');
    if (name === '') throw blankName('ARG');
    return value === undefined ? { name } : { name, value };
  });
  return { keyword: 'ARG', ...origin, args };
}

function parseExpose({ head, origin }: Request): ExposeInstruction {
  const ports = splitAtSeparators(head.rest);
  if (ports.length === 0) throw needsArgument('EXPOSE', 'EXPOSE 8080/tcp');
  parseFlags(head.flags, {});
  // Sorted as BuildKit sorts them: the history entry shows this order.
  return { keyword: 'EXPOSE', ...origin, ports: ports.sort() };
}

function parseVolume({ head, origin }: Request): VolumeInstruction {
  const words = parseJsonArray(head.rest) ?? splitAtSeparators(head.rest);
  if (words.length === 0) throw needsArgument('VOLUME', 'VOLUME /data');
  parseFlags(head.flags, {});
  const paths = words.map(trimSpace);
  if (paths.includes('')) {
    throw argumentError('VOLUME specified can not be an empty string', 'Remove the empty path.');
  }
  return { keyword: 'VOLUME', ...origin, paths };
}

const FORBIDDEN_TRIGGERS = new Set(['MAINTAINER', 'FROM']);

function parseOnbuild({ head, origin, heredocs, ...request }: Request): OnbuildInstruction {
  if (head.rest === '') throw needsArgument('ONBUILD', 'ONBUILD RUN make');
  const inner = splitHead(head.rest, request.escape);
  const keyword = inner.keyword.toUpperCase();
  checkShape(keyword, inner.rest, request.escape);
  parseFlags(head.flags, {});
  if (keyword === 'ONBUILD') throw onbuildError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (FORBIDDEN_TRIGGERS.has(keyword)) throw onbuildError(`${keyword} isn't allowed as an ONBUILD trigger`);
  const text = request.text.replace(/^\s*ONBUILD\s*/i, '');
  return { keyword: 'ONBUILD', ...origin, trigger: text + heredocs.map(heredocText).join('') };
}

function heredocText({ content, name }: Heredoc): string {
  return `\n${content}${name}`;
}

function onbuildError(message: string): BuildError {
  const suggestions = ['An ONBUILD trigger is any instruction but FROM, MAINTAINER and ONBUILD.'];
  return new BuildError('DOCKERFILE_ONBUILD', message, { suggestions });
}

/** What BuildKit's parser refuses in a trigger already here; the rest shows when the trigger is used. */
function checkShape(keyword: string, rest: string, escapeToken: Escape): void {
  if (keyword === 'ENV' || keyword === 'LABEL') parsePairs(keyword, rest, escapeToken);
  else if (keyword === 'HEALTHCHECK') parseJsonArray(cutAtSeparator(rest)[1] ?? '');
  else if (/^(ADD|COPY|VOLUME|RUN|CMD|ENTRYPOINT|SHELL)$/.test(keyword)) parseJsonArray(rest);
}

/** Instructions whose only argument is the rest of the line. */
function withArgument<T>(
  keyword: string,
  make: (argument: string) => T,
): (request: Request) => T & Request['origin'] {
  return (request) => {
    const argument = onlyArgument(keyword, request);
    parseFlags(request.head.flags, {});
    return { ...request.origin, ...make(argument) };
  };
}

const PARSERS: { readonly [Keyword in Instruction['keyword']]: (request: Request) => Instruction } = {
  ADD: parseAdd,
  ARG: parseArg,
  CMD: parseCmd,
  COPY: parseCopy,
  ENTRYPOINT: parseEntrypoint,
  ENV: parseEnv,
  EXPOSE: parseExpose,
  FROM: parseFrom,
  HEALTHCHECK: parseHealthcheck,
  LABEL: parseLabel,
  MAINTAINER: withArgument('MAINTAINER', (name) => ({ keyword: 'MAINTAINER', name })),
  ONBUILD: parseOnbuild,
  RUN: parseRun,
  SHELL: parseShell,
  STOPSIGNAL: withArgument('STOPSIGNAL', (signal) => ({ keyword: 'STOPSIGNAL', signal })),
  USER: withArgument('USER', (user) => ({ keyword: 'USER', user })),
  VOLUME: parseVolume,
  WORKDIR: withArgument('WORKDIR', (path) => ({ keyword: 'WORKDIR', path })),
};

const KEYWORDS = Object.keys(PARSERS);

function isKeyword(word: string): word is Instruction['keyword'] {
  return Object.hasOwn(PARSERS, word);
}

function unknownInstruction(keyword: string): BuildError {
  const suggestions = [
    ...didYouMean(keyword, KEYWORDS, { ignoreCase: true }),
    'If the line belongs to the instruction above, end that one with the escape character.',
  ];
  const error = new BuildError('DOCKERFILE_UNKNOWN_INSTRUCTION', `unknown instruction: ${keyword}`, {
    suggestions,
  });
  return attachNeedle(error, { kind: 'keyword' });
}

/** The instruction of a line. Throws a BuildError of an area DOCKERFILE_ without a location. */
export function parseInstruction(request: Request): Instruction {
  const keyword = request.head.keyword.toUpperCase();
  if (!isKeyword(keyword)) throw unknownInstruction(request.head.keyword);
  return PARSERS[keyword](request);
}
