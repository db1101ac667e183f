/** The frame of everything that packs: a layer is written whole, or nothing of it stays. */
import { diskError } from '../system/files.ts';
import { ContentCopier } from './copy-content.ts';
import { type LayerOutput, LayerWriter, type PackedLayer } from './layer-writer.ts';

/** Where entries go, and the bytes of their files. */
export interface LayerParts {
  readonly writer: LayerWriter;
  readonly copier: ContentCopier;
}

/** Writes what `fill` puts in. On failure nothing stays. Throws what `fill` throws, and STORE_DISK_FULL. */
export async function writeLayer(
  output: LayerOutput,
  fill: (parts: LayerParts) => Promise<void>,
): Promise<PackedLayer> {
  const writer = new LayerWriter(output);
  const copier = new ContentCopier(writer);
  try {
    await fill({ writer, copier });
    return await writer.finish();
  } catch (error) {
    writer.abandon();
    throw diskError(error, output.directory);
  } finally {
    copier.close();
  }
}
