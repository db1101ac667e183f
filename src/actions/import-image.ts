/** `kiln import`: a tar of a root filesystem as an image of one layer. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BuildError } from '../errors.ts';
import { type DiffId, type Digest, MEDIA_TYPE, type Platform } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { encodeConfig, encodeDocument, makeManifest } from '../image/manifest.ts';
import { isTarHeader } from '../layer/archive.ts';
import { isDecompressionError, uncompressed } from '../layer/decompress.ts';
import { LayerPool } from '../layer/layer-pool.ts';
import { applyChanges } from '../plan/apply-changes.ts';
import { commitImage } from '../store/commit-image.ts';
import type { Session, Store } from '../store/store.ts';
import { diskError } from '../system/files.ts';

export interface ImportOptions {
  /** Full names; none is fine. */
  readonly names: readonly string[];
  /** Dockerfile instructions for the config. */
  readonly changes: readonly string[];
  readonly message: string;
  readonly platform: Platform;
  /** When the image is made. */
  readonly created: Date;
  readonly signal: AbortSignal;
}

/** Imports a tar, compressed or not; resolves to the image's ID. Throws IMAGE_INVALID_ARCHIVE, LAYER_*, USAGE_CHANGE. */
export async function importImage(store: Store, source: Readable, options: ImportOptions): Promise<Digest> {
  // First, for a wrong instruction is found at once and a large tar is not read for nothing.
  const config = (diffIds: readonly DiffId[]): ImageConfig => configOf(diffIds, options);
  config([]);
  const session = store.openSession();
  const pool = new LayerPool({ threads: 1 });
  try {
    const { signal } = options;
    const { path, diffId, size } = await receiveTar(source, session, signal);
    const toc = session.draft('layer.toc');
    await pool.run('scan', { blob: path, compression: 'uncompressed', diffId, tar: undefined, toc }, signal);
    store.blobs.adopt(path, diffId);
    store.layers.adoptToc(toc, diffId);
    const layer = { mediaType: MEDIA_TYPE.ociLayer, digest: diffId, size };
    const document = encodeConfig(config([diffId]));
    const manifest = encodeDocument(makeManifest({ config: document.descriptor, layers: [layer] }));
    const { os, architecture, variant } = options.platform;
    const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
    const { names, created } = options;
    const descriptor = { ...manifest.descriptor, platform };
    await commitImage(
      store,
      { descriptor, documents: [document, manifest], layers: [layer], names, keep: true },
      created,
    );
    return document.descriptor.digest;
  } finally {
    await pool.close();
    session.close();
  }
}

function configOf(
  diffIds: readonly DiffId[],
  { platform, created, message, changes }: ImportOptions,
): ImageConfig {
  const { os, architecture, variant } = platform;
  const time = created.toISOString();
  const config: ImageConfig = {
    architecture,
    os,
    ...(variant === undefined ? {} : { variant }),
    created: time,
    config: {},
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: [{ created: time, comment: message }],
  };
  return applyChanges(config, changes, platform);
}

interface ReceivedTar {
  readonly path: string;
  readonly diffId: DiffId;
  readonly size: number;
}

/** Writes the plain tar into the session. */
async function receiveTar(source: Readable, session: Session, signal: AbortSignal): Promise<ReceivedTar> {
  const path = session.draft('layer.tar');
  const hash = createHash('sha256');
  let size = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      size += chunk.length;
      done(null, chunk);
    },
  });
  try {
    const { head, stream } = await uncompressed(source);
    // Two blocks of zeros are an empty archive.
    if (!isTarHeader(head) && !(head.length === 512 && head.every((byte) => byte === 0))) throw notTar();
    await pipeline(stream, meter, createWriteStream(path, { flags: 'wx' }), { signal });
  } catch (error) {
    throw isDecompressionError(error) ? notTar(error) : diskError(error, path);
  } finally {
    source.destroy();
  }
  const diffId: Digest = `sha256:${hash.digest('hex')}`;
  return { path, diffId, size };
}

function notTar(cause?: unknown): BuildError {
  const why = cause === undefined ? 'it is no tar' : 'its compression is damaged, or it ends early';
  return new BuildError('IMAGE_INVALID_ARCHIVE', `this file cannot be imported: ${why}`, {
    suggestions: ['Name a tar of a root filesystem, plain or compressed by gzip, zstd, xz or bzip2.'],
    cause,
  });
}
