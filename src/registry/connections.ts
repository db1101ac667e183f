/** Registries as a build sees them: a reference gives a place to read from or to write to. */
import { parseReference } from '../image/reference.ts';
import type { ContentSink, ContentSource } from '../store/content-store.ts';
import type { Registry } from './registry.ts';

/** What a build needs of the network for images. */
export interface Connections {
  /** The repository of a reference, for reading. Rejects with IMAGE_INVALID_REFERENCE, REGISTRY_BLOCKED, REGISTRY_CONFIG. */
  source(reference: string): Promise<ContentSource>;
  /** The repository of a reference, for writing. Rejects as `source` does. */
  sink(reference: string): Promise<ContentSink>;
}

/** The connections of one program: repositories share tokens and sockets through the registry. */
export function connectionsOf(registry: Registry): Connections {
  const open = async (reference: string) => registry.repository(parseReference(reference));
  return { source: open, sink: open };
}
