/**
 * Every event of a build, typed. The work emits them; a reporter prints them; `--progress=json` writes them
 * as they are, one JSON object a line (documented in docs/progress-json.md). No secret is ever in one.
 */
import type { Digest } from '../image/descriptor.ts';

/** A step as the reader knows it. */
export interface StepLabel {
  /** Unique in the build and stable: "builder/3". */
  readonly id: string;
  /** "[builder 2/5]". */
  readonly prefix: string;
  /** The instruction with variables expanded where BuildKit shows them so: "RUN make". */
  readonly name: string;
  /** First line in the Dockerfile; absent for steps of kiln's own (load context, export). */
  readonly line?: number;
}

/** What the cache said of a step, and why. */
export interface CacheAnswer {
  /** "not-needed": the target does not reach the step's stage. */
  readonly cache: 'hit' | 'miss' | 'not-needed';
  /** One line for people. */
  readonly reason: string;
  /** Of a miss: the first thing that differs from the nearest recorded build. */
  readonly difference?: CacheDifference;
}

export interface CacheDifference {
  readonly part:
    | 'no-record'
    | 'no-cache'
    | 'layer'
    | 'base'
    | 'parent'
    | 'platform'
    | 'instruction'
    | 'variable'
    | 'mount'
    | 'files'
    | 'source'
    | 'option';
  /** The variable, the mount's target, the option. */
  readonly name?: string;
  /** Id of the step that this one stands on. */
  readonly parent?: string;
  /** Absent for what was not there, and for values of variables that look secret. */
  readonly before?: string;
  readonly after?: string;
  /** The first files that differ; `more` is how many others there are. */
  readonly files?: readonly { readonly path: string; readonly change: string }[];
  readonly more?: number;
}

/** Time in milliseconds since the build began. */
interface Timed {
  readonly at: number;
}

export type BuildEvent = Timed &
  (
    | {
        readonly type: 'build-started';
        readonly dockerfile: string;
        readonly target?: string;
        readonly platform: string;
      }
    | { readonly type: 'step-started'; readonly step: StepLabel }
    /** One or more whole lines a step printed, without the final newline. */
    | {
        readonly type: 'step-output';
        readonly step: string;
        readonly stream: 'stdout' | 'stderr';
        readonly text: string;
      }
    | {
        readonly type: 'step-progress';
        readonly step: string;
        readonly current: number;
        readonly total?: number;
        readonly unit: 'bytes' | 'files';
      }
    | {
        readonly type: 'step-finished';
        readonly step: StepLabel;
        readonly outcome: 'done' | 'cached';
        readonly duration: number;
        readonly note?: string;
      }
    | {
        readonly type: 'step-failed';
        readonly step: StepLabel;
        readonly duration: number;
        readonly message: string;
        readonly code: string;
      }
    /** Said with --explain before a step is begun or taken from the cache. */
    | ({ readonly type: 'step-explained'; readonly step: StepLabel } & CacheAnswer)
    | {
        readonly type: 'warning';
        readonly rule?: string;
        readonly message: string;
        readonly line?: number;
        readonly url?: string;
      }
    /** Said once with -v: which snapshotter and sandbox were chosen, and why. */
    | { readonly type: 'note'; readonly message: string }
    | {
        readonly type: 'build-finished';
        readonly imageId?: Digest;
        readonly manifest?: Digest;
        readonly names: readonly string[];
        readonly duration: number;
        readonly cached: number;
        readonly steps: number;
      }
    | {
        readonly type: 'build-failed';
        readonly code: string;
        readonly message: string;
        readonly duration: number;
        /** First line in the Dockerfile. */
        readonly line?: number;
        readonly suggestions?: readonly string[];
      }
  );

/** Distributes Omit over the union, so that an event without its time keeps its variants. */
type WithoutTime<E> = E extends unknown ? Omit<E, 'at'> : never;

/** An event on its way to the emitter, which adds the time. */
export type UntimedEvent = WithoutTime<BuildEvent>;

/** Where work reports to; the receiver adds the time. */
export type Emit = (event: UntimedEvent) => void;

export interface Reporter {
  handle(event: BuildEvent): void;
  /** Ends the live view and restores the terminal. Idempotent. */
  close(): void;
}
