/** A layer blob read without unpacking: its table of contents, and its tar if it was compressed. */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { diskError } from '../system/files.ts';
import type { TocEntry } from './entry.ts';
import { layerEntry } from './layer-entry.ts';
import { type LayerBlob, readLayerBlob } from './read-blob.ts';
import { TarReader } from './tar-reader.ts';
import { saveToc } from './toc-file.ts';

export interface ScanRequest extends LayerBlob {
  /** File to write the uncompressed tar to; undefined when it is not needed. */
  readonly tar: string | undefined;
  readonly toc: string;
}

/** Checks the DiffID and writes the table of contents (and the tar). On failure neither stays. */
export async function scanLayer({ tar, toc, ...blob }: ScanRequest): Promise<void> {
  const entries: TocEntry[] = [];
  let size = 0;
  const reader = new TarReader({
    member: (member) => {
      const entry = layerEntry(member);
      if (entry !== undefined) entries.push(entry);
    },
    data: () => undefined,
    end: () => undefined,
  });
  const fd = tar === undefined ? undefined : openSync(tar, 'wx', 0o644);
  try {
    await readLayerBlob(blob, (chunk) => {
      size += chunk.length;
      reader.write(chunk);
      if (fd !== undefined) for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
    });
    reader.finish();
  } catch (error) {
    if (tar !== undefined) rmSync(tar, { force: true });
    throw diskError(error, tar ?? toc);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
  saveToc(toc, { diffId: blob.diffId, tarSize: size, entries });
}
