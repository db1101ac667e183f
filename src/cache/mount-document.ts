/** What --cache-mount-to saved, as a JSON document and back (docs/cache-format.md). Read from outside: all is checked. */
import { compressionOf, type Descriptor, type DiffId, isDigest } from '../image/descriptor.ts';
import type { CacheBounds } from './cache-spec.ts';

/** The content of one cache mount, as a layer on nothing. */
export interface SavedMount {
  /** Stands for id, owner, mode and first content of the mount. */
  readonly name: string;
  readonly id: string;
  readonly diffId: DiffId;
  readonly tarSize: number;
  readonly descriptor: Descriptor;
  /** Seconds since 1970: when a build last saved it. */
  readonly used: number;
}

const VERSION = 1;

/** The document of some mounts. */
export function encodeMounts(mounts: readonly SavedMount[]): Buffer {
  const list = mounts.map(({ descriptor, ...mount }) => ({ ...mount, blob: descriptor.digest }));
  return Buffer.from(JSON.stringify({ version: VERSION, mounts: list }));
}

/** Mounts of a document, without those that are malformed; undefined for what is no document of this version. */
export function decodeMounts(content: Buffer, blobs: readonly Descriptor[]): SavedMount[] | undefined {
  try {
    const json = JSON.parse(content.toString('utf8')) as { version?: unknown; mounts?: unknown } | null;
    if (json?.version !== VERSION || !Array.isArray(json.mounts)) return undefined;
    return json.mounts.flatMap((mount: unknown) => readMount(mount, blobs) ?? []);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function readMount(value: unknown, blobs: readonly Descriptor[]): SavedMount | undefined {
  const { name, id, diffId, tarSize, blob, used } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const descriptor = blobs.find(({ digest }) => digest === blob);
  const valid =
    typeof name === 'string' &&
    /^[0-9a-f]{32}$/.test(name) &&
    typeof id === 'string' &&
    isDigest(diffId) &&
    isCount(tarSize) &&
    isCount(used) &&
    descriptor !== undefined &&
    compressionOf(descriptor.mediaType) !== undefined;
  return valid ? { name, id, diffId, tarSize, descriptor, used } : undefined;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The mounts of this build, then earlier ones within the bounds, the last used first. */
export function mergeMounts(
  old: readonly SavedMount[],
  fresh: readonly SavedMount[],
  { now, bounds }: { readonly now: number; readonly bounds: CacheBounds },
): { readonly kept: readonly SavedMount[]; readonly dropped: readonly SavedMount[] } {
  const taken = new Set(fresh.map(({ name }) => name));
  const earlier = old
    .filter(({ name, used }) => !taken.has(name) && (now - used) * 1000 < bounds.maxAge)
    .sort((a, b) => b.used - a.used);
  const kept: SavedMount[] = [];
  const dropped: SavedMount[] = [];
  let bytes = 0;
  for (const mount of [...fresh, ...earlier]) {
    const fits = bytes + mount.descriptor.size <= (bounds.maxSize ?? Number.POSITIVE_INFINITY);
    (fits ? kept : dropped).push(mount);
    if (fits) bytes += mount.descriptor.size;
  }
  return { kept, dropped };
}
