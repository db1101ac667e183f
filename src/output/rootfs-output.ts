/** The root filesystem as an output: one tar, or plain files in a directory. */
import { pipeline } from 'node:stream/promises';
import { BuildError } from '../errors.ts';
import { flattenToDirectory, flattenToTar } from '../layer/flatten.ts';
import { makeDirectories } from '../system/files.ts';
import { writeOutputFile } from '../system/output-file.ts';
import type { FinishedImage } from './finished-image.ts';
import type { OutputDependencies } from './output-dependencies.ts';
import { outputError } from './output-error.ts';

/** Writes the merged files of all layers. A tar is seen when it is whole. Throws OUTPUT_*. */
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
    try {
      makeDirectories(destination);
      await flattenToDirectory(tree, destination, signal);
    } catch (error) {
      throw outputError(error, destination);
    }
    return;
  }
  if (destination === '-') {
    await pipeline(flattenToTar(tree), stdout, { signal, end: false });
    return;
  }
  try {
    await writeOutputFile(destination, () => flattenToTar(tree), signal);
  } catch (error) {
    throw outputError(error, destination);
  }
}
