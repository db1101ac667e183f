/** Files of a tree as a directory, without a layer in between: what a RUN sees of a context and nothing else needs. */
import { readSync } from 'node:fs';
import { toByteString } from '../system/byte-path.ts';
import { diskError, removeTree } from '../system/files.ts';
import { ContentCopier, type ContentSink } from './copy-content.ts';
import type { PackItem } from './pack-tree.ts';
import { UpperWriter } from './upper-writer.ts';

export interface LayOutRequest {
  /** Parents before children. */
  readonly items: Iterable<PackItem>;
  /** Existing, empty directory (absolute). */
  readonly directory: string;
}

/** Bytes copied at a time. */
const BUFFER_BYTES = 1 << 20;

/**
 * Makes the items below the directory. On failure the directory is removed. Throws COPY_FILE_CHANGED, COPY_UNREADABLE,
 * LAYER_XATTR and STORE_DISK_FULL.
 */
export async function layOut({ items, directory }: LayOutRequest): Promise<void> {
  const files = new UpperWriter(toByteString(directory));
  const copier = new ContentCopier(sinkOf(files));
  try {
    for (const { entry, content } of items) {
      files.begin(entry);
      if (content !== undefined && entry.type === 'file' && entry.size > 0) {
        const shown = content.kind === 'file' ? content.path : `/${entry.path}`;
        await copier.copy(content, { size: entry.size, shown });
      }
      files.end();
    }
    files.finish();
  } catch (error) {
    files.abandon();
    removeTree(directory);
    throw diskError(error, directory);
  } finally {
    copier.close();
  }
}

function sinkOf(files: UpperWriter): ContentSink {
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  return {
    data: (bytes) => files.data(bytes),
    readFrom: (fd, { position, limit }) => {
      const count = readSync(fd, buffer, 0, Math.min(limit, BUFFER_BYTES), position);
      files.data(buffer.subarray(0, count));
      return count;
    },
    behind: () => undefined,
  };
}
