/** Archives and layouts: an OCI image layout as a tar or a directory, or the tar that docker load reads. */
import { PassThrough, Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Header } from 'tar';
import { type Descriptor, hexOf } from '../image/descriptor.ts';
import { familiarReference, parseReference } from '../image/reference.ts';
import { writeOutputFile } from '../system/output-file.ts';
import { type AssembledImage, assemble } from './assemble.ts';
import type { FinishedImage } from './finished-image.ts';
import { layoutIndex } from './layout-index.ts';
import { writeLayout } from './layout-output.ts';
import type { OutputDependencies } from './output-dependencies.ts';
import { outputError } from './output-error.ts';
import type { OutputSpec } from './output-spec.ts';

type ArchiveSpec = Extract<OutputSpec, { type: 'oci' | 'docker' }>;

/** One member of an archive. */
interface Member {
  readonly path: string;
  readonly size: number;
  readonly open: () => Readable;
}

/** Writes an archive or layout; resolves to the image's manifest. A file that fails half-way is removed. */
export async function writeArchive(
  image: FinishedImage,
  spec: ArchiveSpec,
  dependencies: OutputDependencies,
): Promise<Descriptor> {
  const { blobs } = dependencies;
  const assembled = await assemble(image, blobs, spec);
  await Promise.all(
    assembled.layers.map(async (descriptor, index) => {
      const layer = image.layers[index];
      if (layer !== undefined) await blobs.fetch(layer, descriptor);
    }),
  );
  await writeAssembled(assembled, spec, dependencies);
  return assembled.manifest.descriptor;
}

/** What a layout or archive holds: an image, or an index without a config of its own. */
export type AssembledContent = Omit<AssembledImage, 'config'> & Partial<Pick<AssembledImage, 'config'>>;

/** One of several images of an archive. */
export interface ArchivedContent extends AssembledContent {
  /** Full names; none is fine. */
  readonly names: readonly string[];
}

/** Writes documents and layers, whose bytes are all in the store, as a layout or an archive. */
export async function writeAssembled(
  assembled: AssembledContent,
  spec: ArchiveSpec,
  dependencies: Pick<OutputDependencies, 'store' | 'copies' | 'signal' | 'stdout'>,
): Promise<void> {
  if (!spec.tar) await writeLayout(assembled, spec, dependencies);
  else await writeImages([{ ...assembled, names: spec.names }], spec, dependencies);
}

/** Writes images, whose bytes are all in the store, into one archive; what they share is in it once. */
export async function writeImages(
  images: readonly ArchivedContent[],
  spec: Pick<ArchiveSpec, 'type' | 'destination'>,
  dependencies: Pick<OutputDependencies, 'store' | 'signal' | 'stdout'>,
): Promise<void> {
  await writeTar(members(images, spec, dependencies), spec.destination, dependencies);
}

function text(path: string, content: string | Buffer): Member {
  const bytes = Buffer.from(content);
  return { path, size: bytes.length, open: () => Readable.from([bytes]) };
}

function members(
  images: readonly ArchivedContent[],
  { type }: Pick<ArchiveSpec, 'type'>,
  { store }: Pick<OutputDependencies, 'store'>,
): Member[] {
  const blob = (descriptor: Descriptor): string => `blobs/sha256/${hexOf(descriptor.digest)}`;
  const layers = images.flatMap((image) => image.layers);
  const documents = images.flatMap((image) => [...image.documents, image.manifest]);
  const files: Member[] = [
    ...layers.map((layer) => ({
      path: blob(layer),
      size: layer.size,
      open: () => store.blobs.open(layer.digest),
    })),
    ...documents.map(({ descriptor, content }) => text(blob(descriptor), content)),
  ];
  // An index has no place in docker's own list of images.
  const entries = images.flatMap(({ config, names, ...image }) =>
    config === undefined
      ? []
      : [{ Config: blob(config.descriptor), RepoTags: names.map(dockerTag), Layers: image.layers.map(blob) }],
  );
  const named = images.map(({ manifest, names }) => ({ manifest: manifest.descriptor, names }));
  return [
    ...new Map(files.map((file) => [file.path, file])).values(),
    text('index.json', layoutIndex(named)),
    ...(type === 'docker' && entries.length > 0 ? [text('manifest.json', JSON.stringify(entries))] : []),
    text('oci-layout', '{"imageLayoutVersion":"1.0.0"}'),
  ];
}

/** The name docker load shows: "app:latest". */
function dockerTag(name: string): string {
  const reference = parseReference(name);
  return familiarReference({ ...reference, tag: reference.tag ?? 'latest' });
}

async function writeTar(
  list: readonly Member[],
  destination: string,
  dependencies: Pick<OutputDependencies, 'signal' | 'stdout'>,
): Promise<void> {
  const { signal, stdout } = dependencies;
  if (destination === '-') {
    await pipeline(tarStream(list), stdout, { signal, end: false });
    return;
  }
  try {
    await writeOutputFile(destination, () => tarStream(list), signal);
  } catch (error) {
    throw outputError(error, destination);
  }
}

const BLOCK = 512;

/** A tar of regular files, the same bytes for the same members. Directories come first, as tar tools expect. */
function tarStream(list: readonly Member[]): Readable {
  const out = new PassThrough({ highWaterMark: 1 << 20 });
  feed(list, out).catch((error: unknown) =>
    out.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  return out;
}

async function feed(list: readonly Member[], out: Writable): Promise<void> {
  const write = async (chunk: Buffer): Promise<void> => {
    if (!out.write(chunk)) await new Promise((resolve) => out.once('drain', resolve));
  };
  for (const path of ['blobs/', 'blobs/sha256/']) await write(header({ path, size: 0, directory: true }));
  for (const member of list) {
    await write(header({ path: member.path, size: member.size, directory: false }));
    for await (const chunk of member.open()) await write(chunk as Buffer);
    const rest = member.size % BLOCK;
    if (rest > 0) await write(Buffer.alloc(BLOCK - rest));
  }
  await write(Buffer.alloc(2 * BLOCK));
  out.end();
}

function header({ path, size, directory }: { path: string; size: number; directory: boolean }): Buffer {
  const block = Buffer.alloc(BLOCK);
  const fields = new Header({
    path,
    size,
    mode: directory ? 0o755 : 0o644,
    type: directory ? 'Directory' : 'File',
    uid: 0,
    gid: 0,
    mtime: new Date(0),
  });
  fields.encode(block, 0);
  return block;
}
