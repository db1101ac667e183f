/**
 * The one contract for places that hold images: the local store, an OCI layout, a registry.
 * Blobs are named by digest; every read checks digest and size before its end is reported.
 */
import type { Readable } from 'node:stream';
import type { Descriptor, Digest } from '../image/descriptor.ts';

export interface BlobUpload {
  readonly descriptor: Descriptor;
  /** Opens the bytes; called again for each retry. */
  readonly open: (offset: number) => Readable;
  /** Repositories of the same registry known to hold this blob: sources for a cross-repository mount. */
  readonly mountFrom?: readonly string[];
}

/** Where bytes and manifests come from. */
export interface ContentSource {
  /** Resolves a tag or digest to the descriptor of its manifest or index. Rejects with BASE_IMAGE_NOT_FOUND or REGISTRY_*. */
  resolve(reference: string): Promise<Descriptor>;
  /** The bytes of a small document (manifest, index, config), digest and size checked. At most 16 MiB. */
  fetchDocument(descriptor: Descriptor): Promise<Buffer>;
  /** A blob as a stream whose end is only reported once digest and size have been checked. */
  fetchBlob(descriptor: Descriptor, signal?: AbortSignal): Promise<Readable>;
}

/** Where an image can be put. Blobs first, then the manifest, then the name: readers see the old or the new state. */
export interface ContentSink {
  hasBlob(descriptor: Descriptor): Promise<boolean>;
  /** Makes a blob of another repository of the same registry available here; false when the registry will not. */
  mountBlob?(descriptor: Descriptor, from: readonly string[], signal?: AbortSignal): Promise<boolean>;
  /** Idempotent and atomic: the blob is there whole, or not at all. */
  pushBlob(upload: BlobUpload, signal?: AbortSignal): Promise<'uploaded' | 'mounted' | 'exists'>;
  /** Stores a manifest or index; `reference` (tag or digest) then names it. */
  pushManifest(descriptor: Descriptor, content: Buffer, reference: string | Digest): Promise<void>;
  /** Where a place can do so in one step: the same, unless `reference` names another manifest than `over`; then false. */
  replaceManifest?(manifest: Replacement, reference: string): Promise<boolean>;
}

/** A manifest in the place of another. */
export interface Replacement {
  readonly descriptor: Descriptor;
  readonly content: Buffer;
  /** What the name is thought to mean; undefined for nothing. */
  readonly over: Digest | undefined;
}
