/** The last step of putting an image into the store: its documents, then its names, safe from a prune beside it. */
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { EncodedDocument } from '../image/manifest.ts';
import type { Store } from './store.ts';

export interface ImageCommit {
  /** What the names will stand for. */
  readonly descriptor: Descriptor;
  /** Configs, manifests and, where there is one, the index; written here. */
  readonly documents: readonly EncodedDocument[];
  /** In the store already. */
  readonly layers: readonly Descriptor[];
  /** Full names; none is fine. */
  readonly names: readonly string[];
  /** Keep an image without names in the index, to be found by its ID. */
  readonly keep?: boolean;
}

/** Writes documents, flushes layers and names the image. Throws STORE_MISSING_BLOB when a layer was pruned meanwhile. */
export async function commitImage(store: Store, commit: ImageCommit, now: Date): Promise<void> {
  const { descriptor, documents, layers, names, keep = false } = commit;
  const stands =
    !(keep && names.length === 0) &&
    names.every((name) => store.names.get(name)?.digest === descriptor.digest) &&
    documents.every((document) => store.blobs.has(document.descriptor.digest));
  // Names that stand already have been flushed for.
  if (stands) return;
  // While a session is open, nothing that it claims is garbage, though no name leads to it yet.
  const session = store.openSession();
  try {
    const lost = layers.find(({ digest }) => !store.blobs.claim(digest));
    if (lost !== undefined) {
      throw new BuildError('STORE_MISSING_BLOB', `layer ${lost.digest} was pruned while it was used`, {
        suggestions: ['Build or pull the image again.'],
      });
    }
    if (names.length > 0 || keep) await store.blobs.flush(layers.map(({ digest }) => digest));
    for (const { content } of documents) store.blobs.write(content);
    if (names.length > 0) store.names.set(names, descriptor, now);
    else if (keep) store.names.keep(descriptor, now);
  } finally {
    session.close();
  }
}
