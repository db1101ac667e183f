/** What a build is asked to do, as plain data: it crosses into the namespace by message. */

import type { CacheExportSpec, CachePlace, MountExportSpec, MountImportSpec } from '../cache/cache-spec.ts';
import type { KnownCache } from '../cache/imported-caches.ts';
import type { ContextPlace, NamedContext } from '../context/contexts.ts';
import type { SourceFile } from '../errors.ts';
import type { NetworkMode } from '../executor/sandbox.ts';
import type { Descriptor, DiffId, Platform } from '../image/descriptor.ts';
import type { OutputSpec } from '../output/output-spec.ts';
import type { Fetched } from '../solver/remote-sources.ts';
import type { RunSettings } from '../solver/run-settings.ts';

/** The cache flags of a build, and what an earlier process of it learned. */
export interface CacheRequest {
  readonly from: readonly CachePlace[];
  readonly to: readonly CacheExportSpec[];
  readonly mountsFrom: readonly MountImportSpec[];
  readonly mountsTo: readonly MountExportSpec[];
  readonly known: ReadonlyMap<string, KnownCache>;
  /** Layers of caches that turned out not to be what their records say, each with what is said about it. */
  readonly damaged: ReadonlyMap<DiffId, string>;
}

export interface BuildRequest {
  /** The local store. */
  readonly root: string;
  readonly dockerfile: SourceFile;
  /** The main context; undefined when there is none. */
  readonly context: ContextPlace | undefined;
  /** Patterns of the ignore file that applies, cleaned. */
  readonly ignore: readonly string[];
  /** --build-context. */
  readonly namedContexts: ReadonlyMap<string, NamedContext>;
  readonly target: string | undefined;
  /** --build-arg; SOURCE_DATE_EPOCH too, wherever it was given outside the Dockerfile. */
  readonly buildArgs: ReadonlyMap<string, string>;
  /** One, or several for an image index. */
  readonly targetPlatforms: readonly Platform[];
  /** True when --platform named them; else the host's stands in. */
  readonly platformGiven: boolean;
  readonly hostPlatform: Platform;
  /** Architectures whose programs run here by an emulator. */
  readonly emulated: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly noCache: boolean | ReadonlySet<string>;
  readonly pull: boolean;
  /** --explain. */
  readonly explain: boolean;
  /** The results are compared and forgotten: no cache records, and the result says every step's layer. */
  readonly trial: boolean;
  readonly network: NetworkMode;
  readonly outputs: readonly OutputSpec[];
  /** One layer for all that the build adds to its base. */
  readonly squash: boolean;
  readonly settings: RunSettings;
  readonly isolation: 'auto' | 'oci' | 'chroot';
  readonly snapshotter: 'auto' | 'overlay' | 'fuse-overlayfs' | 'copy';
  readonly jobs: number;
  /** Worker threads for packing. */
  readonly threads: number;
  /** Directory that relative paths of OCI layouts are below. */
  readonly directory: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly caches: CacheRequest;
  /** What was resolved before the namespace was entered. */
  readonly known: ReadonlyMap<string, Descriptor>;
  /** What was fetched for ADD and named contexts before the namespace was entered. */
  readonly fetched: ReadonlyMap<string, Fetched>;
  /**
   * Inside the namespace, when the store had no record of any step as the build began: IDs of the steps that it has made
   * since.
   */
  readonly madeOnEmpty?: ReadonlySet<string> | undefined;
}

/** What a build gave. */
export interface BuildResult {
  /** Digest of the config: the image ID. */
  readonly imageId: `sha256:${string}`;
  /** The manifest or index of the first output that has one. */
  readonly manifest: Descriptor | undefined;
  readonly names: readonly string[];
  readonly cached: number;
  readonly steps: number;
  /** Of a trial: every step with its layer, a step after those it was made from. */
  readonly trace?: readonly TracedStep[];
}

/** A step that a trial has run. */
export interface TracedStep {
  readonly id: string;
  /** "[builder 2/5] RUN make". */
  readonly name: string;
  readonly line: number;
  /** Index of its stage. */
  readonly stage: number;
  /** Indexes of stages that it copies or mounts files of. */
  readonly from: readonly number[];
  readonly diffId: DiffId;
}
