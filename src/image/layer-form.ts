/** The form a layer's blob has: how it was compressed, by name. */
import type { Compression } from './descriptor.ts';

/**
 * Levels that are used where none is asked for. gzip at 4 takes little more than half the time of 6 and makes the layers of
 * a Debian 3 % larger, which is still smaller than what the faster compressors of other builders make of them.
 */
export const DEFAULT_LEVEL = { gzip: 4, zstd: 3 } as const;

/** Name of a form, such as "gzip-6": equal names give equal bytes of equal layers. */
export function formName({
  compression,
  level,
}: {
  readonly compression: Compression;
  readonly level: number | undefined;
}): string {
  return compression === 'uncompressed'
    ? compression
    : `${compression}-${level ?? DEFAULT_LEVEL[compression]}`;
}

/** Field of an image's config that holds the records of an inline cache (docs/cache-format.md). */
export const INLINE_CACHE = 'kiln.cache.v1';

/** Annotation of the manifest of an image with an inline cache: the form of the layers that the build made. */
export const FORM_ANNOTATION = 'kiln.cache.form';
