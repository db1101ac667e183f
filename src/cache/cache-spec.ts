/**
 * The grammar of --cache-to, --cache-from, --cache-mount-to and --cache-mount-from: `type=…,key=value,…` (CSV, quotes
 * allowed), or bare references. Names and defaults are BuildKit's; what is kiln's own is in docs/cache-format.md.
 */
import { resolve } from 'node:path';
import type { Compression } from '../image/descriptor.ts';
import { manifestName, parseReference, withDefaultTag } from '../image/reference.ts';
import { CacheFields } from './cache-fields.ts';

/** Where a cache is. */
export type CachePlace =
  | { readonly kind: 'registry'; readonly reference: string }
  /** An OCI image layout; `tag` names the cache in it. */
  | { readonly kind: 'local'; readonly directory: string; readonly tag: string };

/** How long and how much an export keeps of what was there before. */
export interface CacheBounds {
  /** Milliseconds since the last use. */
  readonly maxAge: number;
  /** Bytes of blobs. */
  readonly maxSize: number | undefined;
}

/** How blobs of a cache are compressed. */
export interface CacheForm {
  readonly compression: Compression;
  readonly level: number | undefined;
  /** Also what came from a cache in another form. */
  readonly force: boolean;
}

export interface StoredExport {
  readonly kind: 'stored';
  readonly place: CachePlace;
  /** `min`: the steps of the image itself; `max`: those of all stages that were built. */
  readonly mode: 'min' | 'max';
  readonly form: CacheForm;
  readonly bounds: CacheBounds;
  /** A failed export is only a warning. */
  readonly ignoreError: boolean;
}

export type CacheExportSpec =
  | StoredExport
  /** Records go into the config of the image itself. */
  | { readonly kind: 'inline'; readonly ignoreError: boolean };

/** --cache-mount-to. */
export interface MountExportSpec {
  readonly place: CachePlace;
  /** Only mounts with one of these ids; undefined: every mount that the build used. */
  readonly ids: ReadonlySet<string> | undefined;
  readonly form: CacheForm;
  readonly bounds: CacheBounds;
  readonly ignoreError: boolean;
}

/** --cache-mount-from. */
export interface MountImportSpec {
  readonly place: CachePlace;
  readonly ids: ReadonlySet<string> | undefined;
}

/** Two weeks: longer than a holiday, and a bound on what nobody uses any more. */
const DEFAULT_MAX_AGE = 14 * 86_400_000;

const FORM_KEYS = ['compression', 'compression-level', 'force-compression'];
const MANIFEST_KEYS = ['oci-mediatypes', 'image-manifest'];
const BOUND_KEYS = ['max-age', 'max-size'];
const EXPORT_KEYS = ['mode', ...FORM_KEYS, ...MANIFEST_KEYS, 'ignore-error', ...BOUND_KEYS];

/** Reads one --cache-to value. Relative directories are below `directory`. Throws USAGE_CACHE. */
export function parseCacheExport(text: string, directory: string): CacheExportSpec[] {
  return CacheFields.read('--cache-to', text).map((fields) => {
    const type = fields.type(['registry', 'local', 'inline']);
    if (type === 'inline') {
      // It holds the image's own steps; the image's output says how layers are compressed.
      fields.refuseOthers(['mode', 'ignore-error', ...FORM_KEYS]);
      if (fields.choice('mode', ['min', 'max'], 'min') === 'max') {
        throw fields.wrong('an inline cache holds the steps of the image alone', [
          'Leave mode=max out, or use type=registry,ref=….',
        ]);
      }
      return { kind: 'inline', ignoreError: fields.flag('ignore-error', true) };
    }
    return {
      kind: 'stored',
      place: placeOf(fields, { type, directory, folder: 'dest', keys: EXPORT_KEYS }),
      mode: fields.choice('mode', ['min', 'max'], 'min'),
      ...exportOptions(fields, 'gzip'),
    };
  });
}

/** Reads one --cache-from value. Throws USAGE_CACHE. */
export function parseCacheImport(text: string, directory: string): CachePlace[] {
  return CacheFields.read('--cache-from', text).map((fields) => {
    const type = fields.type(['registry', 'local', 'inline']);
    if (type === 'inline') {
      throw fields.wrong('an inline cache is read from the image that holds it', [
        'Write type=registry,ref=IMAGE.',
      ]);
    }
    return placeOf(fields, { type, directory, folder: 'src', keys: [] });
  });
}

