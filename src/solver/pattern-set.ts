/** Patterns of .dockerignore and --exclude as questions about paths; the matching itself is the language's. */

export interface PatternSet {
  /** True when the last pattern that matches the path or a parent of it is no exception. */
  excludes(path: string): boolean;
  /** True when an exception may match something below an excluded directory. */
  canContainException(path: string): boolean;
}
