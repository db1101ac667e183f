/**
 * A cache inside an image: its records in a field of the image's config, which other tools pass over, and its own layers
 * as theirs. BuildKit does the same with a field of its own.
 */
import type { Descriptor, DiffId } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { FORM_ANNOTATION, INLINE_CACHE } from '../image/layer-form.ts';
import type { ImageManifest } from '../image/manifest.ts';
import {
  CACHE_VERSION,
  type CacheContent,
  type DecodedCache,
  decodeCache,
  type KeptLayer,
  type KeptRecord,
} from './cache-document.ts';

interface InlineContent {
  readonly records: readonly KeptRecord[];
  readonly layers: ReadonlyMap<DiffId, Pick<KeptLayer, 'diffId' | 'tarSize'>>;
  readonly aliases: CacheContent['aliases'];
}

/** The config with records in it. They name layers by DiffID and hold no times of use, so that equal builds stay equal. */
export function withInlineCache(
  config: ImageConfig,
  { records, layers, aliases }: InlineContent,
): ImageConfig {
  const order = [...layers.keys()];
  const at = new Map(order.map((diffId, index) => [diffId, index]));
  const field = {
    version: CACHE_VERSION,
    layers: [...layers.values()].map(({ diffId, tarSize }) => ({ diffId, tarSize })),
    records: records.map(({ key, parts, contentKey, diffId, created, times }) => ({
      key,
      parts,
      ...(contentKey === undefined ? {} : { contentKey }),
      layer: at.get(diffId),
      created,
      ...(times === undefined ? {} : { times }),
      used: 0,
    })),
    aliases,
  };
  return { ...config, [INLINE_CACHE]: field };
}

/** Records that an image's config holds; undefined when it holds none. */
export function decodeInlineCache(
  config: ImageConfig,
  { layers, annotations }: ImageManifest,
): DecodedCache | undefined {
  const field = config[INLINE_CACHE];
  if (typeof field !== 'object' || field === null) return undefined;
  const blobs = new Map<string, Descriptor>();
  const diffIds: readonly string[] = config.rootfs?.diff_ids ?? [];
  for (const [index, diffId] of diffIds.entries()) {
    const layer = layers[index];
    if (layer !== undefined) blobs.set(diffId, layer);
  }
  const own = (field as { layers?: unknown }).layers;
  const named = (Array.isArray(own) ? (own as unknown[]) : []).map((layer) => {
    const { diffId, tarSize } = (layer ?? {}) as { diffId?: unknown; tarSize?: unknown };
    const blob = blobs.get(String(diffId))?.digest;
    return { diffId, tarSize, blob, form: annotations?.[FORM_ANNOTATION] };
  });
  return decodeCache(Buffer.from(JSON.stringify({ ...field, layers: named, lists: [] })), layers);
}
