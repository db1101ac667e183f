/**
 * One --cache-to: takes the build's steps as they settle, brings their layers to the cache's place while later steps
 * run, and at the end writes the records over what the place held. A failure is told at the end, never earlier.
 */
import { Readable } from 'node:stream';
import { BuildError, messageOf } from '../errors.ts';
import { type Descriptor, type DiffId, type Digest, digestOf } from '../image/descriptor.ts';
import { formName } from '../image/layer-form.ts';
import { pushLayer } from '../registry/push-layer.ts';
import { RegistryError } from '../registry/registry-error.ts';
import type { ImageLayer } from '../solver/image-resolver.ts';
import type { Alias } from '../solver/key-forecast.ts';
import type { LayerForms } from '../solver/layer-forms.ts';
import type { SettledLayer } from '../solver/step-layer.ts';
import type { ContentSink } from '../store/content-store.ts';
import { type CacheRecord, fileListsOf } from '../store/record-store.ts';
import type { Store } from '../store/store.ts';
import type { CacheContent, KeptLayer, KeptRecord } from './cache-document.ts';
import { type EncodedCache, FILE_LIST_TYPE, makeCache } from './cache-manifest.ts';
import type { StoredExport } from './cache-spec.ts';
import type { CacheStorage } from './cache-storage.ts';
import { type MergedCache, mergeCaches, saysTheSame } from './merge-caches.ts';
import { readCache, resolvePlace } from './read-cache.ts';
import { Uploads } from './uploads.ts';

export interface ExportWorld {
  readonly store: Store;
  readonly forms: LayerForms;
  /** A list of files that a record names, compressed. */
  readonly fileList: (digest: Digest) => Promise<Buffer | undefined>;
  /** Layers that turned out to be damaged where they are. */
  readonly excluded: Pick<ReadonlySet<DiffId>, 'has'>;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly signal: AbortSignal;
}

/** A step of the build with every record it has. */
export interface ExportedStep {
  readonly records: readonly Omit<CacheRecord, 'layer'>[];
  readonly layer: SettledLayer;
}

/** What an export did, for the reader. */
export interface ExportReport {
  readonly records: number;
  /** Bytes that were sent. */
  readonly sent: number;
  /** Nothing had to be written. */
  readonly unchanged: boolean;
}

/** Lists larger than this are left behind: they only explain, and a build of a million files makes one in its place. */
const LIST_LIMIT = 4 << 20;

/** What a place holds before the export. */
interface Previous {
  readonly descriptor: Descriptor | undefined;
  readonly content: CacheContent | undefined;
}

export class CacheExport {
  readonly spec: StoredExport;
  readonly #storage: CacheStorage;
  readonly #world: ExportWorld;
  readonly #uploads: Uploads;
  readonly #layers = new Map<DiffId, Promise<KeptLayer>>();
  #previous: Promise<Previous> | undefined;
  #sink: Promise<ContentSink> | undefined;

  constructor(spec: StoredExport, storage: CacheStorage, world: ExportWorld) {
    this.spec = spec;
    this.#storage = storage;
    this.#world = world;
    this.#uploads = new Uploads();
  }

  /** Host of the registry it goes to. */
  get registry(): string | undefined {
    return this.#storage.repository?.split('/')[0];
  }

  get name(): string {
    return this.#storage.name;
  }

  /** Begins to bring a layer to the cache. Never rejects: `finish` tells. */
  begin(layer: SettledLayer): void {
    this.#keep(layer).catch(() => undefined);
  }

  /** Where a layer is by now, for a mount into another repository; undefined when it is not there. */
  async homeOf(layer: SettledLayer): Promise<ImageLayer['repository']> {
    const kept = await this.#layers.get(layer.diffId)?.catch(() => undefined);
    return kept === undefined ? undefined : this.#storage.repository;
  }

