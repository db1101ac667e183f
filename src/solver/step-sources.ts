/** The files a step's sources name, selected once a step and remembered, with a digest over what would be copied. */
import { createHash } from 'node:crypto';
import { cleanPath, IgnoreMatcher } from '../dockerfile/ignore.ts';
import { BuildError } from '../errors.ts';
import type { Digest } from '../image/descriptor.ts';
import type { FileTree } from '../layer/file-tree.ts';
import type { InputRef } from '../plan/stage-graph.ts';
import type { TransferSource, TransferStep } from '../plan/step.ts';
import type { PatternSet } from './pattern-set.ts';
import { type SourceMatch, selectSource } from './select-sources.ts';
import type { SolverContext } from './solver-context.ts';
import type { StageState } from './step-layer.ts';

export type StageOf = (input: InputRef) => Promise<StageState>;

type TreeSource = Extract<TransferSource, { kind: 'tree' }>;

const remembered = new WeakMap<TransferSource, Promise<readonly SourceMatch[]>>();

/** What a tree source of a COPY or ADD names. Throws COPY_SOURCE_NOT_FOUND at the instruction's line. */
export function matchesOf(
  context: SolverContext,
  { step, source, stageOf }: { step: TransferStep; source: TreeSource; stageOf: StageOf },
): Promise<readonly SourceMatch[]> {
  let matches = remembered.get(source);
  if (matches === undefined) {
    matches = select(context, { step, source, stageOf });
    remembered.set(source, matches);
  }
  return matches;
}

async function select(
  context: SolverContext,
  { step, source, stageOf }: { step: TransferStep; source: TreeSource; stageOf: StageOf },
): Promise<readonly SourceMatch[]> {
  const tree = await treeOf(context, source.from, stageOf);
  try {
    return selectSource(tree, source.pattern, {
      place: placeName(source.from),
      exclude: step.exclude.length === 0 ? undefined : patternSet(step.exclude),
      parents: step.parents,
      makePatterns: patternSet,
    });
  } catch (error) {
    throw error instanceof BuildError ? error.at(step.location) : error;
  }
}

/** The tree a source reads from: a context, or what a stage or image has become. */
export async function treeOf(
  context: SolverContext,
  from: InputRef | 'context',
  stageOf: StageOf,
): Promise<FileTree> {
  if (from === 'context') return context.options.contextTree(undefined);
  if (from.kind === 'context') return context.options.contextTree(from.name);
  const state = await stageOf(from);
  return context.access.tree(state.layers, { contents: true });
}

function placeName(from: InputRef | 'context'): string {
  if (from === 'context') return 'the build context';
  switch (from.kind) {
    case 'context':
      return `the context ${from.name}`;
    case 'stage':
      return `stage ${from.index}`;
    case 'image':
      return from.reference;
    case 'scratch':
      return 'scratch';
  }
}

/** Patterns of --exclude as one set. */
export function patternSet(list: readonly string[]): PatternSet {
  const clean = (pattern: string): string =>
    pattern.startsWith('!') ? `!${cleanPath(pattern.slice(1))}` : cleanPath(pattern);
  return new IgnoreMatcher(list.map((pattern) => clean(pattern).replace(/^(!?)\//, '$1')));
}

/** Digest over everything matched: names, kinds, modes, owners, attributes, link targets and bytes; never times. */
export function digestMatches(matches: readonly SourceMatch[]): Digest {
  const hash = createHash('sha256');
  for (const match of matches) {
    hash.update(`match ${match.name}\n`);
    for (const { path, relative, entry } of match.files) {
      const { type, mode, uid, gid, linkTarget, devMajor, devMinor, xattrs } = entry;
      const bytes = type === 'file' ? match.tree.digest(path) : '';
      const link = match.tree.linkIdentity?.(path) === undefined ? 0 : 1;
      hash.update(
        `${JSON.stringify([relative, type, mode, uid, gid, linkTarget, devMajor, devMinor, xattrs ?? null, bytes, link])}\n`,
      );
    }
  }
  return `sha256:${hash.digest('hex')}`;
}
