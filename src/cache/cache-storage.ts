/** A cache's place as content to read and write: a registry's repository, or an OCI layout in a directory. */
import { manifestName, parseReference, withDefaultTag } from '../image/reference.ts';
import type { Connections } from '../registry/connections.ts';
import type { ContentSink, ContentSource } from '../store/content-store.ts';
import { LayoutSink } from '../store/layout-sink.ts';
import { LayoutSource } from '../store/layout-source.ts';
import { type CachePlace, formatPlace } from './cache-spec.ts';

export interface CacheStorage {
  /** As messages name it. */
  readonly name: string;
  /** Tag or digest of the cache there. */
  readonly reference: string;
  /** Registry and repository with the registry's name, for mounts across repositories. */
  readonly repository: string | undefined;
  source(): Promise<ContentSource>;
  sink(): Promise<ContentSink>;
}

/** Opens nothing yet. */
export function openStorage(place: CachePlace, connections: Connections): CacheStorage {
  const name = formatPlace(place);
  if (place.kind === 'local') {
    const { directory, tag } = place;
    return {
      name,
      reference: tag,
      repository: undefined,
      source: async () => new LayoutSource(directory),
      sink: async () => new LayoutSink(directory),
    };
  }
  const reference = withDefaultTag(parseReference(place.reference));
  return {
    name,
    reference: manifestName(reference),
    repository: `${reference.registry}/${reference.repository}`,
    source: () => connections.source(place.reference),
    sink: () => connections.sink(place.reference),
  };
}

/** A place that does not answer is waited for so long; milliseconds. */
const PATIENCE_MS = 10_000;

/** What `work` gives, or a failure when it takes too long: a cache is no reason to keep a build waiting. */
export async function soon<T>(work: Promise<T>, patience = PATIENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${patience / 1000} s`)), patience);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}
