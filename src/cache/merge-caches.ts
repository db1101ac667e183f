/** What an export leaves at its place: the records of this build, and those of earlier ones within the bounds. Pure. */
import type { Descriptor, DiffId, Digest } from '../image/descriptor.ts';
import { MANIFEST_LIMITS } from '../image/manifest.ts';
import { fileListsOf } from '../store/record-store.ts';
import { type CacheContent, encodeCache, type KeptLayer, type KeptRecord } from './cache-document.ts';
import type { CacheBounds } from './cache-spec.ts';

/** Some registries take no manifest above 4 MiB; this many blobs make a tenth of that. */
const BLOB_LIMIT = Math.min(2000, MANIFEST_LIMITS.layers);

/** Half of what a reader takes, so that nothing has to be thrown away twice. */
const RECORDS_LIMIT = 8 << 20;

/** A record's last use need not be told more exactly than this. */
const DAY_S = 86_400;

export interface MergeOptions {
  /** Seconds since 1970. */
  readonly now: number;
  readonly bounds: CacheBounds;
}

export interface MergedCache extends CacheContent {
  /** Records of this build that the bounds left out. */
  readonly dropped: number;
  /** Bytes of all blobs. */
  readonly size: number;
}

/** Merges. Records of this build go before older ones, then the last used; a layer counts once. */
export function mergeCaches(
  old: CacheContent | undefined,
  fresh: CacheContent,
  { now, bounds }: MergeOptions,
): MergedCache {
  const isYoung = (used: number): boolean => (now - used) * 1000 < bounds.maxAge;
  const taken = new Set(fresh.records.map(({ key }) => key));
  const earlier = (old?.records ?? [])
    .filter(({ key, used }) => !taken.has(key) && isYoung(used))
    .sort((a, b) => b.used - a.used);
  const fixed = new Set(fresh.aliases.map(({ key }) => key));
  const aliases = [
    ...fresh.aliases,
    ...(old?.aliases ?? []).filter(({ key, used }) => !fixed.has(key) && isYoung(used)),
  ];
  const room = new Room(old, fresh, bounds.maxSize ?? Number.POSITIVE_INFINITY);
  const kept = fresh.records.filter((record) => room.take(record));
  const older = earlier.filter((record) => room.take(record));
  return {
    records: [...kept, ...older],
    layers: room.layers,
    lists: room.lists,
    aliases: aliases.filter((alias) => room.takeText(alias)),
    dropped: fresh.records.length - kept.length,
    size: room.size,
  };
}

/** Blobs that are kept so far, and what still fits beside them. */
class Room {
  readonly layers = new Map<DiffId, KeptLayer>();
  readonly lists = new Map<Digest, Descriptor>();
  readonly #layerOf: (diffId: DiffId) => KeptLayer | undefined;
  readonly #listOf: (digest: Digest) => Descriptor | undefined;
  readonly #limit: number;
  #bytes = 0;
  #records = 0;

  constructor(old: CacheContent | undefined, fresh: CacheContent, limit: number) {
    this.#layerOf = (diffId) => fresh.layers.get(diffId) ?? old?.layers.get(diffId);
    this.#listOf = (digest) => fresh.lists.get(digest) ?? old?.lists.get(digest);
    this.#limit = limit;
  }

  get size(): number {
    return this.#bytes;
  }

  /** Makes room for a record with its layer and lists; false when they do not fit. */
  take(record: KeptRecord): boolean {
    const layer = this.#layerOf(record.diffId);
    if (layer === undefined) return false;
    const added = this.layers.has(layer.diffId) ? 0 : layer.descriptor.size;
    if (this.#bytes + added > this.#limit) return false;
    if (added > 0 && this.layers.size + this.lists.size >= BLOB_LIMIT) return false;
    if (!this.takeText(record)) return false;
    this.#bytes += added;
    this.layers.set(layer.diffId, layer);
    for (const digest of fileListsOf(record.parts)) this.#takeList(digest);
    return true;
  }

  /** Makes room for the text of an item. */
  takeText(item: unknown): boolean {
    const text = JSON.stringify(item).length;
    if (this.#records + text > RECORDS_LIMIT) return false;
    this.#records += text;
    return true;
  }

  /** A list that does not fit is no reason to leave out its record: it only explains. */
  #takeList(digest: Digest): void {
    const list = this.#listOf(digest);
    if (list === undefined || this.lists.has(digest)) return;
    if (this.#bytes + list.size > this.#limit || this.layers.size + this.lists.size >= BLOB_LIMIT) return;
    this.#bytes += list.size;
    this.lists.set(digest, list);
  }
}

/**
 * True when writing `next` over `old` would tell nobody anything: the same records and blobs, and every last use as
 * fresh as the bounds need it.
 */
export function saysTheSame(old: CacheContent | undefined, next: CacheContent, bounds: CacheBounds): boolean {
  if (old === undefined) return false;
  const grain = Math.min(DAY_S, bounds.maxAge / 4000);
  const before = new Map(old.records.map((record) => [record.key, record]));
  const fresh = next.records.every(({ key, used }) => used - (before.get(key)?.used ?? 0) <= grain);
  return fresh && timeless(old) === timeless(next);
}

/** The content without its times, in an order of its own. */
function timeless({ records, layers, lists, aliases }: CacheContent): string {
  const sorted = <K extends string, V>(map: ReadonlyMap<K, V>): ReadonlyMap<K, V> =>
    new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
  return encodeCache({
    records: records.map((record) => ({ ...record, used: 0 })).sort((a, b) => (a.key < b.key ? -1 : 1)),
    layers: sorted(layers),
    lists: sorted(lists),
    aliases: aliases.map((alias) => ({ ...alias, used: 0 })).sort((a, b) => (a.key < b.key ? -1 : 1)),
  }).toString('utf8');
}
