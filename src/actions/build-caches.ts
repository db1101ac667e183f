/** The remote caches of a build: where records come from, where they go, and what was learned of both so far. */
import { CacheExports } from '../cache/cache-exports.ts';
import { ImportedCaches } from '../cache/imported-caches.ts';
import { MountCaches, type MountWorld } from '../cache/mount-caches.ts';
import { BuildError } from '../errors.ts';
import type { CacheKey, DiffId, Digest } from '../image/descriptor.ts';
import { parseReference } from '../image/reference.ts';
import type { OutputSpec } from '../output/output-spec.ts';
import type { Emit } from '../progress/event.ts';
import type { Connections } from '../registry/connections.ts';
import type { CachedLayerError } from '../solver/cached-layer-error.ts';
import type { LayerForms } from '../solver/layer-forms.ts';
import { lineage } from '../solver/lineage.ts';
import type { RecordSource } from '../solver/record-source.ts';
import type { CacheRecord } from '../store/record-store.ts';
import type { Store } from '../store/store.ts';
import type { PlannedBuild } from './build-plan.ts';
import type { BuildRequest, CacheRequest } from './build-request.ts';

/** What the caches of a build may touch of the world. */
interface CacheEnvironment {
  readonly cacheConnections: () => Connections;
  readonly emit: Emit;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly signal: AbortSignal;
  /** Present where steps can run: there the build comes to its end. */
  readonly execution?: unknown;
}

/** So many layers of caches may be damaged before none is believed any more. */
const PATIENCE = 3;

export class BuildCaches {
  readonly #request: BuildRequest;
  readonly #environment: CacheEnvironment;
  readonly #store: Store;
  readonly #damaged: Map<DiffId, string>;
  readonly #imports: ImportedCaches;
  readonly #connections: Connections;

  /** Begins to fetch records at once. */
  constructor(request: BuildRequest, environment: CacheEnvironment, store: Store) {
    this.#request = request;
    this.#environment = environment;
    this.#store = store;
    this.#damaged = new Map(request.caches.damaged);
    for (const message of this.#damaged.values()) environment.emit({ type: 'warning', message });
    this.#connections = environment.cacheConnections();
    // With --no-cache no record is looked at.
    this.#imports = new ImportedCaches(request.noCache === true ? [] : request.caches.from, {
      ...environment,
      connections: this.#connections,
      store,
      platforms: request.targetPlatforms,
      known: request.caches.known,
      excluded: this.#damaged,
    });
  }

  /** For the process that goes on with the build. */
  get learned(): CacheRequest {
    return {
      ...this.#request.caches,
      known: new Map([...this.#request.caches.known, ...this.#imports.learned]),
      damaged: this.#damaged,
    };
  }

  get sources(): readonly RecordSource[] {
    return this.#imports.sources;
  }

  /** Makes the build go on without a layer: from now on its step is run. */
  exclude(error: CachedLayerError): void {
    const { diffId, cause, message } = error;
    const said = `${message}; its step is run instead`;
    this.#damaged.set(diffId, said);
    this.#store.records.drop(diffId);
    const away = cause instanceof BuildError && /^REGISTRY_(?:UN|RATE|DENIED)/.test(cause.code);
    if (away || this.#damaged.size >= PATIENCE) this.#imports.giveUp();
    this.#environment.emit({ type: 'warning', message: said });
  }

  /** Knows a damaged layer already: then running its step did not help. */
  isExcluded({ diffId }: CachedLayerError): boolean {
    return this.#damaged.has(diffId);
  }

  /** The exports of one attempt at the build. */
  exports(
    plans: readonly PlannedBuild[],
    { forms, epoch }: { readonly forms: LayerForms; readonly epoch: number | undefined },
  ): CacheExports {
    const { emit, clock, signal, execution } = this.#environment;
    const stages = plans.flatMap(({ plan }) => lineage(plan, plan.target).map(({ stage }) => stage.index));
    return new CacheExports(this.#request.caches.to, {
      connections: this.#connections,
      emit,
      clock,
      signal,
      store: this.#store,
      forms,
      fileList: (digest) => this.#fileList(digest),
      recordOf: (key) => this.#recordOf(key),
      excluded: this.#damaged,
      eager: execution !== undefined,
      finalStages: new Set(stages),
      epoch,
    });
  }

  /** What cache mounts begin with and where they go. */
  mounts({ pool, session }: Pick<MountWorld, 'pool' | 'session'>): MountCaches {
    const { mountsFrom: from, mountsTo: to } = this.#request.caches;
    const world = { ...this.#environment, connections: this.#connections, store: this.#store };
    return new MountCaches({ from, to }, { ...world, pool, session });
  }

  async #recordOf(key: CacheKey): Promise<CacheRecord | undefined> {
    const local = this.#store.records.peek(key);
    if (local !== undefined) return local;
    for (const source of this.sources) {
      const record = await source.get(key);
      if (record !== undefined) return record;
    }
    return undefined;
  }

  async #fileList(digest: Digest): Promise<Buffer | undefined> {
    const local = this.#store.fileLists.getPacked(digest);
    if (local !== undefined) return local;
    for (const source of this.sources) {
      const list = await source.fileList(digest);
      if (list !== undefined) return list;
    }
    return undefined;
  }
}

/** Forms that exports of a mode will ask for. */
export function exportForms({ to }: CacheRequest, mode: 'min' | 'max') {
  return to.flatMap((spec) => (spec.kind === 'stored' && spec.mode === mode ? [spec.form] : []));
}

/** Registries that outputs go to. */
export function pushTargets(outputs: readonly OutputSpec[]): ReadonlySet<string> {
  const names = outputs.flatMap((spec) => (spec.type === 'image' && spec.push ? spec.names : []));
  return new Set(names.map((name) => parseReference(name).registry));
}

/** Writes caches; where that is to count, one that cannot be written does not keep the others from it. */
export async function finishCaches(
  { exports, mounts }: { exports: CacheExports; mounts: MountCaches },
  how: { readonly failed: boolean },
): Promise<void> {
  try {
    await exports.finish(how);
  } finally {
    await mounts.save(how);
  }
}
