/** A layer of a cache that cannot be had, or is not what its record says: a reason to run its step instead. */
import { BuildError, messageOf } from '../errors.ts';
import type { DiffId } from '../image/descriptor.ts';
import type { SettledLayer } from './step-layer.ts';

export class CachedLayerError extends BuildError {
  readonly diffId: DiffId;

  constructor(diffId: DiffId, cause: unknown) {
    super('CACHE_LAYER_DAMAGED', `layer ${diffId} of a cache cannot be used: ${messageOf(cause)}`, {
      suggestions: ['Build without --cache-from, or with --no-cache, and export the cache again.'],
      cause,
    });
    this.diffId = diffId;
  }
}

/** Failures of where the bytes come from, or of the bytes; never those of this machine. */
const DAMAGE =
  /^(?:REGISTRY_|BASE_IMAGE_|STORE_DIGEST_MISMATCH|LAYER_(?:CORRUPT|DIFFID|TRUNCATED|FILE_TOO|RESERVED|UNSAFE))/;

/** What a failure to get at a layer's bytes means for the build. */
export function layerFailure({ diffId, image, recorded }: SettledLayer, error: unknown): unknown {
  const ofCache = image?.cached !== undefined || recorded === true;
  if (!ofCache || error instanceof CachedLayerError) return error;
  return error instanceof BuildError && DAMAGE.test(error.code) ? new CachedLayerError(diffId, error) : error;
}
