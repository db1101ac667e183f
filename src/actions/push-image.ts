/**
 * `kiln push`: an image of the store to a registry, byte for byte as it is stored. Only layers that are kept as plain tars
 * are compressed for the way, and the documents over them made anew. An image for several platforms goes whole.
 */
import { availableParallelism } from 'node:os';
import { BuildError } from '../errors.ts';
import { compressionOf, type Descriptor, type Digest, type Platform } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { FORM_ANNOTATION, formName, INLINE_CACHE } from '../image/layer-form.ts';
import {
  blobsOf,
  type EncodedDocument,
  encodeDocument,
  type ImageIndex,
  type ImageManifest,
  makeIndex,
  makeManifest,
  parseManifestDocument,
} from '../image/manifest.ts';
import { choosePlatform, formatPlatform } from '../image/platform.ts';
import { formatReference, parseReference, withDefaultTag } from '../image/reference.ts';
import { LayerPool } from '../layer/layer-pool.ts';
import type { LayerForm } from '../output/output-spec.ts';
import { pushParts } from '../output/registry-output.ts';
import type { Connections } from '../registry/connections.ts';
import { LayerAccess } from '../solver/layer-access.ts';
import { LayerForms } from '../solver/layer-forms.ts';
import { Store } from '../store/store.ts';
import { noSuchImage } from './stored-image.ts';

export interface PushRequest {
  /** Of layers that are plain tars; others stay as they are. */
  readonly form: LayerForm;
  /** Name to push to, when it is another one. */
  readonly as: string | undefined;
  /** The only one of an index to push, then as an image of its own; undefined: all of it. */
  readonly platform: Platform | undefined;
}

export interface PushOptions {
  readonly root: string;
  readonly connections: Connections;
  readonly signal: AbortSignal;
}

/**
 * Pushes; resolves to the manifest or index that has the name then. Throws STORE_NO_IMAGE,
 * BASE_IMAGE_PLATFORM_NOT_FOUND and REGISTRY_*.
 */
export async function pushStored(
  name: string,
  { form, as, platform }: PushRequest,
  { root, connections, signal }: PushOptions,
): Promise<Descriptor> {
  const store = Store.open(root);
  const full = formatReference(withDefaultTag(parseReference(name)));
  const stored = store.names.get(full);
  if (stored === undefined) throw noSuchImage(name);
  const target = withDefaultTag(parseReference(as ?? full));
  const pool = new LayerPool({ threads: availableParallelism() });
  const access = new LayerAccess({ store, pool, signal });
  // While it is open, no prune beside takes what is read here.
  access.hold();
  try {
    const gathering = { name, store, form, forms: new LayerForms({ access, pool, store, signal }) };
    const chosen = platform === undefined ? stored : onePlatform(stored, { ...gathering, platform });
    const { images, documents, top } = await gather(chosen, gathering);
    const sink = await connections.sink(formatReference(target));
    // What is described is in the store by now.
    const dependencies = { store, signal, blobs: { fetch: () => Promise.resolve() } };
    for (const { config, layers } of images) {
      const image = { layers: layers.map(({ digest }) => ({ diffId: digest })) };
      const parts = { image, assembled: { config, layers }, registry: target.registry };
      await pushParts(sink, parts, dependencies);
    }
    for (const { descriptor, content } of documents) {
      await sink.pushManifest(descriptor, content, descriptor.digest);
    }
    // Last, so that a reader never sees a name whose image is not there whole.
    await sink.pushManifest(top.descriptor, top.content, target.tag ?? 'latest');
    return top.descriptor;
  } finally {
    await pool.close();
    await access.close();
  }
}

interface Gathering {
  /** For messages. */
  readonly name: string;
  readonly store: Store;
  readonly form: LayerForm;
  readonly forms: LayerForms;
}

/** All that must be at the registry for a manifest or index, `top`, to be accepted. */
interface Gathered {
  readonly images: readonly { readonly config: EncodedDocument; readonly layers: readonly Descriptor[] }[];
  /** Manifests and indexes below `top`, each after what it names. */
  readonly documents: readonly EncodedDocument[];
  readonly top: EncodedDocument;
}

async function gather(descriptor: Descriptor, gathering: Gathering): Promise<Gathered> {
  const content = read(descriptor, descriptor.platform, gathering);
  const document = parseManifestDocument(content, descriptor.mediaType);
  const { mediaType, digest, size } = descriptor;
  const stored = { descriptor: { mediaType, digest, size }, content };
  return document.kind === 'index'
    ? gatherIndex(document.index, stored, gathering)
    : gatherImage(document.manifest, { stored, platform: descriptor.platform }, gathering);
}

