/**
 * A layer blob into a directory in overlay form: whiteouts become character devices 0:0, opaque directories an xattr.
 * Nothing is ever written through a symlink or outside the directory, whatever the tar says.
 */
import { rmSync } from 'node:fs';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import { toByteString, toText } from '../system/byte-path.ts';
import { diskError } from '../system/files.ts';
import type { TocEntry } from './entry.ts';
import { LayerEntries } from './layer-entry.ts';
import { type LayerBlob, readLayerBlob } from './read-blob.ts';
import { TarReader } from './tar-reader.ts';
import { saveToc } from './toc-file.ts';
import { type Incomplete, UpperWriter } from './upper-writer.ts';

export interface UnpackRequest extends LayerBlob {
  /** Existing, empty directory (absolute). */
  readonly directory: string;
  /** File to write the table of contents to. */
  readonly toc: string;
}

export interface UnpackResult {
  /** Directories the tar needed but did not have, and links into lower layers: look them up there (`completeLayer`). */
  readonly incomplete: Incomplete;
  /** Device nodes that this user may not make; they stay in the table of contents. */
  readonly skippedDevices: readonly string[];
}

/**
 * Unpacks and checks the DiffID. On any failure the directory is removed and the error thrown: as `readLayerBlob`,
 * LAYER_UNSAFE_PATH, LAYER_OWNER_UNMAPPED, LAYER_XATTR, LAYER_UNPACK, STORE_DISK_FULL.
 */
export async function unpackLayer(request: UnpackRequest): Promise<UnpackResult> {
  const names = new LayerEntries();
  const writer = new UpperWriter(toByteString(request.directory));
  const entries: TocEntry[] = [];
  let current: TocEntry | undefined;
  const reader = new TarReader({
    member: (member) => {
      current = names.next(member);
      if (current === undefined) return;
      entries.push(current);
      writer.begin(current);
    },
    data: (chunk) => writer.data(chunk),
    end: () => writer.end(),
  });
  try {
    const tarSize = await readLayerBlob(request, {
      chunk: (chunk) => reader.write(chunk),
      end: () => {
        reader.finish();
        current = undefined;
        writer.finish();
      },
    });
    saveToc(request.toc, { diffId: request.diffId, tarSize, entries });
  } catch (error) {
    writer.abandon();
    rmSync(request.directory, { recursive: true, force: true });
    throw unpackError(error, request, current);
  }
  return { incomplete: writer.incomplete(), skippedDevices: writer.skippedDevices };
}

/** What the system refused, with the entry it refused it for. */
function unpackError(
  error: unknown,
  { directory, diffId }: UnpackRequest,
  entry: TocEntry | undefined,
): unknown {
  const known = diskError(error, directory);
  if (known instanceof BuildError || systemErrorCode(error) === undefined || entry === undefined)
    return known;
  return new BuildError(
    'LAYER_UNPACK',
    `cannot unpack /${toText(entry.path)} of layer ${diffId}: ${messageOf(error)}`,
    { suggestions: ['Put the store (KILN_HOME or --root) on a local Linux filesystem.'], cause: error },
  );
}
