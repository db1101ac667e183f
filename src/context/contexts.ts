/** The contexts of a build by name, each opened once, as file trees. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { IgnoreMatcher } from '../dockerfile/ignore.ts';
import { BuildError } from '../errors.ts';
import { emptyTree } from '../layer/empty-tree.ts';
import type { FileTree } from '../layer/file-tree.ts';
import { toByteString } from '../system/byte-path.ts';
import { DigestMemory } from './digest-memory.ts';
import { DirectoryTree } from './directory-tree.ts';

export interface ContextRequest {
  readonly context: string | undefined;
  readonly ignore: readonly string[];
  readonly namedContexts: ReadonlyMap<string, string>;
  readonly directory: string;
}

export interface ContextPlaces {
  /** Directory for digest memories. */
  readonly store: string;
  readonly temporary: string;
  readonly clock: () => number;
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
  const open = async (name: string | undefined): Promise<FileTree> => {
    const given = name === undefined ? request.context : request.namedContexts.get(name);
    if (given === undefined) {
      if (name === undefined) return emptyTree;
      throw new BuildError('CONTEXT_NOT_FOUND', `there is no build context named ${name}`, {
        suggestions: [`Pass it: --build-context ${name}=DIRECTORY`],
      });
    }
    const directory = resolve(request.directory, given);
    if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new BuildError('CONTEXT_NOT_FOUND', `the build context ${given} is not a directory`, {
        suggestions: ['Name a directory that exists.'],
      });
    }
    const id = createHash('sha256').update(directory).digest('hex').slice(0, 32);
    const memory = DigestMemory.load(join(places.store, `files-${id}`), places.temporary);
    memories.push(memory);
    const patterns = name === undefined ? request.ignore : [];
    const filter = patterns.length === 0 ? undefined : new IgnoreMatcher(patterns);
    return new DirectoryTree(toByteString(directory), { filter, memory, clock: places.clock });
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
