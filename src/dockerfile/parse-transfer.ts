/** COPY and ADD. Follows BuildKit's instructions/parse.go. */
import { BuildError } from '../errors.ts';
import { type FlagValues, parseFlags } from './flags.ts';
import { parseHeredocWord } from './heredoc.ts';
import type { AddInstruction, CopyInstruction, Heredoc } from './instruction.ts';
import { argumentError, errorAtArgument, type Request } from './request.ts';
import { splitAtSeparators } from './text.ts';
import { parseJsonArray } from './words.ts';

const SHARED_FLAGS = { chown: 'text', chmod: 'text', link: 'boolean', exclude: 'list' } as const;
const COPY_FLAGS = { ...SHARED_FLAGS, from: 'text', parents: 'boolean' } as const;
const ADD_FLAGS = {
  ...SHARED_FLAGS,
  checksum: 'text',
  'keep-git-dir': 'boolean',
  unpack: 'boolean',
} as const;

/** Words of the list form; `<< EOF` is one word here as it is for RUN. */
function listWords(rest: string): string[] {
  const words: string[] = [];
  for (const word of splitAtSeparators(rest)) {
    const previous = words.at(-1);
    if (previous !== undefined && /^\d*<<-?$/.test(previous)) words.splice(-1, 1, previous + word);
    else words.push(word);
  }
  return words;
}

interface Paths {
  readonly sources: readonly string[];
  readonly destination: string;
  readonly heredocs: readonly Heredoc[];
}

function readPaths(keyword: string, { head, heredocs }: Request): () => Paths {
  const json = parseJsonArray(head.rest);
  const words = json ?? listWords(head.rest);
  const destination = words.at(-1);
  if (destination === undefined || words.length < 2) {
    throw argumentError(
      `${keyword} requires at least two arguments, but only one was provided. Destination could not be determined`,
      `Write ${keyword} SOURCE DESTINATION.`,
    );
  }
  return () =>
    sortPaths(keyword, { words, destination, heredocs: json === undefined ? heredocs : undefined });
}

interface PathWords {
  readonly words: readonly string[];
  readonly destination: string;
  /** Undefined in the JSON form, where `<<` is part of a name. */
  readonly heredocs: readonly Heredoc[] | undefined;
}

/** Tells here-documents from paths. */
function sortPaths(keyword: string, { words, destination, heredocs }: PathWords): Paths {
  const given = words.slice(0, -1);
  if (heredocs === undefined) return { sources: given, destination, heredocs: [] };
  if (parseHeredocWord(destination) !== undefined) {
    const error = new BuildError(
      'DOCKERFILE_HEREDOC',
      `${keyword} cannot accept a heredoc as a destination`,
      {
        suggestions: [`Put the destination path after the heredoc: ${keyword} ${destination} /path.`],
      },
    );
    throw errorAtArgument(error, destination);
  }
  const sources: string[] = [];
  const bodies: Heredoc[] = [];
  for (const word of given) {
    const mark = parseHeredocWord(word);
    if (mark === undefined) sources.push(word);
    // Of two heredocs with one name the later is the file's content.
    else bodies.push(heredocs.findLast((heredoc) => heredoc.name === mark.name) ?? { ...mark, content: '' });
  }
  return { sources, destination, heredocs: bodies };
}

function sharedOptions(flags: FlagValues<typeof SHARED_FLAGS>) {
  return {
    ...(flags.chown !== undefined && { chown: flags.chown }),
    ...(flags.chmod !== undefined && { chmod: flags.chmod }),
    link: flags.link ?? false,
    exclude: flags.exclude ?? [],
  };
}

/** `COPY [--from --chown --chmod --link --parents --exclude] SOURCE… DESTINATION`. */
export function parseCopy(request: Request): CopyInstruction {
  const paths = readPaths('COPY', request);
  const flags = parseFlags(request.head.flags, COPY_FLAGS);
  if (flags.from !== undefined && /\$./.test(flags.from)) {
    const error = argumentError(
      'variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround',
      'Add a stage such as FROM $IMAGE AS tools and write --from=tools.',
    );
    throw errorAtArgument(error, flags.from);
  }
  return {
    keyword: 'COPY',
    ...request.origin,
    ...paths(),
    ...sharedOptions(flags),
    parents: flags.parents ?? false,
    ...(flags.from !== undefined && flags.from !== '' && { from: flags.from }),
  };
}

/** `ADD [--chown --chmod --link --exclude --checksum --keep-git-dir --unpack] SOURCE… DESTINATION`. */
export function parseAdd(request: Request): AddInstruction {
  const paths = readPaths('ADD', request);
  const flags = parseFlags(request.head.flags, ADD_FLAGS);
  const keepGitDir = flags['keep-git-dir'];
  return {
    keyword: 'ADD',
    ...request.origin,
    ...paths(),
    ...sharedOptions(flags),
    parents: false,
    ...(flags.checksum !== undefined && { checksum: flags.checksum }),
    ...(keepGitDir !== undefined && { keepGitDir }),
    ...(flags.unpack !== undefined && { unpack: flags.unpack }),
  };
}
