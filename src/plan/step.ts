/**
 * Steps: what a plan is made of. Every variable is expanded, every path absolute, every name of a stage resolved.
 * A step is a value that can be printed, compared and hashed.
 */
import type { RunMount } from '../dockerfile/run-mount.ts';
import type { SourceLocation } from '../errors.ts';
import type { Platform } from '../image/descriptor.ts';
import type { RuntimeConfig } from '../image/image-config.ts';
import type { InputRef, Stage } from './stage-graph.ts';

/** How a step is shown. */
export interface StepTitle {
  /** Unique and stable: "builder/3". */
  readonly id: string;
  /** "[builder 2/5]". */
  readonly prefix: string;
  readonly name: string;
}

interface StepBase {
  readonly title: StepTitle;
  readonly location: SourceLocation;
  /** --no-cache or --no-cache-filter applies. */
  readonly noCache: boolean;
}

/** A mount of a RUN step with its source resolved. */
export interface PlannedMount {
  readonly mount: RunMount;
  /** Where a bind or cache mount takes its first content from; "context" is the main build context. */
  readonly from: InputRef | 'context' | undefined;
  /** Absolute path inside the root filesystem; undefined for a secret given only as a variable. */
  readonly target: string | undefined;
}

export interface RunStep extends StepBase {
  readonly kind: 'run';
  readonly argv: readonly string[];
  /** NAME=value in order; what the step can see and its key depends on. */
  readonly env: readonly string[];
  /** Proxy settings: visible to the step, not part of its key, never in the image. */
  readonly proxyEnv: readonly string[];
  readonly cwd: string;
  /** As in USER: name or number, with or without a group; "" is root. */
  readonly user: string;
  readonly mounts: readonly PlannedMount[];
  readonly network: 'host' | 'none' | 'private';
  /** A heredoc with a shebang: a file that is mounted read-only at /dev/pipes/ and run. */
  readonly script?: { readonly name: string; readonly content: string };
}

/** One source of a COPY or ADD. */
export type TransferSource =
  /** A path or pattern in a file tree: a stage, an image, a context. */
  | {
      readonly kind: 'tree';
      readonly from: InputRef | 'context';
      /** As written, after expansion. */
      readonly pattern: string;
    }
  | { readonly kind: 'inline'; readonly name: string; readonly content: string }
  | RemoteSource;

/** A source that ADD fetches. */
export type RemoteSource =
  | { readonly kind: 'http'; readonly url: string; readonly filename: string }
  | { readonly kind: 'git'; readonly url: string };

export interface TransferStep extends StepBase {
  readonly kind: 'transfer';
  readonly instruction: 'COPY' | 'ADD';
  readonly sources: readonly TransferSource[];
  /** Absolute; a trailing slash (or "/.") means it must be a directory. */
  readonly destination: string;
  /** "user", "user:group", with names or numbers. */
  readonly chown?: string | undefined;
  /** Octal or symbolic. */
  readonly chmod?: string | undefined;
  readonly link: boolean;
  readonly parents: boolean;
  readonly exclude: readonly string[];
  readonly checksum?: string | undefined;
  readonly keepGitDir?: boolean | undefined;
  readonly unpack?: boolean | undefined;
}

export interface WorkdirStep extends StepBase {
  readonly kind: 'workdir';
  readonly path: string;
  /** Owner of directories that have to be made, as in USER. */
  readonly user: string;
}

export type Step = RunStep | TransferStep | WorkdirStep;

/** A history entry of the stage; `step` is the index of the step that fills the layer, if one does. */
export interface PlannedHistory {
  readonly createdBy: string;
  readonly comment?: string;
  readonly step?: number;
}

/** What the stage's image says of itself when the stage is done. */
export interface StageConfig {
  readonly author?: string | undefined;
  readonly runtime: RuntimeConfig;
}

export interface StagePlan {
  readonly stage: Stage;
  readonly platform: Platform;
  readonly steps: readonly Step[];
  readonly history: readonly PlannedHistory[];
  readonly config: StageConfig;
  /** Variables of the stage's end, ARG values included: a stage built on this one begins with them. */
  readonly variables: ReadonlyMap<string, string>;
  /** ARGs declared so far, in order, for the history of RUN. */
  readonly declaredArgs: readonly string[];
}

/** The inputs a step reads from, without the main context. */
export function inputsOf(step: Step): InputRef[] {
  if (step.kind === 'run') {
    return step.mounts.flatMap(({ from }) => (from === undefined || from === 'context' ? [] : [from]));
  }
  if (step.kind === 'transfer') {
    return step.sources.flatMap((source) =>
      source.kind === 'tree' && source.from !== 'context' ? [source.from] : [],
    );
  }
  return [];
}
