/**
 * The nouns of the OCI image-spec that name bytes: digests, descriptors, media types, platforms.
 * Digest names a blob as stored, DiffID a layer's uncompressed tar, ChainID a stack of layers
 * (image-spec, config.md, "Layer ChainID"); the types keep them apart.
 */
import { createHash } from 'node:crypto';

/** "sha256:" and 64 hex digits: the digest of a blob exactly as stored or sent. */
export type Digest = `sha256:${string}`;

/** Digest of a layer's uncompressed tar. */
export type DiffId = Digest & { readonly __kind?: 'diffId' };

/** Identity of a stack of layers. */
export type ChainId = Digest & { readonly __kind?: 'chainId' };

/** Digest over the canonical parts of a step: equal keys mean an equal result. */
export type CacheKey = Digest & { readonly __kind?: 'cacheKey' };

/** One named part of a cache key, kept so that a miss can be explained. Secrets are never parts. */
export type KeyPart = readonly [name: string, value: string];

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  readonly 'os.version'?: string;
  readonly 'os.features'?: readonly string[];
}

/** image-spec, descriptor.md. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: Platform;
}

export const MEDIA_TYPE = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  ociLayerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  dockerLayerZstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
} as const;

/** How a layer blob is compressed. */
export type Compression = 'gzip' | 'zstd' | 'uncompressed';

/** Compression told by a layer's media type; undefined for a type that is no layer kiln can read. */
export function compressionOf(mediaType: string): Compression | undefined {
  if (
    /^application\/vnd\.(oci\.image\.layer\.(nondistributable\.)?v1|docker\.image\.rootfs\.(foreign\.)?diff)\.tar/.test(
      mediaType,
    )
  ) {
    if (/\.tar[.+]gzip$/.test(mediaType)) return 'gzip';
    if (/\.tar[.+]zstd$/.test(mediaType)) return 'zstd';
    // Whatever else stands behind "tar" (such as +encrypted) is nothing that can be read.
    return mediaType.endsWith('.tar') ? 'uncompressed' : undefined;
  }
  return undefined;
}

/** sha256 of bytes or UTF-8 text, in digest form. */
export function digestOf(content: string | Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

/** True for a well-formed sha256 digest (image-spec, descriptor.md, "Digests"). */
export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && /^sha256:[0-9a-f]{64}$/.test(text);
}

/** The 64 hex digits of a digest. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

/** ChainID of a parent stack (undefined for none) and one more layer (image-spec, config.md). */
export function chainId(parent: ChainId | undefined, layer: DiffId): ChainId {
  return parent === undefined ? (layer as Digest) : digestOf(`${parent} ${layer}`);
}
