/** What every step of a build shares: the store, the inputs, the clock, and how steps are announced. */
import { BuildError, messageOf } from '../errors.ts';
import type { Sandbox } from '../executor/sandbox.ts';
import type { Platform } from '../image/descriptor.ts';
import type { FileTree } from '../layer/file-tree.ts';
import type { Step } from '../plan/step.ts';
import type { Emit, StepLabel } from '../progress/event.ts';
import type { Snapshotter } from '../snapshot/snapshotter.ts';
import type { Store } from '../store/store.ts';
import type { BorrowedRecords } from './borrowed-records.ts';
import type { ImageResolver } from './image-resolver.ts';
import { JobSlots } from './job-slots.ts';
import type { LayerAccess } from './layer-access.ts';
import type { MountContent } from './mount-content.ts';
import { NeedsNamespace } from './needs-namespace.ts';
import type { RecordSource, SolvedStep } from './record-source.ts';
import type { RemoteSources } from './remote-sources.ts';
import type { RunSettings } from './run-settings.ts';
import type { StepReporter } from './step-reporter.ts';

export interface SolverOptions {
  readonly store: Store;
  readonly access: LayerAccess;
  readonly resolver: ImageResolver;
  /** The main build context, or a named one, as a file tree. */
  readonly contextTree: (name: string | undefined) => Promise<FileTree>;
  /** What ADD fetches. */
  readonly remote: RemoteSources;
  /** Throws HOST_FOREIGN_PLATFORM for a platform whose programs cannot run on this machine. */
  readonly requireRunnable: (platform: Platform) => void;
  /** Present only inside the namespace. */
  readonly execution?: ExecutionEnvironment | undefined;
  readonly emit: Emit;
  readonly signal: AbortSignal;
  readonly stop: (reason: unknown) => void;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** SOURCE_DATE_EPOCH, seconds. */
  readonly epoch: number | undefined;
  readonly jobs: number;
  /** What the user set for all RUNs. */
  readonly settings: Pick<RunSettings, 'extraHosts' | 'ulimits' | 'shmSize'>;
  /** Say for every step what the cache said, and why. */
  readonly explain: boolean;
  /** Results of steps are recorded in the cache. */
  readonly remembers: boolean;
  /** True for a step that neither the store nor a record source can have. */
  readonly cannotHit: (step: Step) => boolean;
  /** Asked in order for what the local store has no record of. */
  readonly recordSources: readonly RecordSource[];
  /** Hits of those, until their layers are here. */
  readonly borrowed: BorrowedRecords;
  /** What cache mounts begin with and who is told of them, where their content comes from or goes elsewhere. */
  readonly mountContent?: MountContent | undefined;
  /** Told of every step once it is looked up or begun. */
  readonly onStep?: ((step: SolvedStep) => void) | undefined;
}

/** What it takes to run processes in root filesystems. */
export interface ExecutionEnvironment {
  readonly sandbox: Sandbox;
  readonly snapshotter: Snapshotter;
  readonly settings: RunSettings;
}

export class SolverContext {
  readonly options: SolverOptions;
  readonly #slots: JobSlots;
  #cached = 0;
  #steps = 0;

  constructor(options: SolverOptions) {
    this.options = options;
    this.#slots = new JobSlots(options.jobs);
  }

  get store(): Store {
    return this.options.store;
  }

  get access(): LayerAccess {
    return this.options.access;
  }

  get signal(): AbortSignal {
    return this.options.signal;
  }

  get stop(): (reason: unknown) => void {
    return this.options.stop;
  }

  /** Steps taken from the cache, and all steps, so far. */
  get counts(): { readonly cached: number; readonly steps: number } {
    return { cached: this.#cached, steps: this.#steps };
  }

  /** RFC 3339 time for config and history: now, or the epoch the user fixed. */
  timestamp(): string {
    const { epoch } = this.options;
    return epoch === undefined ? this.now() : rfc3339(epoch * 1000);
  }

  /** RFC 3339 time for records. */
  now(): string {
    return rfc3339(this.options.clock());
  }

  /** Seconds for the mtime of files that kiln itself makes. */
  mtime(): number {
    return this.options.epoch ?? Math.floor(this.options.clock() / 1000);
  }

  reportCached(label: StepLabel): void {
    this.#steps += 1;
    this.#cached += 1;
    this.options.emit({ type: 'step-finished', step: label, outcome: 'cached', duration: 0 });
  }

  /** A base image that is known; its layers come when something needs them. */
  reportBase(label: StepLabel): void {
    this.options.emit({ type: 'step-finished', step: label, outcome: 'done', duration: 0 });
  }

  /** Runs a step in a free slot and announces its beginning and end. */
  runStep<T>(label: StepLabel, work: (reporter: StepReporter) => Promise<T>): Promise<T> {
    const { emit, clock, signal } = this.options;
    return this.#slots.run(async () => {
      signal.throwIfAborted();
      this.#steps += 1;
      const began = clock();
      emit({ type: 'step-started', step: label });
      try {
        const result = await work({
          label,
          output: (stream, text) => emit({ type: 'step-output', step: label.id, stream, text }),
          bytes: (current, total) =>
            emit({
              type: 'step-progress',
              step: label.id,
              current,
              unit: 'bytes',
              ...(total === undefined ? {} : { total }),
            }),
        });
        emit({ type: 'step-finished', step: label, outcome: 'done', duration: clock() - began });
        return result;
      } catch (error) {
        if (!signal.aborted && !(error instanceof NeedsNamespace)) {
          const code = error instanceof BuildError ? error.code : 'BUG';
          emit({
            type: 'step-failed',
            step: label,
            duration: clock() - began,
            message: messageOf(error),
            code,
          });
        }
        throw error;
      }
    });
  }
}

function rfc3339(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.000Z$/, 'Z');
}
