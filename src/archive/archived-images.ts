/** What an archive holds, by its own words: docker's manifest.json, or the index.json of an OCI image layout. */
import { closeSync, openSync, readSync } from 'node:fs';
import { type Descriptor, type DiffId, isDigest, MEDIA_TYPE, type Platform } from '../image/descriptor.ts';
import {
  checkLayersReadable,
  type EncodedDocument,
  encodeDocument,
  type ImageIndex,
  MANIFEST_LIMITS,
  makeManifest,
  parseIndex,
  parseManifest,
  parseManifestDocument,
} from '../image/manifest.ts';
import { choosePlatform } from '../image/platform.ts';
import { formatReference, parseReference, withDefaultTag } from '../image/reference.ts';
import { archiveCompression } from '../layer/archive.ts';
import { type ArchiveFile, type ImageArchive, invalidArchive } from './unpack-archive.ts';

export interface ArchivedLayer {
  readonly descriptor: Descriptor;
  /** Digest of its tar, as the config says; not checked yet. */
  readonly diffId: DiffId;
  readonly file: ArchiveFile;
}

/** An image that is whole in the archive. */
export interface ArchivedImage {
  /** Full names; none is fine. */
  readonly names: readonly string[];
  /** The manifest or index that the names stand for. */
  readonly descriptor: Descriptor;
  readonly documents: readonly EncodedDocument[];
  readonly layers: readonly ArchivedLayer[];
  /** Digest of the config: the image's ID. Of an index, that of its first image. */
  readonly id: string;
}

/**
 * The images of an archive; `platform` is taken of an index that is not whole. Throws IMAGE_INVALID_ARCHIVE and what
 * its manifests are refused for.
 */
export function archivedImages(archive: ImageArchive, platform: Platform): ArchivedImage[] {
  // Both are there in archives of today: the layout then says more, such as annotations and several platforms.
  if (archive.has('index.json') && archive.has('oci-layout')) return layoutImages(archive, platform);
  if (archive.has('manifest.json')) return dockerImages(archive);
  throw invalidArchive('it has neither a manifest.json nor an index.json');
}

function layoutImages(archive: ImageArchive, platform: Platform): ArchivedImage[] {
  const { manifests } = parseIndex(archive.document(archive.file('index.json')));
  if (manifests.length === 0) throw invalidArchive('its index.json names no image');
  const byDigest = new Map<string, { entry: Descriptor; names: string[] }>();
  for (const entry of manifests) {
    const image = byDigest.get(entry.digest) ?? { entry, names: [] };
    const name = nameOf(entry);
    if (name !== undefined && !image.names.includes(name)) image.names.push(name);
    byDigest.set(entry.digest, image);
  }
  return [...byDigest.values()].map(({ entry, names }) => ({
    ...layoutImage(archive, entry, platform),
    names,
  }));
}

/** The full name of an entry; a tag alone, as other tools write it, is no name. */
function nameOf({ annotations }: Descriptor): string | undefined {
  const text =
    annotations?.['io.containerd.image.name'] ?? annotations?.['org.opencontainers.image.ref.name'];
  if (text === undefined || !/[:/]/.test(text)) return undefined;
  return formatReference(withDefaultTag(parseReference(text)));
}

function layoutImage(
  archive: ImageArchive,
  entry: Descriptor,
  platform: Platform,
): Omit<ArchivedImage, 'names'> {
  const { annotations: _names, ...descriptor } = entry;
  const content = archive.document(archive.blob(descriptor.digest));
  const document = parseManifestDocument(content, descriptor.mediaType);
  if (document.kind === 'manifest') return oneImage(archive, descriptor);
  if (!isWhole(archive, document.index)) {
    const here = document.index.manifests.filter(({ digest }) => archive.hasBlob(digest));
    if (here.length === 0) throw invalidArchive('it has none of the images of its index');
    return oneImage(archive, choosePlatform(here, platform, 'the archive'));
  }
  const parts = document.index.manifests.map((each) => oneImage(archive, each));
  return {
    descriptor,
    documents: [...parts.flatMap(({ documents }) => documents), { descriptor, content }],
    layers: parts.flatMap(({ layers }) => layers),
    id: parts[0]?.id ?? descriptor.digest,
  };
}

/** True when every image of an index is there and one that kiln can read; provenance and the like are not. */
function isWhole(archive: ImageArchive, { manifests }: ImageIndex): boolean {
  return (
    manifests.length > 0 &&
    manifests.every(
      ({ digest, platform }) =>
        archive.hasBlob(digest) && platform?.os !== undefined && platform.os !== 'unknown',
    )
  );
}

