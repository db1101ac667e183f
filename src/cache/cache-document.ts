/**
 * The records of a cache as a JSON document and back (docs/cache-format.md). Whatever is read comes from outside: each
 * item is checked by itself, and what is wrong is left out and counted.
 */
import {
  type CacheKey,
  compressionOf,
  type Descriptor,
  type DiffId,
  type Digest,
  isDigest,
  type KeyPart,
} from '../image/descriptor.ts';
import { MANIFEST_LIMITS } from '../image/manifest.ts';
import type { LayerTimes, ToldTimes } from '../layer/layer-times.ts';
import { keyOf } from '../plan/cache-key.ts';

/** A layer that a cache holds. */
export interface KeptLayer {
  readonly diffId: DiffId;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
  /** The blob it is kept as. */
  readonly descriptor: Descriptor;
  /** Settings the blob was compressed with, such as "gzip-6"; undefined when they are not known. */
  readonly form: string | undefined;
}

/** A record of a cache. */
export interface KeptRecord {
  readonly key: CacheKey;
  readonly parts: readonly KeyPart[];
  readonly contentKey?: CacheKey | undefined;
  readonly diffId: DiffId;
  /** Layers the step ran on, lowest first. */
  readonly below?: readonly DiffId[] | undefined;
  /** RFC 3339: when the step ran. */
  readonly created: string;
  readonly times?: LayerTimes | undefined;
  /** Seconds since 1970: when a build last made or used it. */
  readonly used: number;
}

/** A step whose layer the cache does not hold: its key, and the one that what follows builds on. */
export interface KeptAlias {
  readonly key: CacheKey;
  readonly parts: readonly KeyPart[];
  readonly contentKey: CacheKey;
  /** Seconds since 1970. */
  readonly used: number;
}

/** What a cache holds. Every record's layer is among the layers. */
export interface CacheContent {
  readonly records: readonly KeptRecord[];
  readonly layers: ReadonlyMap<DiffId, KeptLayer>;
  readonly aliases: readonly KeptAlias[];
  /** Compressed lists of files that parts of records name, by the digest they have there. */
  readonly lists: ReadonlyMap<Digest, Descriptor>;
}

export interface DecodedCache extends CacheContent {
  /** Items that were left out, each with its reason. */
  readonly refused: readonly string[];
}

/** Raised when documents of older versions can no longer be read. */
export const CACHE_VERSION = 1;

/** Bytes of a document; larger ones are neither written nor read. */
export const DOCUMENT_LIMIT = 16 << 20;

/** Nothing in a key is longer, short of a heredoc of this size. */
const PART_LIMIT = 1 << 20;

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;
const FORM = /^(?:uncompressed|(?:gzip|zstd)-\d{1,2})$/;

/** The document of some records. The same content always gives the same bytes. */
export function encodeCache({ records, layers, lists, aliases }: CacheContent): Buffer {
  const order = [...layers.keys()];
  const at = new Map(order.map((diffId, index) => [diffId, index]));
  return Buffer.from(
    JSON.stringify({
      version: CACHE_VERSION,
      layers: [...layers.values()].map(({ diffId, tarSize, descriptor, form }) => ({
        diffId,
        tarSize,
        blob: descriptor.digest,
        ...(form === undefined ? {} : { form }),
      })),
      lists: [...lists].map(([digest, { digest: blob }]) => ({ digest, blob })),
      records: records.map(({ key, parts, contentKey, diffId, below, created, times, used }) => ({
        key,
        parts,
        ...(contentKey === undefined ? {} : { contentKey }),
        layer: at.get(diffId),
        ...(below === undefined ? {} : { below }),
        created,
        ...(times === undefined ? {} : { times }),
        used,
      })),
      aliases,
    }),
  );
}

/**
 * Reads a document. `blobs` are the descriptors its manifest lists: nothing else may be named. Undefined for what is no
 * document of this version.
 */
export function decodeCache(content: Buffer, blobs: readonly Descriptor[]): DecodedCache | undefined {
  let json: unknown;
  try {
    json = JSON.parse(content.toString('utf8'));
  } catch {
    return undefined;
  }
  if (!isObject(json) || json['version'] !== CACHE_VERSION) return undefined;
  return new Decoder(blobs).decode(json);
}

type Json = Readonly<Record<string, unknown>>;

class Decoder {
  readonly #blobs: ReadonlyMap<string, Descriptor>;
  readonly #refused: string[] = [];

  constructor(blobs: readonly Descriptor[]) {
    this.#blobs = new Map(blobs.map((blob) => [blob.digest, blob]));
  }

