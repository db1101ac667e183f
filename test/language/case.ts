/** What a case of the language suite is: a Dockerfile, what it is built with, and what must come out. */

/** What a path of the result must be. Fields that are left out may be anything. */
export interface FileExpectation {
  readonly type?: 'file' | 'directory' | 'symlink' | 'fifo';
  /** Octal, four digits where there are special bits: "644", "1777". */
  readonly mode?: string;
  /** "uid:gid". */
  readonly owner?: string;
  readonly content?: string | RegExp;
  /** Target of a symlink. */
  readonly link?: string;
  /** Path (without a leading slash) of another name of the same file. */
  readonly sameAs?: string;
  readonly xattrs?: Readonly<Record<string, string>>;
}

/** A file of the context: its text, or more. Directories end with a slash. */
export type ContextFile =
  | string
  | { readonly content?: string; readonly mode?: number; readonly link?: string };

export interface HistoryExpectation {
  readonly createdBy: string;
  /** True when the entry has a layer. */
  readonly layer: boolean;
}

export interface ErrorExpectation {
  /** Stable code, such as DOCKERFILE_FROM. */
  readonly code: string;
  /** Line of the Dockerfile that the message names; left out where no line is to blame. */
  readonly line?: number;
  /** 2 for a wrong Dockerfile or command line, 1 for a build that failed. */
  readonly exit: 1 | 2;
  readonly message?: RegExp;
}

export interface LanguageCase {
  readonly name: string;
  /** `@busybox` stands for the reference of a small base image. Common indentation is removed. */
  readonly dockerfile: string;
  readonly context?: Readonly<Record<string, ContextFile>>;
  /** Shell run in the context before the build: archives, links, special files. */
  readonly setup?: string;
  /** Words of the command line; `@dir` stands for the directory that holds the context. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Dockerfiles built before with the same store and context; their results are not looked at. */
  readonly before?: readonly string[];
  /** Paths without a leading slash; null: must not be there. */
  readonly files?: Readonly<Record<string, FileExpectation | null>>;
  /** Names in a directory of the result, complete and in order. */
  readonly lists?: Readonly<Record<string, readonly string[]>>;
  /** Paths of the last layer, complete, with directories; sorted. */
  readonly lastLayer?: readonly string[];
  /** Fields of the image config's `config` object; undefined: must not be there. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Fields of the whole image config. */
  readonly image?: Readonly<Record<string, unknown>>;
  /** created_by of the history of this build, complete; a string alone says nothing of its layer. */
  readonly history?: readonly (string | HistoryExpectation)[];
  /** Number of layers that are not the base's. */
  readonly layers?: number;
  readonly error?: ErrorExpectation;
  /** What kiln must (not) print on stderr. */
  readonly prints?: RegExp;
  readonly printsNot?: RegExp;
}

/** A file with content, and with mode and owner where they matter. */
export function file(content: string | RegExp, more: FileExpectation = {}): FileExpectation {
  return { type: 'file', content, ...more };
}

/** A directory: 0755 and root's unless told otherwise, as BuildKit makes them. */
export function directory(more: FileExpectation = {}): FileExpectation {
  return { type: 'directory', mode: '755', owner: '0:0', ...more };
}

/** A symlink. */
export function symlink(link: string): FileExpectation {
  return { type: 'symlink', link };
}

/** Something that exists, with these attributes. */
export function attributes(mode: string, owner = '0:0'): FileExpectation {
  return { mode, owner };
}

/** A history entry with a layer. */
export function layer(createdBy: string): HistoryExpectation {
  return { createdBy, layer: true };
}

/** A history entry without a layer. */
export function note(createdBy: string): HistoryExpectation {
  return { createdBy, layer: false };
}

/** The case fails with this error. */
export function fails(
  code: string,
  exit: 1 | 2,
  more: { line?: number; message?: RegExp } = {},
): ErrorExpectation {
  return { code, exit, ...more };
}
