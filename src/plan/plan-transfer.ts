/** COPY and ADD -> a step: sources told apart, destination made absolute, owner and mode expanded. */
import type { AddInstruction, CopyInstruction } from '../dockerfile/instruction.ts';
import { isGitSource, isHttpSource } from '../dockerfile/remote-source.ts';
import { BuildError, type SourceLocation } from '../errors.ts';
import { stripTabs } from './plan-run.ts';
import { type InputRef, resolveFrom } from './stage-graph.ts';
import type { StageState } from './stage-state.ts';
import type { RemoteSource, TransferSource, TransferStep } from './step.ts';

type TransferInstruction = CopyInstruction | AddInstruction;

/** Plans a COPY or ADD. Throws DOCKERFILE_* for sources and flags that do not go together. */
export function planTransfer(state: StageState, instruction: TransferInstruction): void {
  const { location } = instruction;
  const scope = state.scope;
  const chown = instruction.chown === undefined ? undefined : scope.expand(instruction.chown, location);
  const chmod = instruction.chmod === undefined ? undefined : scope.expand(instruction.chmod, location);
  const destination = scope.expand(instruction.destination, location);
  const words = instruction.sources.map((source) => scope.expand(source, location));
  const keepGitDir = instruction.keyword === 'ADD' ? instruction.keepGitDir : undefined;
  const checksum =
    instruction.keyword === 'ADD' && instruction.checksum !== undefined
      ? scope.expand(instruction.checksum, location)
      : undefined;
  if (chmod !== undefined) validateChmod(chmod, location);
  validateChecksum(checksum, { words, keepGitDir, location });
  const sources: TransferSource[] = [
    ...words.map((word) => sourceOf(state, word, instruction)),
    ...instruction.heredocs.map(({ name, content, expand, stripTabs: strip }) => {
      const body = strip ? stripTabs(content) : content;
      return { kind: 'inline' as const, name, content: expand ? scope.expandBody(body, location) : body };
    }),
  ];
  const step: TransferStep = {
    kind: 'transfer',
    title: state.nextTitle(instruction),
    location,
    noCache: state.noCache,
    instruction: instruction.keyword,
    sources,
    destination: state.absolute(destination),
    chown: chown === '' ? undefined : chown,
    chmod: chmod === '' ? undefined : chmod,
    // As in BuildKit, --chmod takes --link back: a mode can only be given to files in their place.
    link: instruction.link && !chmod,
    parents: instruction.parents,
    exclude: instruction.exclude,
    checksum,
    keepGitDir,
    unpack: instruction.keyword === 'ADD' ? instruction.unpack : undefined,
  };
  state.push(step, historyOf(instruction, { words, chown, chmod, destination }));
}

function historyOf(
  { keyword, parents, heredocs }: TransferInstruction,
  {
    words,
    chown,
    chmod,
    destination,
  }: { words: readonly string[]; chown: string | undefined; chmod: string | undefined; destination: string },
): string {
  const parts = [
    keyword,
    ...(parents ? ['--parents'] : []),
    ...(chown ? [`--chown=${chown}`] : []),
    ...(chmod ? [`--chmod=${chmod}`] : []),
    ...words,
    ...heredocs.map(({ name }) => `<<${name}`),
    destination,
    '# buildkit',
  ];
  return parts.join(' ');
}

function sourceOf(state: StageState, word: string, instruction: TransferInstruction): TransferSource {
  const { keyword, location } = instruction;
  const remote = remoteSourceOf(word, keyword === 'ADD' ? instruction.keepGitDir : undefined);
  if (remote === undefined) return { kind: 'tree', from: fromOf(state, instruction), pattern: word };
  if (keyword === 'ADD') return remote;
  const what = remote.kind === 'git' ? 'git ref' : 'URL';
  throw new BuildError('DOCKERFILE_COPY', `source can't be a ${what} for COPY`, {
    location,
    suggestions: ['Use ADD for remote sources.'],
  });
}

/** A source that is fetched; undefined for a path. --keep-git-dir, either way, says that an http(s) address is a repository. */
export function remoteSourceOf(word: string, keepGitDir: boolean | undefined): RemoteSource | undefined {
  if (isGitSource(word)) return { kind: 'git', url: word };
  if (!isHttpSource(word)) return undefined;
  return keepGitDir === undefined
    ? { kind: 'http', url: word, filename: filenameOf(word) }
    : { kind: 'git', url: word };
}

function fromOf(state: StageState, instruction: TransferInstruction): InputRef | 'context' {
  if (instruction.keyword !== 'COPY' || instruction.from === undefined || instruction.from === '')
    return 'context';
  const { from, location } = instruction;
  if (from.includes('$')) {
    throw new BuildError('DOCKERFILE_FROM', 'variable expansion is not supported for --from', {
      location,
      suggestions: [
        'Define a stage with FROM that uses the ARG from the global scope, and copy from that stage.',
      ],
    });
  }
  return resolveFrom(state.graph, { from, stage: state.stage, location });
}

function filenameOf(url: string): string {
  const path = /^https?:\/\/[^/?#]*([^?#]*)/.exec(url)?.[1] ?? '';
  const base = path.replace(/\/+$/, '').split('/').at(-1) ?? '';
  if (base === '') return '__unnamed__';
  try {
    return decodeURIComponent(base);
  } catch {
    return base;
  }
}

/** Symbolic modes as chmod(1) takes them: [ugoa]*([-+=][rwxXst]*|[ugo])+, several joined by commas. */
const SYMBOLIC_MODE = /^[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+(?:,[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+)*$/;

function validateChmod(chmod: string, location: SourceLocation): void {
  if (chmod === '') return;
  const octal = /^[0-7]+$/.test(chmod) && Number.parseInt(chmod, 8) <= 0o7777;
  if (octal || SYMBOLIC_MODE.test(chmod)) return;
  throw new BuildError(
    'DOCKERFILE_CHMOD',
    `invalid chmod parameter: '${chmod}'. it should be octal string and between 0 and 07777`,
    { location, suggestions: ['Write an octal mode such as 0755, or a symbolic one such as u=rwX,go=rX.'] },
  );
}

/** Throws DOCKERFILE_CHECKSUM for a --checksum that is none, or does not fit the sources. */
export function validateChecksum(
  checksum: string | undefined,
  {
    words,
    keepGitDir,
    location,
  }: {
    readonly words: readonly string[];
    readonly keepGitDir: boolean | undefined;
    readonly location: SourceLocation;
  },
): void {
  if (checksum === undefined || checksum === '') return;
  const fail = (message: string): never => {
    throw new BuildError('DOCKERFILE_CHECKSUM', message, {
      location,
      suggestions: ['Give one http(s) or git source, and a checksum such as sha256:… or a commit.'],
    });
  };
  if (words.length !== 1) fail("checksum can't be specified for multiple sources");
  const source = remoteSourceOf(words[0] ?? '', keepGitDir);
  if (source === undefined) fail('checksum requires HTTP(S) or Git sources');
  if (
    source?.kind === 'http' &&
    !/^sha256:[0-9a-f]{64}$|^sha(?:384:[0-9a-f]{96}|512:[0-9a-f]{128})$/.test(checksum)
  ) {
    fail(`invalid checksum digest format: ${checksum}`);
  }
}
