/** The root filesystem as an output: one tar, or plain files in a directory. */
import { createWriteStream, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { BuildError } from '../errors.ts';
import { flattenToDirectory, flattenToTar } from '../layer/flatten.ts';
import { diskError, makeDirectories } from '../system/files.ts';
import type { FinishedImage } from './finished-image.ts';
import type { OutputDependencies } from './output-dependencies.ts';

/** Writes the merged files of all layers. A tar that fails half-way is removed. Throws OUTPUT_*. */
export async function writeRootfs(
  image: FinishedImage,
  { type, destination }: { readonly type: 'tar' | 'local'; readonly destination: string },
  { blobs, signal, stdout }: OutputDependencies,
): Promise<void> {
  const tree = await blobs.tree(image.layers);
  if (type === 'local') {
    if (destination === '-') {
      throw new BuildError('OUTPUT_DIRECTORY', 'type=local cannot write to standard output', {
        suggestions: ['Name a directory, or use type=tar,dest=-.'],
      });
    }
    makeDirectories(destination);
    await flattenToDirectory(tree, destination, signal);
    return;
  }
  const tar = flattenToTar(tree);
  if (destination === '-') {
    await pipeline(tar, stdout, { signal, end: false });
    return;
  }
  makeDirectories(dirname(destination));
  try {
    await pipeline(tar, createWriteStream(destination), { signal });
  } catch (error) {
    rmSync(destination, { force: true });
    throw diskError(error, destination);
  }
}