  /** Writes the cache. Throws what a registry or a disk says, and CACHE_EXPORT_REFUSED. */
  async finish(steps: readonly ExportedStep[], aliases: readonly Alias[]): Promise<ExportReport> {
    const fresh = await this.#content(steps, aliases);
    let previous = await this.#before();
    const latest = await this.#resolve();
    if (latest?.digest !== previous.descriptor?.digest) previous = await this.#read(latest);
    const { bounds } = this.spec;
    const merged = mergeCaches(previous.content, fresh, { now: this.#now(), bounds });
    const report = { records: merged.records.length, sent: this.#uploads.sent };
    if (saysTheSame(previous.content, merged, bounds)) return { ...report, unchanged: true };
    await this.#write(merged, fresh);
    return { ...report, sent: this.#uploads.sent, unchanged: false };
  }

  async #content(steps: readonly ExportedStep[], aliases: readonly Alias[]): Promise<CacheContent> {
    const records = new Map<string, KeptRecord>();
    const layers = new Map<DiffId, KeptLayer>();
    const lists = new Map<Digest, Descriptor>();
    for (const { layer, records: own } of steps) {
      if (this.#world.excluded.has(layer.diffId) && layer.image !== undefined) continue;
      layers.set(layer.diffId, await this.#keep(layer));
      for (const { key, parts, contentKey, below } of own) {
        const { diffId, created } = layer;
        records.set(key, { key, parts, contentKey, diffId, below, created, used: this.#now() });
        for (const digest of fileListsOf(parts)) {
          const list = lists.has(digest) ? undefined : await this.#list(digest);
          if (list !== undefined) lists.set(digest, list);
        }
      }
    }
    const used = this.#now();
    return {
      records: [...records.values()],
      layers,
      lists,
      aliases: aliases.map((alias) => ({ ...alias, used })),
    };
  }

  /** A layer at the cache's place; brought there once. */
  #keep(layer: SettledLayer): Promise<KeptLayer> {
    let kept = this.#layers.get(layer.diffId);
    if (kept === undefined) {
      kept = this.#uploads.run(() => this.#bring(layer));
      this.#layers.set(layer.diffId, kept);
    }
    return kept;
  }

  async #bring(layer: SettledLayer): Promise<KeptLayer> {
    const { form } = this.spec;
    const { store, signal, forms, excluded } = this.#world;
    const { diffId, tarSize, image } = layer;
    const wanted = formName(form);
    const there = (await this.#before()).content?.layers.get(diffId);
    if (there !== undefined && !excluded.has(diffId) && (!form.force || there.form === wanted)) return there;
    // What came from a cache stays as it came: no byte of it need be here.
    const borrowed = image?.cached !== undefined && !form.force ? image : undefined;
    const descriptor = borrowed?.descriptor ?? (await forms.describe(layer, form));
    const fetch = async (): Promise<void> => {
      if (borrowed === undefined || store.blobs.claim(descriptor.digest)) return;
      await store.blobs.receive(descriptor, await borrowed.source.fetchBlob(descriptor, signal));
    };
    const push = { descriptor, registry: this.registry, home: borrowed?.repository, fetch };
    this.#uploads.count(await pushLayer(await this.#open(), push, { store, signal }), descriptor);
    const size = tarSize > 0 ? tarSize : (store.blobs.size(diffId) ?? 0);
    return { diffId, tarSize: size, descriptor, form: borrowed === undefined ? wanted : image?.cached?.form };
  }

  async #list(digest: Digest): Promise<Descriptor | undefined> {
    const there = (await this.#before()).content?.lists.get(digest);
    if (there !== undefined) return there;
    const content = await this.#world.fileList(digest);
    if (content === undefined || content.length > LIST_LIMIT) return undefined;
    return this.#document(
      { mediaType: FILE_LIST_TYPE, digest: digestOf(content), size: content.length },
      content,
    );
  }

  async #document(descriptor: Descriptor, content: Buffer): Promise<Descriptor> {
    const sink = await this.#open();
    const open = (offset: number) => Readable.from([content.subarray(offset)]);
    this.#uploads.count(await sink.pushBlob({ descriptor, open }, this.#world.signal), descriptor);
    return descriptor;
  }

  /** Writes config and manifest. A registry that has lost a blob of an earlier build says so: that one is dropped. */
  async #write(merged: MergedCache, fresh: CacheContent): Promise<void> {
    try {
      await this.#put(makeCache(merged));
    } catch (error) {
      if (!(error instanceof RegistryError) || !error.says('MANIFEST_BLOB_UNKNOWN')) throw error;
      const sink = await this.#open();
      const layers = new Map<DiffId, KeptLayer>();
      for (const [diffId, layer] of merged.layers) {
        if (await sink.hasBlob(layer.descriptor)) layers.set(diffId, layer);
      }
      if (layers.size === merged.layers.size) throw error;
      const records = merged.records.filter(({ diffId }) => layers.has(diffId));
      await this.#put(makeCache({ ...merged, records, layers, lists: fresh.lists }));
    }
  }

  async #put({ config, manifest }: EncodedCache): Promise<void> {
    await this.#document(config.descriptor, config.content);
    const sink = await this.#open();
    await sink.pushManifest(manifest.descriptor, manifest.content, this.#storage.reference);
  }

  #before(): Promise<Previous> {
    this.#previous ??= this.#resolve().then((descriptor) => this.#read(descriptor));
    return this.#previous;
  }

  async #resolve(): Promise<Descriptor | undefined> {
    return resolvePlace(this.#storage).catch(unlessDamaged);
  }

  async #read(descriptor: Descriptor | undefined): Promise<Previous> {
    if (descriptor === undefined) return { descriptor, content: undefined };
    const { store } = this.#world;
    const read = await readCache(this.#storage, descriptor, { store, platforms: [] }).catch(unlessDamaged);
    if (read?.kind === 'cache' && !read.inline) return { descriptor, content: read.content };
    if (read === undefined || (read.kind === 'other' && read.ours)) return { descriptor, content: undefined };
    throw new BuildError('CACHE_EXPORT_REFUSED', `${this.name} holds something else than a cache of kiln`, {
      suggestions: ['Name another tag for the cache: what is there is not overwritten.'],
    });
  }

  #open(): Promise<ContentSink> {
    this.#sink ??= this.#storage.sink();
    return this.#sink;
  }

  /** Seconds since 1970. */
  #now(): number {
    return Math.floor(this.#world.clock() / 1000);
  }
}

/** What is there but damaged is written anew; any other failure stays one. */
function unlessDamaged(error: unknown): undefined {
  const damaged =
    error instanceof BuildError &&
    /^(?:REGISTRY_DIGEST_MISMATCH|REGISTRY_NOT_FOUND|BASE_IMAGE_(?:DAMAGED|INCOMPLETE)|IMAGE_INVALID_MANIFEST)$/.test(
      error.code,
    );
  if (!damaged) throw error;
}

/** The first line of whatever an export failed with. */
export function exportProblem(error: unknown): string {
  return messageOf(error).split('\n')[0] ?? '';
}