async function gatherIndex(
  index: ImageIndex,
  stored: EncodedDocument,
  gathering: Gathering,
): Promise<Gathered> {
  const parts: Gathered[] = [];
  for (const entry of index.manifests) parts.push(await gather(entry, gathering));
  const renamed = new Map<string, Digest>();
  index.manifests.forEach(({ digest }, number) => {
    renamed.set(digest, parts[number]?.top.descriptor.digest ?? digest);
  });
  const same = [...renamed].every(([before, after]) => before === after);
  const manifests = index.manifests.map((entry, number) => ({
    ...entry,
    ...parts[number]?.top.descriptor,
    ...annotationsOf(entry, renamed),
  }));
  const { annotations } = index;
  const anew = makeIndex({ manifests, ...(annotations === undefined ? {} : { annotations }) });
  return {
    images: parts.flatMap(({ images }) => images),
    documents: parts.flatMap(({ documents, top }) => [...documents, top]),
    top: same ? stored : encodeDocument(anew),
  };
}

/** What an attestation is about is named by digest (image-spec has no word for it; docker's does). */
const ABOUT = 'vnd.docker.reference.digest';

function annotationsOf({ annotations }: Descriptor, renamed: ReadonlyMap<string, Digest>) {
  const about = renamed.get(annotations?.[ABOUT] ?? '');
  return about === undefined ? {} : { annotations: { ...annotations, [ABOUT]: about } };
}

async function gatherImage(
  manifest: ImageManifest,
  { stored, platform }: { readonly stored: EncodedDocument; readonly platform: Platform | undefined },
  gathering: Gathering,
): Promise<Gathered> {
  const { form, forms } = gathering;
  for (const blob of blobsOf(manifest)) {
    if (!gathering.store.blobs.claim(blob.digest)) throw incomplete(platform, gathering.name);
  }
  const config = { descriptor: manifest.config, content: read(manifest.config, platform, gathering) };
  const isPlain = ({ mediaType }: Descriptor): boolean => compressionOf(mediaType) === 'uncompressed';
  if (form.compression === 'uncompressed' || !manifest.layers.some(isPlain)) {
    return { images: [{ config, layers: manifest.layers }], documents: [], top: stored };
  }
  const layers = await Promise.all(
    manifest.layers.map((layer) => {
      const settled = { diffId: layer.digest, tarSize: layer.size, created: '' };
      return isPlain(layer) ? forms.describe(settled, form) : layer;
    }),
  );
  const { [FORM_ANNOTATION]: _stored, ...others } = manifest.annotations ?? {};
  // Who takes layers from the inline cache must know their form.
  const cache = (JSON.parse(config.content.toString('utf8')) as ImageConfig)[INLINE_CACHE];
  const annotations = cache === undefined ? others : { ...others, [FORM_ANNOTATION]: formName(form) };
  const all = Object.keys(annotations).length === 0 ? {} : { annotations };
  const top = encodeDocument(makeManifest({ config: manifest.config, layers, ...all }));
  return { images: [{ config, layers }], documents: [], top };
}

function read({ digest }: Descriptor, platform: Platform | undefined, { store, name }: Gathering): Buffer {
  if (!store.blobs.claim(digest)) throw incomplete(platform, name);
  return store.blobs.read(digest);
}

/** The manifest for a platform; of an image for one platform, that one, if it is for this. */
function onePlatform(stored: Descriptor, gathering: Gathering & { readonly platform: Platform }): Descriptor {
  const { store, platform, name } = gathering;
  const document = parseManifestDocument(read(stored, undefined, gathering), stored.mediaType);
  if (document.kind === 'index') return choosePlatform(document.index.manifests, platform, name);
  const content = store.blobs.read(document.manifest.config.digest).toString('utf8');
  const { os, architecture, variant } = JSON.parse(content) as ImageConfig;
  const own = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  return choosePlatform([{ ...stored, platform: own }], platform, name);
}

function incomplete(platform: Platform | undefined, name: string): BuildError {
  const what = platform === undefined ? 'all' : `the image for ${formatPlatform(platform)}`;
  return new BuildError('STORE_NO_IMAGE', `the store does not hold ${what} of ${name}`, {
    suggestions: ['Build or pull it again; or push one that is there, with --platform.'],
  });
}
