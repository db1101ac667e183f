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
import { FILE_LIST_TYPE, makeCache } from './cache-manifest.ts';
import type { StoredExport } from './cache-spec.ts';
import type { CacheStorage } from './cache-storage.ts';
import { type MergedCache, mergeCaches, saysTheSame } from './merge-caches.ts';
import { readCache, resolvePlace } from './read-cache.ts';
import { replaceManifest, writeTogether } from './shared-place.ts';
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
  /** Blobs that the place should have and has not. */
  readonly #lost = new Set<Digest>();
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

  /** Begins to ask what the place holds. Never rejects: `finish` tells. */
  prepare(): void {
    this.#before().catch(() => undefined);
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
    const { bounds } = this.spec;
    let records = 0;
    const written = await writeTogether<Previous>({
      name: this.name,
      read: async (known) => this.#latest(known ?? (await this.#before())),
      write: async (previous) => {
        const fresh = await this.#content(steps, aliases);
        const merged = mergeCaches(this.#whole(previous.content), fresh, { now: this.#now(), bounds });
        records = merged.records.length;
        return saysTheSame(previous.content, merged, bounds) ? 'same' : this.#write(merged, previous);
      },
    });
    return { records, sent: this.#uploads.sent, unchanged: !written };
  }

  /** What the place holds by now. */
  async #latest(known: Previous): Promise<Previous> {
    const descriptor = await this.#resolve();
    return descriptor?.digest === known.descriptor?.digest ? known : this.#read(descriptor);
  }

  /** A cache without what the place has lost of it. */
  #whole(content: CacheContent | undefined): CacheContent | undefined {
    if (content === undefined || this.#lost.size === 0) return content;
    const there = ([, { digest }]: readonly [unknown, { digest: Digest }]) => !this.#lost.has(digest);
    const layers = new Map(
      [...content.layers].filter(([diffId, { descriptor }]) => there([diffId, descriptor])),
    );
    return { ...content, layers, lists: new Map([...content.lists].filter(there)) };
  }

  async #content(steps: readonly ExportedStep[], aliases: readonly Alias[]): Promise<CacheContent> {
    const records = new Map<string, KeptRecord>();
    const layers = new Map<DiffId, KeptLayer>();
    const lists = new Map<Digest, Descriptor>();
    for (const { layer, records: own } of steps) {
      if (this.#world.excluded.has(layer.diffId) && layer.image !== undefined) continue;
      layers.set(layer.diffId, await this.#keep(layer));
      for (const { key, parts, contentKey, below } of own) {
        const { diffId, created, times } = layer;
        records.set(key, { key, parts, contentKey, diffId, below, created, times, used: this.#now() });
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
    const usable = there !== undefined && !excluded.has(diffId) && !this.#lost.has(there.descriptor.digest);
    if (usable && (!form.force || there.form === wanted)) return there;
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
    if (there !== undefined && !this.#lost.has(there.digest)) return there;
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

  /**
   * Writes config and manifest; gives what the place holds then. "changed" when another build has written there, or
   * blobs of an earlier one turned out to be lost, which are then left out.
   */
  async #write(merged: MergedCache, over: Previous): Promise<Previous | 'changed'> {
    const { config, manifest } = makeCache(merged);
    await this.#document(config.descriptor, config.content);
    const sink = await this.#open();
    const replacement = { ...manifest, over: over.descriptor?.digest };
    try {
      if (!(await replaceManifest({ storage: this.#storage, sink }, replacement))) return 'changed';
      return { descriptor: manifest.descriptor, content: merged };
    } catch (error) {
      if (!tellsOfLoss(error) || !(await this.#findLost(merged))) throw error;
      return 'changed';
    }
  }

  /** True when more blobs turn out to be lost. */
  async #findLost({ layers, lists }: CacheContent): Promise<boolean> {
    const before = this.#lost.size;
    const sink = await this.#open();
    const kept = [...layers].map(([diffId, { descriptor }]) => ({ diffId, descriptor }));
    for (const { diffId, descriptor } of kept) {
      if (await sink.hasBlob(descriptor)) continue;
      this.#lost.add(descriptor.digest);
      this.#layers.delete(diffId);
    }
    for (const list of lists.values()) {
      if (!(await sink.hasBlob(list))) this.#lost.add(list.digest);
    }
    return this.#lost.size > before;
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

/** A manifest was refused because the place lacks blobs that it names. */
function tellsOfLoss(error: unknown): boolean {
  if (error instanceof RegistryError) return error.says('MANIFEST_BLOB_UNKNOWN');
  return error instanceof BuildError && error.code === 'BASE_IMAGE_INCOMPLETE';
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
