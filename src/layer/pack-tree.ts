/** A layer from a list of entries: COPY, ADD, WORKDIR. */

import { copyContent } from './copy-content.ts';
import type { Entry } from './entry.ts';
import type { FileContent } from './file-tree.ts';
import { type LayerOutput, LayerWriter, type PackedLayer } from './layer-writer.ts';

/** An entry, and where its bytes come from when it is a file. */
export interface PackItem {
  readonly entry: Entry;
  readonly content?: FileContent | undefined;
}

/** Writes the items in their order. On failure nothing stays. */
export async function packTree(items: Iterable<PackItem>, output: LayerOutput): Promise<PackedLayer> {
  const writer = new LayerWriter(output);
  try {
    for (const { entry, content } of items) {
      writer.begin(entry);
      if (content !== undefined && entry.type === 'file' && entry.size > 0) {
        await copyContent(writer, content, { size: entry.size, shown: entry.path });
      }
    }
    return await writer.finish();
  } catch (error) {
    writer.abandon();
    throw error;
  }
}
