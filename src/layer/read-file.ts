/** Bytes of a file in a tree, for small files that are needed whole. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { BuildError } from '../errors.ts';
import { toFsPath, toText } from '../system/byte-path.ts';
import type { FileTree } from './file-tree.ts';

const LIMIT = 16 << 20;

/** The file's bytes. Throws LAYER_FILE_TOO_LARGE above 16 MiB. */
export function readSmallFile(tree: FileTree, path: string): Buffer {
  const content = tree.content(path);
  if (content.kind === 'bytes') return content.bytes;
  const size = content.kind === 'range' ? content.size : (tree.lstat(path)?.size ?? 0);
  if (size > LIMIT) {
    throw new BuildError(
      'LAYER_FILE_TOO_LARGE',
      `/${toText(path)} is too large (${size} bytes) to be read whole`,
    );
  }
  if (content.kind === 'file') return readFileSync(toFsPath(content.path));
  const fd = openSync(toFsPath(content.path), 'r');
  try {
    const bytes = Buffer.alloc(size);
    for (let read = 0; read < size; ) {
      const count = readSync(fd, bytes, read, size - read, content.offset + read);
      if (count === 0) break;
      read += count;
    }
    return bytes;
  } finally {
    closeSync(fd);
  }
}
