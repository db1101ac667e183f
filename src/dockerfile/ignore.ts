/**
 * `.dockerignore`: reading the file and deciding on paths. Follows moby/patternmatcher (ignorefile.ReadAll,
 * MatchesOrParentMatches): in order, the last pattern that matches a path or one of its parents decides.
 */
import { BuildError } from '../errors.ts';
import { withoutByteOrderMark } from './directives.ts';
import { compileGlob, compileIgnorePattern } from './glob.ts';
import { trimSpace } from './text.ts';

/** A path without `.`, `..`, doubled and trailing slashes, as Go's path.Clean gives it. */
export function cleanPath(path: string): string {
  const rooted = path.startsWith('/');
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.length > 0 && parts.at(-1) !== '..') parts.pop();
    else if (!rooted) parts.push(part);
  }
  const joined = parts.join('/');
  if (rooted) return `/${joined}`;
  return joined === '' ? '.' : joined;
}

function cleanPattern(line: string): string {
  const cleaned = cleanPath(line);
  return cleaned.length > 1 && cleaned.startsWith('/') ? cleaned.slice(1) : cleaned;
}

/** The patterns of an ignore file, cleaned, in order; `!` in front marks an exception. */
export function parseIgnoreFile(text: string): string[] {
  const patterns: string[] = [];
  for (const line of withoutByteOrderMark(text).split('\n')) {
    if (line.startsWith('#')) continue;
    const pattern = trimSpace(line);
    if (pattern === '') continue;
    if (!pattern.startsWith('!')) {
      patterns.push(cleanPattern(pattern));
      continue;
    }
    const exception = trimSpace(pattern.slice(1));
    patterns.push(exception === '' ? '!' : `!${cleanPattern(exception)}`);
  }
  return patterns;
}

interface Rule {
  readonly isException: boolean;
  readonly matches: (path: string) => boolean;
  /** For exceptions: true when a path strictly below `directory` could match. */
  readonly canMatchBelow: (directory: string) => boolean;
}

/** Which patterns match a directory or one of its parents. Made by `descend` only. */
export interface IgnoreState {
  readonly matched: readonly boolean[];
}

function compileRule(written: string): Rule | undefined {
  const trimmed = trimSpace(written);
  if (trimmed === '') return undefined;
  const cleaned = cleanPath(trimmed);
  if (!cleaned.startsWith('!')) {
    return { isException: false, matches: compileIgnorePattern(cleaned), canMatchBelow: () => false };
  }
  const pattern = cleaned.slice(1);
  if (pattern === '') {
    throw new BuildError('CONTEXT_PATTERN', 'illegal exclusion pattern: "!"', {
      suggestions: ['Write the path to keep right after the exclamation mark.'],
    });
  }
  return {
    isException: true,
    matches: compileIgnorePattern(pattern),
    canMatchBelow: compileReach(pattern),
  };
}

/** A test whether a pattern could match something below a directory; true when in doubt. */
function compileReach(pattern: string): (directory: string) => boolean {
  // A class can match a slash and an escape can stand before one: parts cannot be compared one by one.
  if (/[[\\]/.test(pattern)) return () => true;
  const parts = pattern.split('/');
  const open = parts.findIndex((part) => part.includes('**'));
  const fixed = (open < 0 ? parts : parts.slice(0, open)).map(compileGlob);
  return (directory) => {
    const names = directory === '' ? [] : directory.split('/');
    if (open < 0 && names.length >= parts.length) return false;
    return names.every((name, index) => fixed[index]?.(name) ?? true);
  };
}

/** The parents of a path from the top, without the path itself: `a`, `a/b` for `a/b/c`. */
function parentsOf(path: string): string[] {
  const parents: string[] = [];
  for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
    parents.push(path.slice(0, slash));
  }
  return parents;
}

/**
 * Decides which paths of a context are left out. Paths are relative, clean, with `/` between parts; the root itself is
 * never excluded. For COPY --exclude the same rules hold.
 */
export class IgnoreMatcher {
  readonly #rules: readonly Rule[];

  /** Throws CONTEXT_PATTERN for a malformed pattern or a lone `!`. */
  constructor(patterns: readonly string[]) {
    this.#rules = patterns.flatMap((pattern) => compileRule(pattern) ?? []);
  }

  /** True when nothing is ever excluded. */
  get isEmpty(): boolean {
    return this.#rules.length === 0;
  }

  /** True when some pattern begins with `!`. */
  get hasExceptions(): boolean {
    return this.#rules.some((rule) => rule.isException);
  }

  /** Whether a path is excluded, its parents considered. */
  excludes(path: string): boolean {
    if (path === '' || path === '.') return false;
    const parents = parentsOf(path);
    return this.#decide((rule) => rule.matches(path) || parents.some(rule.matches));
  }

  /** Whether a child is excluded, given its directory's state (undefined for the root). For files: makes no new state. */
  excludesChild(parent: IgnoreState | undefined, path: string): boolean {
    return this.#decide((rule, index) => parent?.matched[index] === true || rule.matches(path));
  }

  /** As excludesChild for a directory, with the state for what is in it. */
  descend(parent: IgnoreState | undefined, path: string): { excluded: boolean; state: IgnoreState } {
    const matched = this.#rules.map((rule, index) => parent?.matched[index] === true || rule.matches(path));
    return { excluded: this.#decide((_, index) => matched[index] === true), state: { matched } };
  }

  /** False when nothing below an excluded directory can be kept, so that a walk may skip it. */
  canContainException(directory: string): boolean {
    return this.#rules.some((rule) => rule.canMatchBelow(directory));
  }

  #decide(matches: (rule: Rule, index: number) => boolean): boolean {
    let excluded = false;
    for (const [index, rule] of this.#rules.entries()) {
      // A rule that would not change the decision is not tried.
      if (rule.isException === excluded && matches(rule, index)) excluded = !rule.isException;
    }
    return excluded;
  }
}
