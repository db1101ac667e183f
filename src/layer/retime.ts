/** A layer with the times of another SOURCE_DATE_EPOCH: the bytes that packing with it would have given. */
import { toByteString } from '../system/byte-path.ts';
import type { LayerFiles } from './compare-layers.ts';
import { type LayerTimes, ownTime } from './layer-times.ts';
import type { LayerOutput, PackedLayer } from './layer-writer.ts';
import { loadToc } from './toc-file.ts';
import { writeLayer } from './write-layer.ts';

export interface RetimeRequest {
  /** The layer as it is. Kiln has packed it, so its entries say all that is in the tar. */
  readonly layer: LayerFiles;
  readonly times: LayerTimes;
  readonly output: LayerOutput;
}

/** Writes the layer anew, entry by entry. On failure nothing stays. Throws STORE_CORRUPT_TOC and STORE_DISK_FULL. */
export function retimeLayer({ layer, times, output }: RetimeRequest): Promise<PackedLayer> {
  const path = toByteString(layer.tar);
  return writeLayer(output, async ({ writer, copier }) => {
    for (const [number, { offset, ...entry }] of loadToc(layer.toc).entries.entries()) {
      const { time, origin } = ownTime(times, number, entry.mtime);
      writer.begin({ ...entry, mtime: time }, origin);
      const { size } = entry;
      const wait =
        offset === undefined
          ? writer.behind()
          : copier.copy({ kind: 'range', path, offset, size }, { size, shown: path });
      if (wait !== undefined) await wait;
    }
  });
}
