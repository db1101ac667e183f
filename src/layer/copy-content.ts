/** Bytes of files into a layer being written. A file that changes meanwhile is an error, never a wrong tar. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import { toFsPath, toText } from '../system/byte-path.ts';
import type { FileContent } from './file-tree.ts';
import type { LayerWriter } from './layer-writer.ts';

/** Appends exactly `size` bytes of the content. Throws COPY_FILE_CHANGED or COPY_UNREADABLE. */
export async function copyContent(
  writer: LayerWriter,
  content: FileContent,
  { size, shown }: { size: number; shown: string },
): Promise<void> {
  if (content.kind === 'bytes') {
    if (content.bytes.length !== size) throw changed(shown);
    writer.data(Buffer.from(content.bytes));
    writer.end(size);
    return;
  }
  const fd = open(content.path, shown);
  try {
    if (content.kind === 'file' && fstatSync(fd).size !== size) throw changed(shown);
    let position = content.kind === 'range' ? content.offset : 0;
    for (let left = size; left > 0; ) {
      const room = writer.room();
      const count = readSync(fd, room, 0, Math.min(left, room.length), position);
      if (count === 0) throw changed(shown);
      writer.filled(count);
      position += count;
      left -= count;
      const behind = writer.behind();
      if (behind !== undefined) await behind;
    }
  } finally {
    closeSync(fd);
  }
  writer.end(size);
}

function open(path: string, shown: string): number {
  try {
    return openSync(toFsPath(path), 'r');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') throw changed(shown);
    throw new BuildError('COPY_UNREADABLE', `cannot read ${toText(shown)}: ${messageOf(error)}`, {
      suggestions: ['Make the file readable, or leave it out by .dockerignore.'],
      cause: error,
    });
  }
}

function changed(shown: string): BuildError {
  return new BuildError('COPY_FILE_CHANGED', `${toText(shown)} changed while it was being copied`, {
    suggestions: ['Do not change files during a build; run the build again.'],
  });
}
