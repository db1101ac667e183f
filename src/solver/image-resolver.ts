/**
 * Image references -> manifest and config. An image of this machine is taken before a registry is asked, unless the
 * user wants fresh ones. Layers are not fetched here.
 */
import { BuildError } from '../errors.ts';
import { type ChainId, chainId, type Descriptor, type DiffId, type Platform } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { checkLayersReadable, type ImageManifest, parseManifestDocument } from '../image/manifest.ts';
import { choosePlatform, formatPlatform, platformSatisfies } from '../image/platform.ts';
import { formatReference, manifestName, parseReference, withDefaultTag } from '../image/reference.ts';
import type { ContentSource } from '../store/content-store.ts';
import { LayoutSource } from '../store/layout-source.ts';
import type { Store } from '../store/store.ts';

/** A layer of an image that exists somewhere. */
export interface ImageLayer {
  readonly diffId: DiffId;
  /** The blob as the image names it. */
  readonly descriptor: Descriptor;
  /** Where its bytes come from when the store has them not. */
  readonly source: ContentSource;
  /** Repository (with registry) the blob is known to be in, for a cross-repository mount on push. */
  readonly repository?: string | undefined;
  /** Set when it came with a cache, not an image: the form the blob has, such as "gzip-6", where that is known. */
  readonly cached?: { readonly form: string | undefined } | undefined;
}

export interface ResolvedImage {
  /** Reference with the digest it stood for, for messages. */
  readonly display: string;
  readonly manifest: ImageManifest;
  readonly descriptor: Descriptor;
  readonly config: ImageConfig;
  readonly layers: readonly ImageLayer[];
  readonly chain: ChainId | undefined;
}

/** How to reach the registry of a reference; given by the caller, so that the solver knows no network. */
export type OpenRepository = (reference: string) => Promise<ContentSource>;

export interface ImageResolverOptions {
  readonly store: Store;
  readonly openRepository: OpenRepository;
  /** Always ask the registry (--pull). */
  readonly pull: boolean;
  /** Directory that relative oci: paths are below. */
  readonly directory: string;
  /** What an earlier process of this build resolved: reference and platform -> manifest. */
  readonly known: ReadonlyMap<string, Descriptor>;
}

export class ImageResolver {
  readonly #options: ImageResolverOptions;
  readonly #resolved = new Map<string, Promise<ResolvedImage>>();
  readonly #learned = new Map<string, Descriptor>();

  constructor(options: ImageResolverOptions) {
    this.#options = options;
  }

  /** Manifests by reference and platform, to hand to the process that goes on with the build. */
  get learned(): ReadonlyMap<string, Descriptor> {
    return this.#learned;
  }

  /** Resolves once a reference and platform; the same promise afterwards. Throws BASE_IMAGE_*, IMAGE_* or REGISTRY_*. */
  resolve(reference: string, platform: Platform): Promise<ResolvedImage> {
    const key = `${reference} ${formatPlatform(platform)}`;
    let result = this.#resolved.get(key);
    if (result === undefined) {
      result = this.#resolve(reference, { platform, key });
      this.#resolved.set(key, result);
    }
    return result;
  }

  async #resolve(
    reference: string,
    { platform, key }: { platform: Platform; key: string },
  ): Promise<ResolvedImage> {
    if (reference.startsWith('oci:')) {
      const { source, tag } = LayoutSource.locate(
        reference.slice(4).replace(/^\/\//, ''),
        this.#options.directory,
      );
      return this.#load(await source.resolve(tag), { source, platform, display: reference });
    }
    const parsed = withDefaultTag(parseReference(reference));
    const name = formatReference(parsed);
    const { store, pull, known } = this.#options;
    const local = new LayoutSource(store.root);
    const repository = `${parsed.registry}/${parsed.repository}`;
    const digest = parsed.digest;
    const stored =
      digest !== undefined && store.blobs.has(digest) ? await local.resolve(digest) : store.names.get(name);
    if (stored !== undefined && (digest !== undefined || !pull)) {
      const found = await this.#tryLocal(stored, { local, platform, name });
      if (found !== undefined) return found;
    }
    const source = await this.#options.openRepository(reference);
    const descriptor = known.get(key) ?? (await source.resolve(manifestName(parsed)));
    this.#learned.set(key, descriptor);
    return this.#load(descriptor, { source, platform, display: name, repository });
  }

  /** An image of the store, if it is for the platform and not only its manifest was kept. */
  async #tryLocal(
    descriptor: Descriptor,
    { local, platform, name }: { local: LayoutSource; platform: Platform; name: string },
  ): Promise<ResolvedImage | undefined> {
    try {
      const image = await this.#load(descriptor, { source: local, platform, display: name });
      const fits = platformSatisfies(image.config, platform);
      const whole = image.layers.every(({ descriptor: layer }) =>
        this.#options.store.blobs.has(layer.digest),
      );
      return fits && whole ? image : undefined;
    } catch (error) {
      if (error instanceof BuildError) return undefined;
      throw error;
    }
  }

  async #load(
    descriptor: Descriptor,
    from: { source: ContentSource; platform: Platform; display: string; repository?: string },
  ): Promise<ResolvedImage> {
    const content = await this.#document(descriptor, from.source);
    const document = parseManifestDocument(content, descriptor.mediaType);
    if (document.kind === 'index') {
      return this.#load(choosePlatform(document.index.manifests, from.platform, from.display), from);
    }
    const { manifest } = document;
    checkLayersReadable(manifest);
    const config = JSON.parse(
      (await this.#document(manifest.config, from.source)).toString('utf8'),
    ) as ImageConfig;
    const diffIds = config.rootfs?.diff_ids ?? [];
    if (diffIds.length !== manifest.layers.length) {
      throw new BuildError(
        'BASE_IMAGE_INVALID',
        `${from.display}: the config names ${diffIds.length} layers, the manifest ${manifest.layers.length}`,
        { suggestions: ['The image is broken at its source; use another tag.'] },
      );
    }
    const layers = manifest.layers.map(
      (layer, index): ImageLayer => ({
        diffId: diffIds[index] ?? layer.digest,
        descriptor: layer,
        source: from.source,
        repository: from.repository,
      }),
    );
    let chain: ChainId | undefined;
    for (const { diffId } of layers) chain = chainId(chain, diffId);
    return { display: from.display, manifest, descriptor, config, layers, chain };
  }

  /** A manifest, index or config: from the store when it is there, else fetched and kept. */
  async #document(descriptor: Descriptor, source: ContentSource): Promise<Buffer> {
    const { blobs } = this.#options.store;
    if (blobs.has(descriptor.digest)) return blobs.read(descriptor.digest);
    const content = await source.fetchDocument(descriptor);
    blobs.write(content);
    return content;
  }
}
