/** A layer blob read without unpacking: its table of contents, and its tar if it was compressed. */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { diskError } from '../system/files.ts';
import type { TocEntry } from './entry.ts';
import { LayerEntries } from './layer-entry.ts';
import { type LayerBlob, readLayerBlob } from './read-blob.ts';
import { TarReader } from './tar-reader.ts';
import { saveToc } from './toc-file.ts';

export interface ScanRequest extends LayerBlob {
  /** File to write the uncompressed tar to; it must not exist. Undefined when it is not needed. */
  readonly tar: string | undefined;
  /** File to write the table of contents to. */
  readonly toc: string;
}

/**
 * Checks the DiffID and writes the table of contents (and the tar). On failure neither stays. Throws as
 * `readLayerBlob` does, LAYER_UNSAFE_PATH and STORE_DISK_FULL.
 */
export async function scanLayer({ tar, toc, ...blob }: ScanRequest): Promise<void> {
  const entries: TocEntry[] = [];
  const names = new LayerEntries();
  const reader = new TarReader({
    member: (member) => {
      const entry = names.next(member);
      if (entry !== undefined) entries.push(entry);
    },
    data: () => undefined,
    end: () => undefined,
  });
  const fd = tar === undefined ? undefined : openSync(tar, 'wx', 0o644);
  try {
    const tarSize = await readLayerBlob(blob, {
      chunk: (chunk) => {
        reader.write(chunk);
        if (fd !== undefined) for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
      },
      end: () => reader.finish(),
    });
    saveToc(toc, { diffId: blob.diffId, tarSize, entries });
  } catch (error) {
    if (tar !== undefined) rmSync(tar, { force: true });
    throw diskError(error, tar ?? toc);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
