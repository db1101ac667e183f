/** What is reachable: the mark phase. Names lead to blobs; blobs and cache records lead to what is kept beside them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ChainId,
  chainId,
  type Descriptor,
  type DiffId,
  type Digest,
  hexOf,
  isDigest,
} from '../image/descriptor.ts';
import { type ImageManifest, parseManifestDocument } from '../image/manifest.ts';
import type { CacheEntry } from './cache-entries.ts';
import type { Store } from './store.ts';

export class LiveSet {
  /** Hex digits of digests, DiffIDs and ChainIDs. */
  readonly blobs = new Set<string>();
  readonly layers = new Set<string>();
  readonly chains = new Set<string>();
  readonly fileLists = new Set<string>();
  /** Keys of records. */
  readonly records = new Set<string>();
  readonly #store: Store;
  readonly #variants: ReadonlyMap<string, readonly string[]>;

  constructor(store: Store) {
    this.#store = store;
    const variants = new Map<string, string[]>();
    for (const name of readdirSync(join(store.root, 'layers'))) {
      const [hex = '', settings = ''] = [name.slice(0, 64), name.slice(65)];
      if (settings !== 'toc') variants.set(hex, [...(variants.get(hex) ?? []), settings]);
    }
    this.#variants = variants;
  }

  /** Marks an image or index. With `derived`, also what was made of its layers: tars, tables of contents, directories. */
  markImage(descriptor: Descriptor, { derived }: { readonly derived: boolean }): void {
    const { blobs } = this.#store;
    this.blobs.add(hexOf(descriptor.digest));
    if (!blobs.has(descriptor.digest)) return;
    let manifest: ImageManifest;
    try {
      const document = parseManifestDocument(blobs.read(descriptor.digest), descriptor.mediaType);
      if (document.kind === 'index') {
        for (const entry of document.index.manifests) this.markImage(entry, { derived });
        return;
      }
      manifest = document.manifest;
    } catch {
      return; // A damaged document leads nowhere; doctor speaks of it.
    }
    for (const { digest } of [manifest.config, ...manifest.layers]) this.blobs.add(hexOf(digest));
    if (!derived) return;
    let chain: ChainId | undefined;
    for (const diffId of this.#diffIds(manifest.config.digest)) {
      chain = chainId(chain, diffId);
      this.#markLayer(diffId, chain);
    }
  }

  /** Marks what a cache record names. `chain` is the stack that its layer is the top of, where that is known. */
  markEntry({ digest, blob, step, fileLists = [] }: CacheEntry, chain: ChainId | undefined): void {
    this.#markLayer(digest, chain);
    if (blob !== undefined) this.blobs.add(hexOf(blob.digest));
    if (step !== undefined) this.records.add(step.key);
    for (const list of fileLists) this.fileLists.add(hexOf(list));
  }

  #markLayer(diffId: DiffId, chain: ChainId | undefined): void {
    this.blobs.add(hexOf(diffId));
    this.layers.add(hexOf(diffId));
    if (chain !== undefined) this.chains.add(hexOf(chain));
    for (const settings of this.#variants.get(hexOf(diffId)) ?? []) {
      const variant = this.#store.layers.variant(diffId, settings);
      if (variant !== undefined) this.blobs.add(hexOf(variant.digest));
    }
  }

  #diffIds(config: Digest): readonly DiffId[] {
    try {
      const { rootfs } = JSON.parse(this.#store.blobs.read(config).toString('utf8')) as {
        rootfs?: { diff_ids?: readonly unknown[] };
      };
      return (rootfs?.diff_ids ?? []).filter(isDigest);
    } catch {
      return [];
    }
  }
}