/** An image by its manifest; an index within an index is refused. */
function oneImage(archive: ImageArchive, descriptor: Descriptor): Omit<ArchivedImage, 'names'> {
  const content = archive.document(archive.blob(descriptor.digest));
  const manifest = parseManifest(content, descriptor.mediaType);
  checkLayersReadable(manifest);
  const config = archive.document(archive.blob(manifest.config.digest));
  const diffIds = diffIdsOf(config, manifest.layers.length);
  const layers = manifest.layers.map((layer, index) => {
    const file = archive.blob(layer.digest);
    if (file.size !== layer.size) throw invalidArchive(`layer ${layer.digest} has ${file.size} bytes`);
    return { descriptor: layer, diffId: diffIds[index] as DiffId, file };
  });
  return {
    descriptor,
    documents: [
      { descriptor: manifest.config, content: config },
      { descriptor, content },
    ],
    layers,
    id: manifest.config.digest,
  };
}

interface DockerEntry {
  readonly Config: string;
  readonly RepoTags?: readonly string[] | null;
  readonly Layers: readonly string[];
}

function dockerImages(archive: ImageArchive): ArchivedImage[] {
  const list = json(archive.document(archive.file('manifest.json')), 'manifest.json');
  if (
    !Array.isArray(list) ||
    list.length === 0 ||
    list.length > MANIFEST_LIMITS.manifests ||
    !list.every(isEntry)
  ) {
    throw invalidArchive('its manifest.json is no list of images');
  }
  return list.map((entry) => dockerImage(archive, entry));
}

function isEntry(value: unknown): value is DockerEntry {
  if (typeof value !== 'object' || value === null) return false;
  const { Config: config, RepoTags: tags, Layers: layers } = value as Record<string, unknown>;
  const texts = (list: unknown): boolean =>
    Array.isArray(list) &&
    list.length <= MANIFEST_LIMITS.layers &&
    list.every((each) => typeof each === 'string');
  return typeof config === 'string' && texts(layers) && (tags === undefined || tags === null || texts(tags));
}

function dockerImage(archive: ImageArchive, entry: DockerEntry): ArchivedImage {
  const file = archive.file(entry.Config);
  const promised = /([0-9a-f]{64})(?:\.json)?$/.exec(entry.Config)?.[1];
  if (promised !== undefined && file.digest !== `sha256:${promised}`) {
    throw invalidArchive(`the bytes of ${entry.Config} have the digest ${file.digest}`);
  }
  const content = archive.document(file);
  const diffIds = diffIdsOf(content, entry.Layers.length);
  const config = {
    descriptor: { mediaType: MEDIA_TYPE.ociConfig, digest: file.digest, size: file.size },
    content,
  };
  const layers = entry.Layers.map((name, index) => {
    const layer = archive.file(name);
    const descriptor = { mediaType: layerType(layer), digest: layer.digest, size: layer.size };
    return { descriptor, diffId: diffIds[index] as DiffId, file: layer };
  });
  const manifest = encodeDocument(
    makeManifest({ config: config.descriptor, layers: layers.map(({ descriptor }) => descriptor) }),
  );
  const names = (entry.RepoTags ?? []).map((name) => formatReference(withDefaultTag(parseReference(name))));
  const { descriptor } = manifest;
  return { names: [...new Set(names)], descriptor, documents: [config, manifest], layers, id: file.digest };
}

/** Media type by the first bytes: docker's archives do not say. */
function layerType({ path }: ArchiveFile): string {
  const head = Buffer.alloc(8);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  const compression = archiveCompression(head);
  if (compression === undefined) return MEDIA_TYPE.ociLayer;
  if (compression === 'gzip') return MEDIA_TYPE.ociLayerGzip;
  if (compression === 'zstd') return MEDIA_TYPE.ociLayerZstd;
  throw invalidArchive(`a layer of it is compressed by ${compression}`);
}

/** rootfs.diff_ids of a config (image-spec, config.md), as many as there are layers. */
function diffIdsOf(config: Buffer, count: number): readonly DiffId[] {
  const { rootfs } = json(config, 'an image’s config') as { rootfs?: { diff_ids?: unknown } };
  const diffIds: unknown = rootfs?.diff_ids ?? [];
  if (!Array.isArray(diffIds) || !diffIds.every(isDigest))
    throw invalidArchive('a config of it has no DiffIDs');
  if (diffIds.length !== count) {
    throw invalidArchive(`a config of it names ${diffIds.length} layers, and there are ${count}`);
  }
  return diffIds;
}

function json(content: Buffer, what: string): object {
  try {
    const value: unknown = JSON.parse(content.toString('utf8'));
    if (typeof value === 'object' && value !== null) return value;
  } catch (error) {
    throw invalidArchive(`${what} is not JSON`, error);
  }
  throw invalidArchive(`${what} is not an object`);
}
