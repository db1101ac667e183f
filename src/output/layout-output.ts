/** An OCI image layout in a directory of the user's: blobs first, index.json last. */
import { closeSync, existsSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Descriptor } from '../image/descriptor.ts';
import { copyFile } from '../system/copy-file.ts';
import { lockFile } from '../system/file-calls.ts';
import {
  makeDirectories,
  placeFile,
  randomName,
  readTextIfExists,
  writeFileAtomic,
} from '../system/files.ts';
import { UnnamedFile } from '../system/unnamed-file.ts';
import type { AssembledImage } from './assemble.ts';
import { layoutBlob } from './layout-copies.ts';
import { layoutIndex } from './layout-index.ts';
import type { OutputDependencies } from './output-dependencies.ts';
import { outputError } from './output-error.ts';

/** Writes into `destination`; images that are there under other names stay. Throws OUTPUT_*. */
export async function writeLayout(
  image: Pick<AssembledImage, 'manifest' | 'documents' | 'layers'>,
  { destination, names }: { readonly destination: string; readonly names: readonly string[] },
  dependencies: Pick<OutputDependencies, 'store' | 'copies' | 'signal'>,
): Promise<void> {
  try {
    const blobs = join(destination, 'blobs');
    makeDirectories(join(blobs, 'sha256'));
    // A cache may be exported to the same place (store/layout-sink.ts): it removes what no index names once it is alone.
    const close = lock(destination, 'shared');
    try {
      await writeBlobs(image, destination, dependencies);
      const write = { temporary: destination };
      writeFileAtomic(join(destination, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}', {
        ...write,
        flush: false,
      });
      const fresh = layoutIndex([{ manifest: image.manifest.descriptor, names }]);
      const index = join(destination, 'index.json');
      const unlock = lock(blobs, 'exclusive');
      try {
        writeFileAtomic(index, merged(index, fresh), write);
      } finally {
        unlock();
      }
    } finally {
      close();
    }
  } catch (error) {
    throw outputError(error, destination);
  }
}

/** Waits for a lock on a directory, where its filesystem has such locks. Returns how to let go of it. */
function lock(directory: string, kind: 'shared' | 'exclusive'): () => void {
  const fd = openSync(directory, 'r');
  try {
    lockFile(fd, kind, true);
  } catch {
    // Without it, two that write here at once may lose a name of one.
  }
  return () => closeSync(fd);
}

async function writeBlobs(
  { manifest, documents, layers }: Pick<AssembledImage, 'manifest' | 'documents' | 'layers'>,
  destination: string,
  { store, copies, signal }: Pick<OutputDependencies, 'store' | 'copies' | 'signal'>,
): Promise<void> {
  const path = ({ digest }: Descriptor): string => layoutBlob(destination, digest);
  for (const layer of layers) {
    if (existsSync(path(layer)) || copies?.place(destination, layer.digest)) continue;
    await copyInto(path(layer), store.blobs.path(layer.digest), signal);
  }
  for (const { descriptor, content } of [...documents, manifest]) {
    writeFileAtomic(path(descriptor), content, { temporary: destination, flush: false });
  }
}

/** Copies a blob to its place; nobody sees half of it, and of two that do so one is the last. */
async function copyInto(path: string, source: string, signal: AbortSignal): Promise<void> {
  const file = UnnamedFile.near(dirname(path));
  try {
    if (file !== undefined) await copyFile(source, file.fd, signal);
    if (file?.name(path) || existsSync(path)) return;
  } finally {
    file?.close();
  }
  const draft = `${path}.${randomName()}`;
  await placeFile(path, draft, () => copyFile(source, draft, signal));
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
