/**
 * Writes a layer: the tar, its SHA-256, compressed forms and the table of contents, in one pass. Works in blocks of
 * 1 MiB, so memory does not grow with the layer.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Compression, DiffId } from '../image/descriptor.ts';
import { BLOCK_BYTES, type BlockCompressor, type CompressedBlob, makeCompressor } from './compress.ts';
import type { Entry, TocEntry } from './entry.ts';
import { encodeHeader, padding } from './tar-header.ts';
import { saveToc } from './toc-file.ts';

/** Where a layer is written and in which forms. */
export interface LayerOutput {
  /** Existing directory for the results, on the store's filesystem. */
  readonly directory: string;
  /** Compressed forms beside the plain tar. */
  readonly forms: readonly { readonly compression: Compression; readonly level: number | undefined }[];
  /** Seconds since 1970: later mtimes are set to it. */
  readonly clampMtime: number | undefined;
}

export interface PackedLayer {
  readonly diffId: DiffId;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
  /** The tar itself and every form asked for. */
  readonly blobs: readonly CompressedBlob[];
  /** File with the table of contents. */
  readonly tocPath: string;
}

export class LayerWriter {
  readonly #output: LayerOutput;
  readonly #fd: number;
  readonly #hash: Hash = createHash('sha256');
  readonly #compressors: BlockCompressor[] = [];
  readonly #toc: TocEntry[] = [];
  readonly #tarPath: string;
  #block = Buffer.allocUnsafe(BLOCK_BYTES);
  #fill = 0;
  #size = 0;
  #wait: Promise<void>[] = [];

  constructor(output: LayerOutput) {
    this.#output = output;
    this.#tarPath = join(output.directory, 'layer.tar');
    this.#fd = openSync(this.#tarPath, 'wx', 0o644);
    for (const { compression, level } of output.forms) {
      if (compression === 'uncompressed') continue;
      const path = join(output.directory, `layer.tar.${compression}-${level ?? ''}`);
      this.#compressors.push(makeCompressor({ compression, level }, path));
    }
  }

  /** Begins an entry; exactly `entry.size` bytes must follow by `data`. */
  begin(entry: Entry): void {
    const { clampMtime } = this.#output;
    const clamped =
      clampMtime !== undefined && entry.mtime > clampMtime ? { ...entry, mtime: clampMtime } : entry;
    this.#bytes(encodeHeader(clamped));
    this.#toc.push(entry.type === 'file' && entry.size > 0 ? { ...clamped, offset: this.#size } : clamped);
  }

  /** Bytes of the entry that was begun. */
  data(bytes: Buffer): void {
    this.#bytes(bytes);
  }

  /** Room of the current block, for reading a file straight into it; always at least one byte. */
  room(): Buffer {
    return this.#block.subarray(this.#fill);
  }

  /** Says that `count` bytes were written into `room()`. */
  filled(count: number): void {
    this.#fill += count;
    this.#size += count;
    if (this.#fill === BLOCK_BYTES) this.#seal();
  }

  /** Ends an entry of `size` bytes: fills up to the next tar block. */
  end(size: number): void {
    const rest = padding(size);
    if (rest > 0) this.#bytes(Buffer.alloc(rest));
  }

  /** A promise to wait for before going on, when compression is behind; undefined most of the time. */
  behind(): Promise<void> | undefined {
    if (this.#wait.length === 0) return undefined;
    const all = Promise.all(this.#wait).then(() => undefined);
    this.#wait = [];
    return all;
  }

  /** Ends the archive and waits for every form. */
  async finish(): Promise<PackedLayer> {
    this.#bytes(Buffer.alloc(1024));
    if (this.#fill > 0) this.#seal();
    closeSync(this.#fd);
    const diffId = `sha256:${this.#hash.digest('hex')}` as DiffId;
    const tar: CompressedBlob = {
      compression: 'uncompressed',
      level: undefined,
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest: diffId,
      size: this.#size,
      path: this.#tarPath,
    };
    const compressed = await Promise.all(this.#compressors.map((compressor) => compressor.finish()));
    const tocPath = join(this.#output.directory, 'layer.toc');
    saveToc(tocPath, { diffId, tarSize: this.#size, entries: this.#toc });
    return { diffId, tarSize: this.#size, blobs: [tar, ...compressed], tocPath };
  }

  /** Gives up: closes and removes what was written. */
  abandon(): void {
    try {
      closeSync(this.#fd);
    } catch {
      // Closed already by finish(), which then failed later.
    }
    for (const compressor of this.#compressors) compressor.abandon();
    rmSync(this.#output.directory, { recursive: true, force: true });
  }

  #bytes(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(bytes.length - at, BLOCK_BYTES - this.#fill);
      bytes.copy(this.#block, this.#fill, at, at + count);
      at += count;
      this.filled(count);
    }
  }

  #seal(): void {
    const block = this.#fill === BLOCK_BYTES ? this.#block : this.#block.subarray(0, this.#fill);
    this.#hash.update(block);
    for (let written = 0; written < block.length; ) written += writeSync(this.#fd, block, written);
    for (const compressor of this.#compressors) {
      const wait = compressor.push(block);
      if (wait !== undefined) {
        wait.catch(() => undefined);
        this.#wait.push(wait);
      }
    }
    // Compressors keep the block until they are done with it.
    if (this.#compressors.length > 0) this.#block = Buffer.allocUnsafe(BLOCK_BYTES);
    this.#fill = 0;
  }
}
