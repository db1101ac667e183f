/** An OCI image layout in a directory of the user's: blobs first, index.json last. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Descriptor } from '../image/descriptor.ts';
import { copyFile } from '../system/copy-file.ts';
import {
  diskError,
  makeDirectories,
  placeFile,
  randomName,
  readTextIfExists,
  writeFileAtomic,
} from '../system/files.ts';
import type { AssembledImage } from './assemble.ts';
import { layoutBlob } from './layout-copies.ts';
import { layoutIndex } from './layout-index.ts';
import type { OutputDependencies } from './output-dependencies.ts';

/** Writes into `destination`; images that are there under other names stay. Throws STORE_DISK_FULL, STORE_NOT_WRITABLE. */
export async function writeLayout(
  { manifest, documents, layers }: Pick<AssembledImage, 'manifest' | 'documents' | 'layers'>,
  { destination, names }: { readonly destination: string; readonly names: readonly string[] },
  { store, copies, signal }: Pick<OutputDependencies, 'store' | 'copies' | 'signal'>,
): Promise<void> {
  const path = ({ digest }: Descriptor): string => layoutBlob(destination, digest);
  try {
    makeDirectories(join(destination, 'blobs', 'sha256'));
    for (const layer of layers) {
      if (existsSync(path(layer)) || copies?.place(destination, layer.digest)) continue;
      await copyInto(path(layer), store.blobs.path(layer.digest), signal);
    }
    for (const { descriptor, content } of [...documents, manifest]) {
      writeFileAtomic(path(descriptor), content, { temporary: destination, flush: false });
    }
    writeFileSync(join(destination, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    const index = merged(
      join(destination, 'index.json'),
      layoutIndex([{ manifest: manifest.descriptor, names }]),
    );
    writeFileAtomic(join(destination, 'index.json'), index, { temporary: destination });
  } catch (error) {
    throw diskError(error, destination);
  }
}

/** Copies a blob to its place; nobody sees half of it, and of two that do so one is the last. */
function copyInto(path: string, source: string, signal: AbortSignal): Promise<void> {
  const draft = `${path}.${randomName()}`;
  return placeFile(path, draft, () => copyFile(source, draft, signal));
}

/** The new index with those entries of the old one whose names it does not take. */
function merged(path: string, fresh: string): string {
  const old = readTextIfExists(path);
  if (old === undefined) return fresh;
  const nameOf = (entry: Descriptor): string =>
    entry.annotations?.['org.opencontainers.image.ref.name'] ?? '';
  const index = JSON.parse(fresh) as { manifests: Descriptor[] };
  const previous = (JSON.parse(old) as { manifests?: Descriptor[] }).manifests ?? [];
  const taken = new Set(index.manifests.map(nameOf));
  const kept = previous.filter((entry) => !taken.has(nameOf(entry)));
  return JSON.stringify({ ...index, manifests: [...kept, ...index.manifests] });
}
