/**
 * Cache records from elsewhere, and what a solved step gives to who carries records away: the seam between the solver
 * and remote caches.
 */
import type { CacheKey, Digest } from '../image/descriptor.ts';
import type { Step } from '../plan/step.ts';
import type { CacheRecord } from '../store/record-store.ts';
import type { ImageLayer } from './image-resolver.ts';
import type { StepLayer } from './step-layer.ts';

/** A record that another machine made, with where its layer's bytes are. */
export interface SourcedRecord extends CacheRecord {
  /** Without one the record explains misses, and hits only while this store has the layer itself. */
  readonly origin?: ImageLayer | undefined;
}

/** A place that holds records beside the local store. What it gives has been checked by it, save for the layer's bytes. */
export interface RecordSource {
  get(key: CacheKey): SourcedRecord | undefined | Promise<SourcedRecord | undefined>;
  /** The content key of a step, also of one whose layer it does not hold. */
  alias(key: CacheKey): CacheKey | undefined | Promise<CacheKey | undefined>;
  /** All it has, for explaining misses. */
  list(): Iterable<SourcedRecord>;
  /** A list of files that parts of its records name, compressed as FileLists keeps it. */
  fileList(digest: Digest): Buffer | undefined | Promise<Buffer | undefined>;
}

/** A step that is solved: taken from the cache, or run. */
export interface SolvedStep {
  readonly step: Step;
  /** Index of its stage in the Dockerfile. */
  readonly stage: number;
  readonly cached: boolean;
  /** What the cache has, or will have once the layer is there, for the step's keys; without their layers. */
  readonly records: readonly Omit<CacheRecord, 'layer'>[];
  /** As the cache has it while it is idle; ask at the end. */
  readonly layer: StepLayer;
}
