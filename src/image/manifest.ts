/**
 * Manifests and indexes (image-spec, manifest.md and image-index.md) and their Docker schema 2 twins
 * (distribution, manifest-v2-2.md). What comes from outside is checked before anything believes it.
 */
import { BuildError } from '../errors.ts';
import {
  compressionOf,
  type Descriptor,
  type Digest,
  digestOf,
  isDigest,
  MEDIA_TYPE,
  type Platform,
} from './descriptor.ts';
import type { ImageConfig } from './image-config.ts';

/** The two families of media types. */
export type ManifestFormat = 'oci' | 'docker';

/** The manifest of one image: its config and its layers, lowest first. */
export interface ImageManifest {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A list of manifests (or of further indexes), one for each platform. */
export interface ImageIndex {
  readonly schemaVersion: 2;
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A manifest or an index, told apart by `kind`. */
export type ManifestDocument =
  | { readonly kind: 'manifest'; readonly manifest: ImageManifest }
  | { readonly kind: 'index'; readonly index: ImageIndex };

/** A JSON document as it is stored and sent, and the descriptor that names it. */
export interface EncodedDocument {
  readonly descriptor: Descriptor;
  readonly content: Buffer;
}

/** Limits on documents from outside: far above what any image has, far below what hurts. */
export const MANIFEST_LIMITS = { bytes: 16 * 1024 * 1024, layers: 2048, manifests: 4096 } as const;

/** Media types of the documents kiln reads, in the order of an Accept header. */
export const MANIFEST_MEDIA_TYPES: readonly string[] = [
  MEDIA_TYPE.ociIndex,
  MEDIA_TYPE.ociManifest,
  MEDIA_TYPE.dockerIndex,
  MEDIA_TYPE.dockerManifest,
];

/** True for the media type of an OCI index or a Docker manifest list. */
export function isIndexMediaType(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.ociIndex || mediaType === MEDIA_TYPE.dockerIndex;
}

/** True for the media type of an OCI or Docker schema 2 image manifest. */
export function isManifestMediaType(mediaType: string): boolean {
  return mediaType === MEDIA_TYPE.ociManifest || mediaType === MEDIA_TYPE.dockerManifest;
}

/** True for Docker's schema 1 manifests, which kiln refuses (they have no config and unreliable digests). */
export function isSchema1MediaType(mediaType: string): boolean {
  return /^application\/vnd\.docker\.distribution\.manifest\.v1\+(?:json|prettyjws)$/.test(mediaType);
}

/**
 * Parses a manifest or index. `mediaType` is what the sender called it; a document that calls itself otherwise, or
 * that could be read both ways, is refused (image-spec, manifest.md, "mediaType"; GHSA-77vh-xpmg-72qh).
 * Throws BuildError IMAGE_INVALID_MANIFEST, or IMAGE_UNSUPPORTED_MANIFEST for a kind kiln cannot read.
 */
export function parseManifestDocument(content: Uint8Array, mediaType?: string): ManifestDocument {
  const json = parseJson(content);
  const type = documentType(json, mediaType);
  if (json['schemaVersion'] !== 2) throw invalid(`schemaVersion is ${shown(json['schemaVersion'])}, not 2`);
  if (isIndexMediaType(type)) return { kind: 'index', index: readIndex(json, type) };
  return { kind: 'manifest', manifest: readManifest(json, type) };
}

/** Like {@link parseManifestDocument}, for where only an image manifest will do. */
export function parseManifest(content: Uint8Array, mediaType?: string): ImageManifest {
  const document = parseManifestDocument(content, mediaType);
  if (document.kind === 'manifest') return document.manifest;
  throw invalid('it is an index where the manifest of one image was expected');
}

/** Like {@link parseManifestDocument}, for where only an index will do. */
export function parseIndex(content: Uint8Array, mediaType?: string): ImageIndex {
  const document = parseManifestDocument(content, mediaType);
  if (document.kind === 'index') return document.index;
  throw invalid('it is the manifest of one image where an index was expected');
}

/** A config as it is stored; `mediaType` is the OCI one unless said. */
export function encodeConfig(config: ImageConfig, mediaType: string = MEDIA_TYPE.ociConfig): EncodedDocument {
  const content = Buffer.from(JSON.stringify(config));
  return { descriptor: { mediaType, digest: digestOf(content), size: content.length }, content };
}

/** A manifest of this config and these layers; media types are converted to the format. Docker's has no annotations. */
export function makeManifest(
  parts: {
    readonly config: Descriptor;
    readonly layers: readonly Descriptor[];
    readonly annotations?: Readonly<Record<string, string>>;
  },
  format: ManifestFormat = 'oci',
): ImageManifest {
  const convert = (descriptor: Descriptor) => convertDescriptor(descriptor, format);
  return {
    schemaVersion: 2,
    mediaType: format === 'oci' ? MEDIA_TYPE.ociManifest : MEDIA_TYPE.dockerManifest,
    config: convert(parts.config),
    layers: parts.layers.map(convert),
    ...annotationsFor(format, parts.annotations),
  };
}

/** An index of these manifests, each with its platform. Docker's manifest list has no annotations. */
export function makeIndex(
  parts: {
    readonly manifests: readonly Descriptor[];
    readonly annotations?: Readonly<Record<string, string>>;
  },
  format: ManifestFormat = 'oci',
): ImageIndex {
  return {
    schemaVersion: 2,
    mediaType: format === 'oci' ? MEDIA_TYPE.ociIndex : MEDIA_TYPE.dockerIndex,
    manifests: parts.manifests,
    ...annotationsFor(format, parts.annotations),
  };
}

/** The document as compact JSON with the descriptor of those bytes; the same value always gives the same digest. */
export function encodeDocument(document: ImageManifest | ImageIndex): EncodedDocument {
  const content = Buffer.from(JSON.stringify(document));
  const descriptor = { mediaType: document.mediaType, digest: digestOf(content), size: content.length };
  return { descriptor, content };
}

const TWINS: readonly (readonly [oci: string, docker: string])[] = [
  [MEDIA_TYPE.ociManifest, MEDIA_TYPE.dockerManifest],
  [MEDIA_TYPE.ociIndex, MEDIA_TYPE.dockerIndex],
  [MEDIA_TYPE.ociConfig, MEDIA_TYPE.dockerConfig],
  [MEDIA_TYPE.ociLayer, MEDIA_TYPE.dockerLayer],
  [MEDIA_TYPE.ociLayerGzip, MEDIA_TYPE.dockerLayerGzip],
  [MEDIA_TYPE.ociLayerZstd, MEDIA_TYPE.dockerLayerZstd],
  [
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  ],
];

/** The media type of the same thing in the other family; one without a twin stays as it is. */
export function convertMediaType(mediaType: string, format: ManifestFormat): string {
  const [from, to] = format === 'oci' ? ([1, 0] as const) : ([0, 1] as const);
  return TWINS.find((twin) => twin[from] === mediaType)?.[to] ?? mediaType;
}

/** The family of a document's media type. */
export function formatOf(mediaType: string): ManifestFormat {
  return mediaType.startsWith('application/vnd.docker.') ? 'docker' : 'oci';
}

/** Every blob a manifest names: the config first, then the layers. */
export function blobsOf(manifest: ImageManifest): readonly Descriptor[] {
  return [manifest.config, ...manifest.layers];
}

function convertDescriptor(descriptor: Descriptor, format: ManifestFormat): Descriptor {
  const { annotations, ...rest } = descriptor;
  const mediaType = convertMediaType(descriptor.mediaType, format);
  return { ...rest, mediaType, ...annotationsFor(format, annotations) };
}

function annotationsFor(format: ManifestFormat, annotations: Readonly<Record<string, string>> | undefined) {
  return annotations === undefined || format === 'docker' ? {} : { annotations };
}

type Json = Readonly<Record<string, unknown>>;

function parseJson(content: Uint8Array): Json {
  if (content.length > MANIFEST_LIMITS.bytes)
    throw invalid(`it has ${content.length} bytes, more than 16 MiB`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
  } catch (cause) {
    throw invalid('it is not JSON', cause);
  }
  if (isObject(value)) return value;
  throw invalid('it is not a JSON object');
}

/** The media type to read a document as. The sender's and the document's own must not contradict each other. */
function documentType(json: Json, sent: string | undefined): string {
  const own = json['mediaType'];
  if (own !== undefined && typeof own !== 'string') throw invalid('mediaType is not a string');
  if (own !== undefined && sent !== undefined && own !== sent && isKnown(sent)) {
    throw invalid(`it calls itself ${own} but was sent as ${sent}`);
  }
  const isIndex = 'manifests' in json;
  if (isIndex && ('layers' in json || 'config' in json)) throw invalid('it has both manifests and layers');
  const type =
    own ??
    (sent !== undefined && isKnown(sent) ? sent : isIndex ? MEDIA_TYPE.ociIndex : MEDIA_TYPE.ociManifest);
  if (!own && (isSchema1MediaType(sent ?? '') || json['schemaVersion'] === 1))
    throw unsupported('Docker manifest schema 1');
  if (!isKnown(type)) throw unsupported(type);
  return type;
}

function isKnown(mediaType: string): boolean {
  return isIndexMediaType(mediaType) || isManifestMediaType(mediaType);
}

function readManifest(json: Json, mediaType: string): ImageManifest {
  const layers = readList(json['layers'], 'layers', MANIFEST_LIMITS.layers);
  return {
    schemaVersion: 2,
    mediaType,
    ...readArtifactType(json),
    config: readDescriptor(json['config'], 'config'),
    layers: layers.map((layer, position) => readDescriptor(layer, `layers[${position}]`)),
    ...readShared(json),
  };
}

function readIndex(json: Json, mediaType: string): ImageIndex {
  const manifests = readList(json['manifests'], 'manifests', MANIFEST_LIMITS.manifests);
  return {
    schemaVersion: 2,
    mediaType,
    ...readArtifactType(json),
    manifests: manifests.map((manifest, position) => readDescriptor(manifest, `manifests[${position}]`)),
    ...readShared(json),
  };
}

function readArtifactType(json: Json): { artifactType?: string } {
  return typeof json['artifactType'] === 'string' && json['artifactType'] !== ''
    ? { artifactType: json['artifactType'] }
    : {};
}

function readShared(json: Json) {
  const annotations = readAnnotations(json['annotations'], 'annotations');
  return {
    ...(json['subject'] === undefined || json['subject'] === null
      ? {}
      : { subject: readDescriptor(json['subject'], 'subject') }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

function readList(value: unknown, where: string, limit: number): readonly unknown[] {
  // Go writes an empty list as null.
  if (value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${where} is missing or not a list`);
  if (value.length > limit) throw invalid(`${where} has ${value.length} entries, more than ${limit}`);
  return value;
}

/** Reads a descriptor (image-spec, descriptor.md); fields kiln does not know are dropped. Throws IMAGE_INVALID_MANIFEST. */
function readDescriptor(value: unknown, where: string): Descriptor {
  if (!isObject(value)) throw invalid(`${where} is missing or not an object`);
  const { mediaType, digest, size } = value;
  if (typeof mediaType !== 'string' || mediaType === '') throw invalid(`${where} has no media type`);
  if (!isDigest(digest))
    throw invalid(`${where} has the digest ${shown(digest)}; only sha256 digests can be checked`);
  if (!Number.isSafeInteger(size) || (size as number) < 0)
    throw invalid(`${where} has the size ${shown(size)}`);
  const annotations = readAnnotations(value['annotations'], `${where}.annotations`);
  return {
    mediaType,
    digest: digest as Digest,
    size: size as number,
    ...(annotations === undefined ? {} : { annotations }),
    ...readPlatform(value['platform'], where),
  };
}

function readAnnotations(value: unknown, where: string): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw invalid(`${where} is not an object`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string')
      throw invalid(`${where} has the key ${shown(key)} whose value is not a string`);
  }
  return value as Record<string, string>;
}

function readPlatform(value: unknown, where: string): { platform?: Platform } {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw invalid(`${where}.platform is not an object`);
  const { os, architecture, variant } = value;
  if (typeof os !== 'string' || typeof architecture !== 'string')
    throw invalid(`${where}.platform names no os or architecture`);
  const version = value['os.version'];
  const features = value['os.features'];
  return {
    platform: {
      os,
      architecture,
      ...(typeof variant === 'string' && variant !== '' ? { variant } : {}),
      ...(typeof version === 'string' && version !== '' ? { 'os.version': version } : {}),
      ...(Array.isArray(features)
        ? { 'os.features': features.filter((feature) => typeof feature === 'string') }
        : {}),
    },
  };
}

/** Refuses a manifest whose layers kiln cannot unpack, such as an encrypted image. Throws IMAGE_UNSUPPORTED_MANIFEST. */
export function checkLayersReadable(manifest: ImageManifest): void {
  const wrong = manifest.layers.find(
    // An ending of its own, such as "+encrypted", is a format of its own.
    ({ mediaType }) =>
      compressionOf(mediaType) === undefined || !/\.tar(?:[+.](?:gzip|zstd))?$/.test(mediaType),
  );
  if (wrong !== undefined) throw unsupported(`a layer of type ${wrong.mediaType}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'undefined').slice(0, 100);
}

function invalid(why: string, cause?: unknown): BuildError {
  return new BuildError('IMAGE_INVALID_MANIFEST', `the image manifest is not valid: ${why}`, {
    suggestions: ['The image has to be pushed or saved again; kiln reads OCI and Docker schema 2 manifests.'],
    cause,
  });
}

function unsupported(what: string): BuildError {
  return new BuildError('IMAGE_UNSUPPORTED_MANIFEST', `kiln cannot read ${what}`, {
    suggestions: [
      'Use an image with an OCI or Docker schema 2 manifest; pushing it again with a current tool converts it.',
    ],
  });
}
