/** The contexts of a build by name, each opened once, as file trees. */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { IgnoreMatcher, parseIgnoreFile } from '../dockerfile/ignore.ts';
import { BuildError, systemErrorCode } from '../errors.ts';
import { emptyTree } from '../layer/empty-tree.ts';
import type { FileTree } from '../layer/file-tree.ts';
import { toByteString } from '../system/byte-path.ts';
import { ArchiveTree } from './archive-tree.ts';
import { DigestMemory } from './digest-memory.ts';
import { DirectoryTree } from './directory-tree.ts';

/** Where the files of a context are, once they are on this machine. Plain data. */
export type ContextPlace =
  /** Absolute path; `fetched` when it was made for this build alone and goes with it. */
  | ({ readonly kind: 'directory'; readonly path: string; readonly fetched?: boolean } & Dated)
  /** An uncompressed tar, read in place. */
  | ({ readonly kind: 'archive'; readonly path: string } & Dated);

interface Dated {
  /** When it was last changed where it came from, in seconds since 1970: a commit's time, or Last-Modified. */
  readonly modified?: number | undefined;
}

/** What --build-context gave a name to. */
export type NamedContext =
  | ContextPlace
  | { readonly kind: 'image'; readonly reference: string }
  /** A git repository, or an address that is downloaded. */
  | { readonly kind: 'remote'; readonly url: string };

export interface ContextRequest {
  readonly context: ContextPlace | undefined;
  readonly ignore: readonly string[];
  readonly namedContexts: ReadonlyMap<string, NamedContext>;
}

export interface ContextPlaces {
  /** Directory for digest memories. */
  readonly store: string;
  readonly temporary: string;
  readonly clock: () => number;
  /** Brings a remote context to this machine, once a build. */
  readonly fetch: (url: string) => Promise<ContextPlace>;
}

export interface ContextTrees {
  /** The main context for undefined, else a named one. Throws CONTEXT_NOT_FOUND. */
  readonly tree: (name: string | undefined) => Promise<FileTree>;
  /** Writes what was learned of files' digests. */
  readonly save: () => void;
}

/** Opens contexts on demand. */
export function contextTrees(request: ContextRequest, places: ContextPlaces): ContextTrees {
  const trees = new Map<string | undefined, Promise<FileTree>>();
  const memories: DigestMemory[] = [];
  const openDirectory = (path: string, { remember, patterns }: DirectoryOptions): FileTree => {
    const id = createHash('sha256').update(path).digest('hex').slice(0, 32);
    const memory = remember
      ? DigestMemory.load(join(places.store, `files-${id}`), places.temporary)
      : undefined;
    if (memory !== undefined) memories.push(memory);
    const filter = patterns.length === 0 ? undefined : new IgnoreMatcher(patterns);
    return new DirectoryTree(toByteString(path), {
      filter,
      memory,
      clock: places.clock,
    });
  };
  const open = async (name: string | undefined): Promise<FileTree> => {
    const place = await placeOf(name, request, places);
    if (place === undefined) return emptyTree;
    if (place.kind === 'archive') {
      return new ArchiveTree({ path: toByteString(place.path), start: 0, size: statSync(place.path).size });
    }
    const remember = place.fetched !== true;
    if (name === undefined) return openDirectory(place.path, { remember, patterns: request.ignore });
    if (statSync(place.path, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new BuildError(
        'CONTEXT_NOT_FOUND',
        `the build context ${name}=${place.path} is not a directory`,
        {
          suggestions: ['Name a directory that exists.'],
        },
      );
    }
    return openDirectory(place.path, { remember, patterns: remember ? ignoreOf(place.path) : [] });
  };
  return {
    tree: (name) => {
      let tree = trees.get(name);
      if (tree === undefined) {
        tree = open(name);
        trees.set(name, tree);
      }
      return tree;
    },
    save: () => {
      for (const memory of memories) memory.save();
    },
  };
}

interface DirectoryOptions {
  readonly remember: boolean;
  readonly patterns: readonly string[];
}

async function placeOf(
  name: string | undefined,
  request: ContextRequest,
  places: ContextPlaces,
): Promise<ContextPlace | undefined> {
  if (name === undefined) return request.context;
  const given = request.namedContexts.get(name);
  if (given?.kind === 'remote') return places.fetch(given.url);
  if (given !== undefined && given.kind !== 'image') return given;
  throw new BuildError('CONTEXT_NOT_FOUND', `there is no build context named ${name}`, {
    suggestions: [`Pass it: --build-context ${name}=DIRECTORY`],
  });
}

/** A named directory brings its own .dockerignore. */
function ignoreOf(directory: string): readonly string[] {
  try {
    return parseIgnoreFile(readFileSync(join(directory, '.dockerignore'), 'utf8'));
  } catch (error) {
    if (error instanceof BuildError || systemErrorCode(error) !== 'ENOENT') throw error;
    return [];
  }
}