/** Reads one --cache-mount-to value. Throws USAGE_CACHE. */
export function parseMountExport(text: string, directory: string): MountExportSpec[] {
  return CacheFields.read('--cache-mount-to', text).map((fields) => {
    const keys = ['id', ...FORM_KEYS, ...MANIFEST_KEYS, 'ignore-error', ...BOUND_KEYS];
    const type = fields.type(['registry', 'local']);
    const place = placeOf(fields, { type, directory, folder: 'dest', keys });
    return { place, ids: idsOf(fields), ...exportOptions(fields, 'zstd') };
  });
}

/** Reads one --cache-mount-from value. Throws USAGE_CACHE. */
export function parseMountImport(text: string, directory: string): MountImportSpec[] {
  return CacheFields.read('--cache-mount-from', text).map((fields) => {
    const type = fields.type(['registry', 'local']);
    return { place: placeOf(fields, { type, directory, folder: 'src', keys: ['id'] }), ids: idsOf(fields) };
  });
}

/** A place as messages name it. */
export function formatPlace(place: CachePlace): string {
  return place.kind === 'registry' ? place.reference : `${place.directory} (${place.tag})`;
}

interface PlaceQuestion {
  readonly type: 'registry' | 'local';
  readonly directory: string;
  /** The key that names a directory. */
  readonly folder: 'src' | 'dest';
  /** What else may be said. */
  readonly keys: readonly string[];
}

function placeOf(fields: CacheFields, { type, directory, folder, keys }: PlaceQuestion): CachePlace {
  if (type === 'registry') {
    fields.refuseOthers(['ref', ...keys]);
    const reference = fields.required('ref', 'type=registry,ref=REGISTRY/REPOSITORY:TAG');
    return { kind: 'registry', reference: checkedReference(fields, reference, folder) };
  }
  fields.refuseOthers([folder, 'tag', ...(folder === 'src' ? ['digest'] : []), ...keys]);
  const path = fields.required(folder, `type=local,${folder}=DIR`);
  // As in BuildKit, a digest chooses one of the caches that the directory has held.
  const tag = fields.get('digest') ?? fields.get('tag') ?? 'latest';
  return { kind: 'local', directory: resolve(directory, path), tag };
}

function checkedReference(fields: CacheFields, text: string, folder: 'src' | 'dest'): string {
  const reference = withDefaultTag(parseReference(text));
  if (folder === 'dest' && reference.digest !== undefined) {
    throw fields.wrong(`${text} names a digest, which cannot be written to`, ['Name a tag.']);
  }
  manifestName(reference);
  return text;
}

function exportOptions(fields: CacheFields, compression: 'gzip' | 'zstd') {
  for (const key of MANIFEST_KEYS) {
    if (fields.flag(key, true)) continue;
    throw fields.wrong(`${key}=false is not possible: kiln writes caches as OCI image manifests`, [
      `Leave ${key} out.`,
    ]);
  }
  return {
    form: formOf(fields, compression),
    bounds: { maxAge: fields.age('max-age', DEFAULT_MAX_AGE), maxSize: fields.size('max-size') },
    ignoreError: fields.flag('ignore-error', true),
  };
}

function formOf(fields: CacheFields, fallback: 'gzip' | 'zstd'): CacheForm {
  const compression = fields.choice('compression', ['gzip', 'zstd', 'uncompressed'], fallback);
  const [low, high] = compression === 'zstd' ? [1, 22] : [0, 9];
  const level = fields.get('compression-level');
  const number = Number(level);
  if (level !== undefined && (compression === 'uncompressed' || !(number >= low && number <= high))) {
    throw fields.wrong(`compression-level ${level} is not possible`, ['gzip takes 0 to 9, zstd 1 to 22.']);
  }
  return {
    compression,
    level: level === undefined ? undefined : Math.floor(number),
    force: fields.flag('force-compression', false),
  };
}

function idsOf(fields: CacheFields): ReadonlySet<string> | undefined {
  const ids = fields.all('id');
  return ids.length === 0 ? undefined : new Set(ids);
}
