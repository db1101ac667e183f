/** A layer from a list of entries: COPY, ADD, WORKDIR. */

import { BuildError } from '../errors.ts';
import { toText } from '../system/byte-path.ts';
import type { Entry } from './entry.ts';
import type { FileContent } from './file-tree.ts';
import type { TimeOrigin } from './layer-times.ts';
import type { LayerOutput, PackedLayer } from './layer-writer.ts';
import { WHITEOUT_PREFIX } from './tar-header.ts';
import { writeLayer } from './write-layer.ts';

/** An entry, and where its bytes come from when it is a file. */
export interface PackItem {
  readonly entry: Entry;
  readonly content?: FileContent | undefined;
  /** Where its time comes from, when not from another layer. */
  readonly origin?: TimeOrigin | undefined;
}

/**
 * Writes the items in their order. On failure nothing stays. Throws COPY_FILE_CHANGED, COPY_UNREADABLE,
 * LAYER_RESERVED_NAME and STORE_DISK_FULL.
 */
export function packTree(items: Iterable<PackItem>, output: LayerOutput): Promise<PackedLayer> {
  return writeLayer(output, async ({ writer, copier }) => {
    for (const { entry, content, origin } of items) {
      refuseReservedName(entry.path);
      writer.begin(entry, origin);
      const wait =
        content !== undefined && entry.type === 'file' && entry.size > 0
          ? copier.copy(content, {
              size: entry.size,
              shown: content.kind === 'file' ? content.path : `/${entry.path}`,
            })
          : writer.behind();
      if (wait !== undefined) await wait;
    }
  });
}

/** A file called .wh.x would delete x from the image (image-spec, layer.md, "Whiteouts"). */
export function refuseReservedName(path: string): void {
  if (!path.startsWith(WHITEOUT_PREFIX, path.lastIndexOf('/') + 1)) return;
  throw new BuildError(
    'LAYER_RESERVED_NAME',
    `/${toText(path)} cannot be in a layer: names that begin with .wh. stand for deleted files there`,
    { suggestions: ['Rename the file, or leave it out by .dockerignore.'] },
  );
}
