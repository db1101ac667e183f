/** ADD of a local archive: found out by its bytes, decompressed into the session where that is needed. */
import { statSync } from 'node:fs';
import { type FileRange, plainTar } from '../context/plain-tar.ts';
import { readArchive } from '../layer/archive.ts';
import type { FileContent } from '../layer/file-tree.ts';
import type { PackItem } from '../layer/pack-tree.ts';
import { toFsPath } from '../system/byte-path.ts';
import type { SolverContext } from './solver-context.ts';

/** The members of a file that is a tar archive, compressed or not; undefined for any other file. */
export async function openArchive(
  context: SolverContext,
  content: FileContent,
): Promise<readonly PackItem[] | undefined> {
  const range = rangeOf(content);
  if (range === undefined) return undefined;
  const { session } = context.access;
  const plain = await plainTar(range, { draft: (purpose) => session.draft(purpose), signal: context.signal });
  return plain === undefined ? undefined : readArchive(plain);
}

function rangeOf(content: FileContent): FileRange | undefined {
  if (content.kind === 'bytes') return undefined;
  if (content.kind === 'range') return { path: content.path, start: content.offset, size: content.size };
  return { path: content.path, start: 0, size: statSync(toFsPath(content.path)).size };
}
