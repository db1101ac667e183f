/** The files a step's sources name, selected once a step and remembered, with a digest over what would be copied. */
import { createHash } from 'node:crypto';
import { cleanPath, IgnoreMatcher } from '../dockerfile/ignore.ts';
import { located } from '../errors.ts';
import type { Entry } from '../layer/entry.ts';
import type { FileTree } from '../layer/file-tree.ts';
import type { InputRef } from '../plan/stage-graph.ts';
import type { TransferSource, TransferStep } from '../plan/step.ts';
import type { FileList } from '../store/file-lists.ts';
import type { PatternSet } from './pattern-set.ts';
import { type SelectedFile, type SourceMatch, selectSource } from './select-sources.ts';
import type { SolverContext } from './solver-context.ts';
import type { StageState } from './step-layer.ts';
import { Turns } from './turns.ts';

export type StageOf = (input: InputRef) => Promise<StageState>;

type TreeSource = Extract<TransferSource, { kind: 'tree' }>;

/** By attempt at the build: another one may find other layers below. */
const remembered = new WeakMap<SolverContext, WeakMap<TransferSource, Promise<readonly SourceMatch[]>>>();

/** What a tree source of a COPY or ADD names. Throws COPY_SOURCE_NOT_FOUND at the instruction's line. */
export function matchesOf(
  context: SolverContext,
  { step, source, stageOf }: { step: TransferStep; source: TreeSource; stageOf: StageOf },
): Promise<readonly SourceMatch[]> {
  const known = remembered.get(context) ?? new WeakMap<TransferSource, Promise<readonly SourceMatch[]>>();
  remembered.set(context, known);
  let matches = known.get(source);
  if (matches === undefined) {
    matches = select(context, { step, source, stageOf });
    known.set(source, matches);
  }
  return matches;
}

async function select(
  context: SolverContext,
  { step, source, stageOf }: { step: TransferStep; source: TreeSource; stageOf: StageOf },
): Promise<readonly SourceMatch[]> {
  const tree = await treeOf(context, source.from, stageOf);
  try {
    const matches = await selectSource(tree, source.pattern, {
      place: placeName(source.from),
      exclude: step.exclude.length === 0 ? undefined : patternSet(step.exclude),
      parents: step.parents,
      makePatterns: patternSet,
      turns: new Turns(context.options.signal),
    });
    await ensureBytes(context, { from: source.from, stageOf }, pathsOf(matches));
    return matches;
  } catch (error) {
    throw located(error, step.location);
  }
}

function* pathsOf(matches: readonly SourceMatch[]): Generator<string> {
  for (const { files } of matches) for (const { path } of files) yield path;
}

/** Makes sure that bytes of files of a source's tree can be read. */
export async function ensureBytes(
  { access }: SolverContext,
  { from, stageOf }: { from: InputRef | 'context'; stageOf: StageOf },
  paths: Iterable<string>,
): Promise<void> {
  if (from === 'context' || from.kind === 'context') return;
  await access.ensureBytes((await stageOf(from)).layers, paths);
}

/** The tree a source reads from: a context, or what a stage or image has become; bytes there by `ensureBytes`. */
export async function treeOf(
  context: SolverContext,
  from: InputRef | 'context',
  stageOf: StageOf,
): Promise<FileTree> {
  if (from === 'context') return context.options.contextTree(undefined);
  if (from.kind === 'context') return context.options.contextTree(from.name);
  const state = await stageOf(from);
  return context.access.tree(state.layers, { contents: false });
}

/** How messages call what a source is taken from. */
export function placeName(from: InputRef | 'context'): string {
  if (from === 'context') return 'the build context';
  switch (from.kind) {
    case 'context':
      return `the context ${from.name}`;
    case 'stage':
      return `stage ${from.name}`;
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

/** Everything matched as one list: names, kinds, modes, owners, attributes, link targets and bytes; never times. */
export function listMatches(matches: readonly SourceMatch[], signal: AbortSignal): Promise<FileList> {
  let list = lists.get(matches);
  if (list === undefined) {
    list = makeList(matches, signal);
    lists.set(matches, list);
  }
  return list;
}

/** Files of a tree at their own paths as a list. */
export function listEntries(
  tree: FileTree,
  entries: readonly Entry[],
  signal: AbortSignal,
): Promise<FileList> {
  const root = { path: '', type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: 0, size: 0 } as const;
  const files = entries.map((entry) => ({ path: entry.path, relative: entry.path, entry }));
  return listMatches([{ tree, path: '', name: '', entry: root, files }], signal);
}

const lists = new WeakMap<readonly SourceMatch[], Promise<FileList>>();

/** Reads every file that no memory has; other work goes on in between. */
async function makeList(matches: readonly SourceMatch[], signal: AbortSignal): Promise<FileList> {
  const hash = createHash('sha256');
  const pieces: string[] = [];
  const turns = new Turns(signal);
  let text = '';
  for (const match of matches) {
    text += `match ${JSON.stringify(match.name)}\n`;
    for (const file of match.files) {
      if (file.entry.size >= LARGE) await match.tree.learn?.(file.path, signal);
      text += fileLine(match, file);
      // Handed over in pieces: a call for each file would cost more than the hashing.
      if (text.length < HASH_PIECE) continue;
      hash.update(text);
      pieces.push(text);
      text = '';
      await turns.give();
    }
  }
  hash.update(text);
  pieces.push(text);
  return { digest: `sha256:${hash.digest('hex')}`, pieces };
}

const HASH_PIECE = 64 << 10;

/** Bytes from which a file takes so long to read that other work must go on. */
const LARGE = 4 << 20;

/** One file as a line that no other file has. */
function fileLine(match: SourceMatch, { path, relative, entry }: SelectedFile): string {
  const { type, mode, uid, gid, linkTarget, devMajor, devMinor, xattrs } = entry;
  const bytes = type === 'file' ? match.tree.digest(path) : '';
  const link = match.tree.linkIdentity?.(path) === undefined ? '' : 'linked';
  const plain = linkTarget === undefined && devMajor === undefined && xattrs === undefined;
  const rare = plain ? '' : JSON.stringify([linkTarget, devMajor, devMinor, xattrs]);
  return `${JSON.stringify(relative)} ${type} ${mode} ${uid}:${gid} ${bytes} ${link} ${rare}\n`;
}
