/**
 * The caches that a build takes records from. Manifests and records are fetched when the build begins, while it plans;
 * layers only when something must see them. Nothing here makes a build fail: what cannot be used is said in one line.
 */
import { BuildError, messageOf } from '../errors.ts';
import type { CacheKey, Descriptor, DiffId, Digest, Platform } from '../image/descriptor.ts';
import type { Emit } from '../progress/event.ts';
import type { Connections } from '../registry/connections.ts';
import type { RecordSource, SourcedRecord } from '../solver/record-source.ts';
import type { ContentSource } from '../store/content-store.ts';
import type { Store } from '../store/store.ts';
import type { DecodedCache, KeptRecord } from './cache-document.ts';
import type { CachePlace } from './cache-spec.ts';
import { type CacheStorage, openStorage } from './cache-storage.ts';
import { Documents, readCache, resolvePlace } from './read-cache.ts';

/** What a place gave when it was asked: its manifest, or why there is none. Crosses into the namespace. */
export type KnownCache = { readonly descriptor: Descriptor } | { readonly problem: string };

export interface ImportOptions {
  readonly connections: Connections;
  readonly store: Store;
  readonly platforms: readonly Platform[];
  readonly emit: Emit;
  /** What an earlier process of this build found, by the place's name. */
  readonly known: ReadonlyMap<string, KnownCache>;
  /** Layers that turned out to be damaged: records that name them are not given. */
  readonly excluded: Pick<ReadonlySet<DiffId>, 'has'>;
}

export class ImportedCaches {
  readonly sources: readonly ImportedCache[];
  readonly learned = new Map<string, KnownCache>();

  #abandoned = false;

  /** Begins to fetch at once. */
  constructor(places: readonly CachePlace[], options: ImportOptions) {
    const unique = new Map(places.map((place) => [JSON.stringify(place), place]));
    this.sources = [...unique.values()].map(
      (place) => new ImportedCache(openStorage(place, options.connections), options, this),
    );
  }

  /** True once nothing is to be taken any more. */
  get abandoned(): boolean {
    return this.#abandoned;
  }

  /** From now on no record is found; also not in the process that goes on with the build. */
  giveUp(): void {
    this.#abandoned = true;
    for (const name of this.learned.keys()) this.learned.set(name, { problem: 'its layers cannot be had' });
  }
}

/** One cache. Its records are checked; its layers are not fetched. */
class ImportedCache implements RecordSource {
  readonly #storage: CacheStorage;
  readonly #options: ImportOptions;
  readonly #all: ImportedCaches;
  readonly #loading: Promise<void>;
  #records: ReadonlyMap<CacheKey, KeptRecord> = new Map();
  #content: DecodedCache | undefined;
  #source: ContentSource | undefined;

  constructor(storage: CacheStorage, options: ImportOptions, all: ImportedCaches) {
    this.#storage = storage;
    this.#options = options;
    this.#all = all;
    this.#loading = this.#load();
  }

  async get(key: CacheKey): Promise<SourcedRecord | undefined> {
    await this.#loading;
    const record = this.#records.get(key);
    const refused = record === undefined || this.#all.abandoned || this.#options.excluded.has(record.diffId);
    return refused ? undefined : this.#sourced(record);
  }

  async alias(key: CacheKey): Promise<CacheKey | undefined> {
    await this.#loading;
    const record = this.#records.get(key);
    return record?.contentKey ?? this.#content?.aliases.find((alias) => alias.key === key)?.contentKey;
  }

  *list(): Generator<SourcedRecord> {
    for (const record of this.#records.values()) {
      const sourced = this.#sourced(record);
      if (sourced !== undefined) yield sourced;
    }
  }

  async fileList(digest: Digest): Promise<Buffer | undefined> {
    await this.#loading;
    const descriptor = this.#content?.lists.get(digest);
    if (descriptor === undefined || this.#source === undefined) return undefined;
    try {
      return await new Documents(this.#source, this.#options.store).fetch(descriptor);
    } catch (error) {
      if (error instanceof BuildError) return undefined; // It only explains.
      throw error;
    }
  }

  #sourced({ key, parts, contentKey, diffId, below, created, times }: KeptRecord): SourcedRecord | undefined {
    const kept = this.#content?.layers.get(diffId);
    const source = this.#source;
    if (kept === undefined || source === undefined) return undefined;
    const { descriptor, tarSize, form } = kept;
    const { repository } = this.#storage;
    return {
      key,
      parts,
      contentKey,
      below,
      layer: { diffId, tarSize, created, times },
      origin: { diffId, descriptor, source, repository, cached: { form } },
    };
  }

  async #load(): Promise<void> {
    const problem = await this.#read().catch((error: unknown) => firstLine(messageOf(error)));
    if (problem === undefined) return;
    const { name } = this.#storage;
    this.#all.learned.set(name, { problem });
    this.#options.emit({ type: 'warning', message: `cache ${name} is not used: ${problem}` });
  }

  /** Why there is nothing to take; undefined when there is. */
  async #read(): Promise<string | undefined> {
    const { emit, known, store, platforms } = this.#options;
    const { name } = this.#storage;
    const before = known.get(name);
    if (before !== undefined && 'problem' in before) return before.problem;
    const descriptor = before?.descriptor ?? (await resolvePlace(this.#storage));
    if (descriptor === undefined) return 'there is none yet';
    const read = await readCache(this.#storage, descriptor, { store, platforms });
    if (read.kind === 'absent') return 'there is none yet';
    if (read.kind === 'other') return read.why;
    this.#source = await this.#storage.source();
    this.#content = read.content;
    this.#records = new Map(read.content.records.map((record) => [record.key, record]));
    this.#all.learned.set(name, { descriptor });
    const { refused } = read.content;
    if (refused.length > 0) {
      const message = `cache ${name}: ${refused.length} damaged items were left out: ${refused[0]}`;
      emit({ type: 'warning', message });
    }
    return undefined;
  }
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? text;
}
