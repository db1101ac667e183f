/** Cache records and downloads as the collector sees them: one file each, with its last use. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ChainId,
  chainId,
  type Descriptor,
  type DiffId,
  type Digest,
  isDigest,
} from '../image/descriptor.ts';
import { type CacheRecord, fileListsOf } from './record-store.ts';
import type { Store } from './store.ts';

export interface CacheEntry {
  readonly path: string;
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly lastUse: number;
  /** The layer or download that it names. */
  readonly digest: Digest;
  /** Key and parent's key of a step's record. */
  readonly step?:
    | { readonly key: string; readonly parent: string; readonly below?: readonly DiffId[] | undefined }
    | undefined;
  /** The blob its layer came as, where it came from elsewhere. */
  readonly blob?: Descriptor | undefined;
  /** Lists of files that its parts name. */
  readonly fileLists?: readonly Digest[] | undefined;
}

export interface CacheListing {
  /** The most recently used first. */
  readonly entries: readonly CacheEntry[];
  /** Files that can be read as no record, or whose layer is gone. */
  readonly broken: readonly string[];
}

/** Every record of the cache. */
export function listCache(store: Store): CacheListing {
  const entries: CacheEntry[] = [];
  const broken: string[] = [];
  for (const raw of recordsOf(store)) {
    const entry = entryOf(raw);
    if (entry === undefined || !isHere(store, entry)) broken.push(raw.path);
    else entries.push(entry);
  }
  entries.sort((a, b) => b.lastUse - a.lastUse);
  return { entries, broken };
}

/** True while the bytes of an entry's layer or download are here, as its tar or as the blob it came as. */
function isHere(store: Store, { digest, bytes, blob }: CacheEntry & { bytes: number | undefined }): boolean {
  const size = store.blobs.size(digest);
  if (size !== undefined && (bytes ?? size) === size) return true;
  return blob !== undefined && store.blobs.size(blob.digest) === blob.size;
}

function entryOf({
  path,
  record,
  download,
}: RawRecord): (CacheEntry & { bytes: number | undefined }) | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  const common = { path, size: stat.size, lastUse: stat.mtimeMs };
  if (download !== undefined) return { ...common, digest: download, bytes: undefined };
  if (record === undefined) return undefined;
  const { key, layer, parts } = record;
  const parent = parts.find(([name]) => name === 'parent')?.[1] ?? '';
  const below = Array.isArray(record.below) ? record.below.filter(isDigest) : undefined;
  return {
    ...common,
    digest: layer.diffId,
    step: { key, parent, below },
    bytes: layer.tarSize,
    fileLists: fileListsOf(parts),
    blob: isDigest(layer.blob?.digest) ? layer.blob : undefined,
  };
}

/**
 * Says which stack a record's layer is the top of. A record that does not say itself has it from its parent: another
 * record, a base's ChainID, or "scratch".
 */
export function chainFinder(entries: readonly CacheEntry[]): (entry: CacheEntry) => ChainId | undefined {
  const byKey = new Map(
    entries.flatMap((entry) => (entry.step === undefined ? [] : [[entry.step.key, entry]])),
  );
  const known = new Map<CacheEntry, ChainId | undefined>();
  const find = (entry: CacheEntry): ChainId | undefined => {
    if (entry.step === undefined) return undefined;
    if (known.has(entry)) return known.get(entry);
    if (entry.step.below !== undefined) {
      const stack = [...entry.step.below, entry.digest];
      const chain = stack.reduce<ChainId | undefined>((below, diffId) => chainId(below, diffId), undefined);
      known.set(entry, chain);
      return chain;
    }
    known.set(entry, undefined); // Ends a circle, which only a made-up record can have.
    const above = byKey.get(entry.step.parent);
    const { parent } = entry.step;
    const below = above === undefined ? (isDigest(parent) ? parent : undefined) : find(above);
    const chain = below === undefined && parent !== 'scratch' ? undefined : chainId(below, entry.digest);
    known.set(entry, chain);
    return chain;
  };
  return find;
}

/** A file of the cache as it is: a step's record, a download's, or neither when it cannot be read. */
export interface RawRecord {
  readonly path: string;
  readonly record: CacheRecord | undefined;
  /** What a download gave. */
  readonly download: Digest | undefined;
}

/** Every record file of the cache, whole or not. */
export function* recordsOf(store: Store): Generator<RawRecord> {
  const cache = join(store.root, 'cache');
  for (const folder of readdirSync(cache)) {
    if (!/^(?:[0-9a-f]{2}|downloads)$/.test(folder)) continue;
    for (const name of readdirSync(join(cache, folder))) {
      const path = join(cache, folder, name);
      yield { path, ...readRaw(path) };
    }
  }
}

function readRaw(path: string): Omit<RawRecord, 'path'> {
  try {
    const raw = JSON.parse(readFileSync(path, 'utf8')) as Partial<CacheRecord> & { digest?: unknown };
    if (isDigest(raw.digest)) return { record: undefined, download: raw.digest };
    const whole =
      isDigest(raw.key) &&
      isDigest(raw.layer?.diffId) &&
      Array.isArray(raw.parts) &&
      raw.parts.every(Array.isArray);
    return { record: whole ? (raw as CacheRecord) : undefined, download: undefined };
  } catch {
    return { record: undefined, download: undefined };
  }
}
