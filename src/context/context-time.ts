/** When a context or a download was last changed, as far as it says so itself. */
import { statSync } from 'node:fs';
import { BuildError } from '../errors.ts';
import { readArchive } from '../layer/archive.ts';
import { toByteString } from '../system/byte-path.ts';
import type { ContextPlace } from './contexts.ts';
import { type FileRange, type PlainTarOptions, plainTar } from './plain-tar.ts';

/** A commit's time, Last-Modified, or the newest file of an archive; undefined for a directory of the user's. */
export function contextTime({ kind, path, modified }: ContextPlace): number | undefined {
  if (modified !== undefined || kind === 'directory') return modified;
  return newestFile({ path: toByteString(path), start: 0, size: statSync(path).size });
}

/** The newest regular file of an archive, compressed or not; undefined for what is none, or is damaged. */
export async function archiveTime(range: FileRange, options: PlainTarOptions): Promise<number | undefined> {
  try {
    const plain = await plainTar(range, options);
    return plain === undefined ? undefined : newestFile(plain);
  } catch (error) {
    if (error instanceof BuildError && error.code.startsWith('LAYER_')) return undefined;
    throw error;
  }
}

function newestFile(archive: FileRange): number | undefined {
  let newest: number | undefined;
  for (const { entry } of readArchive(archive)) {
    const regular = entry.type === 'file' || entry.type === 'hardlink';
    if (regular && (newest === undefined || entry.mtime > newest)) newest = entry.mtime;
  }
  return newest === undefined ? undefined : Math.floor(newest);
}
