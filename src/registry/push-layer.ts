/** A layer into a repository with as few bytes as it takes: none when it is there, none when a sibling has it. */
import type { Descriptor } from '../image/descriptor.ts';
import type { ContentSink } from '../store/content-store.ts';
import type { Store } from '../store/store.ts';

export interface LayerPush {
  readonly descriptor: Descriptor;
  /** Registry of the target. */
  readonly registry: string | undefined;
  /** Repository, with its registry, that is known to hold the blob. */
  readonly home: string | undefined;
  /** Makes sure the bytes are in the store; called only when they must be sent. */
  readonly fetch: () => Promise<void>;
}

/** Resolves once the target holds the blob. */
export async function pushLayer(
  sink: ContentSink,
  { descriptor, registry, home, fetch }: LayerPush,
  { store, signal }: { readonly store: Store; readonly signal: AbortSignal },
): Promise<'uploaded' | 'mounted' | 'exists'> {
  if (await sink.hasBlob(descriptor)) return 'exists';
  const sibling = registry !== undefined && home?.startsWith(`${registry}/`) === true;
  const mountFrom = sibling ? [home.slice(registry.length + 1)] : [];
  if (mountFrom.length === 0 || store.blobs.has(descriptor.digest)) await fetch();
  if (!store.blobs.has(descriptor.digest)) {
    // What is not on this machine is fetched only if the registry cannot mount it.
    const mounted = await sink.mountBlob?.(descriptor, mountFrom, signal);
    if (mounted === true) return 'mounted';
    await fetch();
  }
  const open = (offset: number) => store.blobs.open(descriptor.digest, offset);
  return sink.pushBlob({ descriptor, open, mountFrom }, signal);
}
