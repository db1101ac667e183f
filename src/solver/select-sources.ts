/**
 * Which files a COPY or ADD source names: patterns matched in a tree, symlinks of the source followed inside it, and
 * everything below a directory, less what --exclude takes out. Rules as BuildKit's copy follows them.
 */
import { hasWildcard, matchPath } from '../dockerfile/glob.ts';
import { nearestWord } from '../dockerfile/suggest.ts';
import { BuildError } from '../errors.ts';
import type { Entry } from '../layer/entry.ts';
import { type FileTree, takenEntry } from '../layer/file-tree.ts';
import { resolvePath } from '../layer/resolve-path.ts';
import { toByteString, toText } from '../system/byte-path.ts';
import type { PatternSet } from './pattern-set.ts';
import type { Turns } from './turns.ts';

/** A file to copy and where it stands below what was named. */
export interface SelectedFile {
  /** Path in the tree. */
  readonly path: string;
  /** Path below the source root; "" for the root itself. */
  readonly relative: string;
  readonly entry: Entry;
}

/** One thing a source named. */
export interface SourceMatch {
  readonly tree: FileTree;
  /** Where it really is, symlinks followed. */
  readonly path: string;
  /** Last component as the user wrote it or the pattern matched: the file's name in a destination directory. */
  readonly name: string;
  readonly entry: Entry;
  /** The root first (unless only its contents were chosen), then what is below, parents before children. */
  readonly files: readonly SelectedFile[];
}

export interface SelectOptions {
  /** How to call the tree in messages: "the build context", "stage builder". */
  readonly place: string;
  readonly exclude: PatternSet | undefined;
  readonly parents: boolean;
  readonly makePatterns: (patterns: readonly string[]) => PatternSet;
  readonly turns: Turns;
}

/** Everything a source pattern names, in byte order. An empty list only for a wildcard that matches nothing. */
export async function selectSource(
  tree: FileTree,
  pattern: string,
  options: SelectOptions,
): Promise<SourceMatch[]> {
  if (options.parents) return selectWithParents(tree, pattern, options);
  const matches: SourceMatch[] = [];
  for (const { path, below } of matchesOf(tree, pattern, options)) {
    const excluded = options.exclude?.excludes(toText(below)) ?? false;
    if (!excluded || isDirectoryMatch(tree, below)) matches.push(await makeMatch(tree, path, options));
  }
  return matches;
}

function isDirectoryMatch(tree: FileTree, path: string): boolean {
  return tree.lstat(resolvePath(tree, path, { followLast: true }))?.type === 'directory';
}

interface PatternMatch {
  readonly path: string;
  /** Path below the part of the pattern that has no wildcard: what --exclude patterns are matched with. */
  readonly below: string;
}

function components(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return parts;
}

function matchesOf(tree: FileTree, pattern: string, options: SelectOptions): PatternMatch[] {
  const parts = components(pattern);
  const first = parts.findIndex(hasWildcard);
  if (first < 0) {
    const path = parts.map((part) => toByteString(part.replaceAll(/\\(.)/g, '$1'))).join('/');
    if (tree.lstat(resolvePath(tree, path, { followLast: true })) === undefined)
      throw notFound(tree, path, options);
    return [{ path, below: parts.at(-1) ?? '' }];
  }
  const base = resolvePath(tree, toByteString(parts.slice(0, first).join('/')), { followLast: true });
  const wild = parts.slice(first);
  const found: PatternMatch[] = [];
  const descend = (directory: string, depth: number, below: string): void => {
    for (const name of tree.list(directory)) {
      if (!matchPath(wild[depth] ?? '', toText(name))) continue;
      const path = directory === '' ? name : `${directory}/${name}`;
      const rest = below === '' ? name : `${below}/${name}`;
      if (depth === wild.length - 1) found.push({ path, below: rest });
      else if (tree.lstat(path)?.type === 'directory') descend(path, depth + 1, rest);
    }
  };
  descend(base, 0, '');
  return found;
}

async function makeMatch(tree: FileTree, named: string, options: SelectOptions): Promise<SourceMatch> {
  const path = resolvePath(tree, named, { followLast: true });
  const entry = tree.lstat(path);
  if (entry === undefined) throw notFound(tree, named, options);
  const files: SelectedFile[] = [{ path, relative: '', entry: takenEntry(tree, entry) }];
  if (entry.type === 'directory') await collect(tree, { path, relative: '' }, { files, ...options });
  return { tree, path, name: named.slice(named.lastIndexOf('/') + 1), entry, files };
}