  decode(json: Json): DecodedCache {
    const layers = listOf(json['layers']).map((layer, index) =>
      this.#check(`layer ${index}`, () => this.#layer(layer)),
    );
    const lists = listOf(json['lists']).map((list, index) =>
      this.#check(`list ${index}`, () => this.#list(list)),
    );
    const records = new Map<CacheKey, KeptRecord>();
    for (const [index, item] of listOf(json['records']).entries()) {
      const record = this.#check(`record ${index}`, () => readRecord(item, layers));
      if (record !== undefined) records.set(record.key, record);
    }
    const whole = layers.flatMap((layer) => layer ?? []);
    return {
      records: [...records.values()],
      layers: new Map(whole.map((layer) => [layer.diffId, layer])),
      lists: new Map(lists.flatMap((list) => (list === undefined ? [] : [list]))),
      aliases: listOf(json['aliases']).flatMap(
        (alias, index) => this.#check(`alias ${index}`, () => readAlias(alias)) ?? [],
      ),
      refused: this.#refused,
    };
  }

  #check<T>(what: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#refused.push(`${what}: ${error.message}`);
      return undefined;
    }
  }

  #layer(value: unknown): KeptLayer {
    const { diffId, tarSize, blob, form } = objectOf(value);
    if (!isDigest(diffId)) throw new Refusal('its DiffID is no digest');
    if (!isCount(tarSize)) throw new Refusal('its tar has no size');
    const descriptor = this.#blob(blob);
    if (compressionOf(descriptor.mediaType) === undefined) throw new Refusal('its blob is no layer');
    const known = typeof form === 'string' && FORM.test(form) ? form : undefined;
    return { diffId, tarSize, descriptor, form: known };
  }

  #list(value: unknown): [Digest, Descriptor] {
    const { digest, blob } = objectOf(value);
    if (!isDigest(digest)) throw new Refusal('its digest is none');
    return [digest, this.#blob(blob)];
  }

  #blob(digest: unknown): Descriptor {
    const found = typeof digest === 'string' ? this.#blobs.get(digest) : undefined;
    if (found === undefined) throw new Refusal('its blob is not in the manifest');
    const { mediaType, size } = found;
    return { mediaType, digest: found.digest, size };
  }
}

class Refusal extends Error {}

function readRecord(value: unknown, layers: readonly (KeptLayer | undefined)[]): KeptRecord {
  const { key, parts, contentKey, layer, below, created, times, used } = objectOf(value);
  if (!isDigest(key)) throw new Refusal('its key is no digest');
  const read = readParts(parts);
  if (keyOf(read) !== key) throw new Refusal('its key is not the one of its parts');
  if (contentKey !== undefined && !isDigest(contentKey)) throw new Refusal('its content key is no digest');
  const kept = isCount(layer) ? layers[layer] : undefined;
  if (kept === undefined) throw new Refusal('its layer is missing or was refused');
  if (below !== undefined && !isStack(below)) throw new Refusal('what it stands on is no list of digests');
  if (typeof created !== 'string' || !TIME.test(created)) throw new Refusal('its time is none');
  if (!isCount(used)) throw new Refusal('its last use is no time');
  return {
    key,
    parts: read,
    ...(contentKey === undefined ? {} : { contentKey }),
    diffId: kept.diffId,
    ...(below === undefined ? {} : { below }),
    created,
    ...(times === undefined ? {} : { times: readTimes(times) }),
    used,
  };
}

function readTimes(value: unknown): LayerTimes {
  const { epoch, told, until, since } = objectOf(value);
  const seconds = (time: unknown): number | undefined => {
    if (time !== undefined && !Number.isSafeInteger(time)) throw new Refusal('a time of its layer is none');
    return time as number | undefined;
  };
  const read = (item: unknown): ToldTimes[number] => {
    const [first, count, time] = listOf(item);
    if (!isCount(first) || !isCount(count) || time === undefined) throw new Refusal('its times are no list');
    return [first, count, time === null ? null : (seconds(time) ?? null)];
  };
  return {
    epoch: seconds(epoch),
    told: told === undefined ? undefined : listOf(told).map(read),
    until: seconds(until),
    since: seconds(since),
  };
}

function readAlias(value: unknown): KeptAlias {
  const { key, parts, contentKey, used } = objectOf(value);
  const read = readParts(parts);
  if (!isDigest(key) || keyOf(read) !== key) throw new Refusal('its key is not the one of its parts');
  if (!isDigest(contentKey)) throw new Refusal('its content key is no digest');
  if (!isCount(used)) throw new Refusal('its last use is no time');
  return { key, parts: read, contentKey, used };
}

function readParts(value: unknown): KeyPart[] {
  if (!Array.isArray(value)) throw new Refusal('it has no parts');
  return value.map((part: unknown): KeyPart => {
    const [name, text] = Array.isArray(part) ? (part as unknown[]) : [];
    if (typeof name !== 'string' || typeof text !== 'string' || (part as unknown[]).length !== 2)
      throw new Refusal('a part is no pair of texts');
    if (text.length > PART_LIMIT) throw new Refusal('a part is too long');
    return [name, text];
  });
}

function objectOf(value: unknown): Json {
  if (!isObject(value)) throw new Refusal('it is no object');
  return value;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isStack(value: unknown): value is readonly DiffId[] {
  return Array.isArray(value) && value.length <= MANIFEST_LIMITS.layers && value.every(isDigest);
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}