async function collect(
  tree: FileTree,
  at: { path: string; relative: string },
  { files, exclude, turns }: Pick<SelectOptions, 'exclude' | 'turns'> & { files: SelectedFile[] },
): Promise<void> {
  for (const name of tree.list(at.path)) {
    if (turns.due()) await turns.give();
    const path = at.path === '' ? name : `${at.path}/${name}`;
    const relative = at.relative === '' ? name : `${at.relative}/${name}`;
    const entry = tree.lstat(path);
    if (entry === undefined) continue;
    const excluded = exclude?.excludes(toText(relative)) ?? false;
    if (!excluded) files.push({ path, relative, entry: takenEntry(tree, entry) });
    if (entry.type !== 'directory') continue;
    if (!excluded) await collect(tree, { path, relative }, { files, exclude, turns });
    else if (exclude?.canContainException(toText(relative)) === true) {
      // The directory itself is only there to hold what an exception brought back.
      const before = files.length;
      files.push({ path, relative, entry: takenEntry(tree, entry) });
      await collect(tree, { path, relative }, { files, exclude, turns });
      if (files.length === before + 1) files.pop();
    }
  }
}

/** COPY --parents: the root is what stands before "/./" (or the tree's root), and paths below it are kept. */
async function selectWithParents(
  tree: FileTree,
  pattern: string,
  options: SelectOptions,
): Promise<SourceMatch[]> {
  const pivot = pattern.indexOf('/./');
  const rootPattern = pivot < 0 ? '' : pattern.slice(0, pivot);
  const below = components(pivot < 0 ? pattern : pattern.slice(pivot + 3));
  const roots = rootPattern === '' ? [{ path: '', below: '' }] : matchesOf(tree, rootPattern, options);
  const required = ![...components(rootPattern), ...below].some(hasWildcard);
  const include = options.makePatterns(below.length === 0 ? ['**'] : [below.join('/')]);
  const matches: SourceMatch[] = [];
  for (const { path: named } of roots) {
    const path = resolvePath(tree, named, { followLast: true });
    const entry = tree.lstat(path);
    if (entry === undefined) throw notFound(tree, named, options);
    // A pattern before the pivot may match files too: they have nothing below them, and are taken as they are.
    if (entry.type !== 'directory') {
      matches.push(await makeMatch(tree, named, options));
      continue;
    }
    const files: SelectedFile[] = [{ path, relative: '', entry: takenEntry(tree, entry) }];
    await collectIncluded(tree, { path, relative: '' }, { files, include, ...options });
    if (required && below.length > 0 && files.length === 1) {
      throw notFound(tree, [path, ...below].filter((part) => part !== '').join('/'), options);
    }
    matches.push({ tree, path, name: '', entry, files });
  }
  return matches;
}

async function collectIncluded(
  tree: FileTree,
  at: { path: string; relative: string },
  {
    files,
    include,
    exclude,
    turns,
  }: Pick<SelectOptions, 'exclude' | 'turns'> & { files: SelectedFile[]; include: PatternSet },
): Promise<void> {
  for (const name of tree.list(at.path)) {
    if (turns.due()) await turns.give();
    const path = at.path === '' ? name : `${at.path}/${name}`;
    const relative = at.relative === '' ? name : `${at.relative}/${name}`;
    const entry = tree.lstat(path);
    if (entry === undefined) continue;
    const text = toText(relative);
    // An include list is an ignore list read the other way round: what it "excludes" is what is taken.
    const taken = include.excludes(text) && !(exclude?.excludes(text) ?? false);
    if (entry.type !== 'directory') {
      if (taken) files.push({ path, relative, entry: takenEntry(tree, entry) });
      continue;
    }
    const before = files.length;
    files.push({ path, relative, entry: takenEntry(tree, entry) });
    await collectIncluded(tree, { path, relative }, { files, include, exclude, turns });
    if (!taken && files.length === before + 1) files.pop();
  }
}

function notFound(tree: FileTree, path: string, { place }: SelectOptions): BuildError {
  const slash = path.lastIndexOf('/');
  const parent = slash < 0 ? '' : path.slice(0, slash);
  const siblings = tree.list(parent).map(toText);
  const near = nearestWord(toText(path.slice(slash + 1)), siblings, { ignoreCase: true });
  const prefix = parent === '' ? '' : `${toText(parent)}/`;
  return new BuildError('COPY_SOURCE_NOT_FOUND', `"/${toText(path)}": not found in ${place}`, {
    suggestions: [
      ...(near === undefined ? [] : [`Did you mean ${prefix}${near}?`]),
      place === 'the build context'
        ? 'Paths are relative to the build context; check that .dockerignore does not exclude it.'
        : 'Check that the path is made there.',
    ],
  });
}
