/**
 * Writes a layer: the tar, its SHA-256, compressed forms and the table of contents, in one pass. Works in blocks of
 * 1 MiB, so memory does not grow with the layer.
 */
import { createHash, type Hash } from 'node:crypto';
import { readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BugError } from '../errors.ts';
import { type Compression, type DiffId, MEDIA_TYPE } from '../image/descriptor.ts';
import { BackgroundFile } from '../system/background-file.ts';
import { type BlobCompressor, type CompressedBlob, makeCompressor } from './compress.ts';
import type { Entry } from './entry.ts';
import { type PackedTimes, TimeKeeper, type TimeOrigin } from './layer-times.ts';
import { BLOCK, encodeHeader, padding, writeHeader } from './tar-header.ts';
import { TocWriter } from './toc-file.ts';

/** A compressed form of a layer that is written. */
export interface OutputForm {
  readonly compression: Compression;
  readonly level: number | undefined;
  /** Descriptor of an empty file that is given the same bytes, if that works. */
  readonly copy?: number | undefined;
}

/** Where a layer is written and in which forms. */
export interface LayerOutput {
  /** Existing directory for the results, on the store's filesystem. */
  readonly directory: string;
  /** Compressed forms. */
  readonly forms: readonly OutputForm[];
  /** Whether the plain tar is written too. Default true. */
  readonly plain?: boolean;
  /** SOURCE_DATE_EPOCH, seconds since 1970: later times are set to it, and all that come from the build. */
  readonly epoch: number | undefined;
  /** Seconds since 1970: times from then on are the build's own. */
  readonly began?: number | undefined;
}

export interface PackedLayer {
  readonly diffId: DiffId;
  /** Bytes of the uncompressed tar. */
  readonly tarSize: number;
  /** The tar itself, if asked for, and every form. */
  readonly blobs: readonly CompressedBlob[];
  /** File with the table of contents. */
  readonly tocPath: string;
  readonly times: PackedTimes;
}

/** Bytes gathered before they are hashed, written and compressed. */
const BUFFER_BYTES = 1 << 20;

const ZEROS = Buffer.alloc(2 * BLOCK);

export class LayerWriter {
  readonly #output: LayerOutput;
  /** The plain tar. */
  readonly #tar: BackgroundFile | undefined;
  readonly #hash: Hash = createHash('sha256');
  readonly #compressors: BlobCompressor[] = [];
  readonly #toc = new TocWriter();
  readonly #times: TimeKeeper;
  readonly #tarPath: string;
  #buffer: Buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  /** Buffers whose bytes are written. */
  readonly #free: Buffer[] = [];
  #fill = 0;
  #size = 0;
  /** Bytes that the entry begun last still lacks. */
  #lacking = 0;
  #wait: Promise<void>[] = [];

  constructor(output: LayerOutput) {
    this.#output = output;
    this.#times = new TimeKeeper({ epoch: output.epoch, began: output.began });
    this.#tarPath = join(output.directory, 'layer.tar');
    this.#tar = output.plain === false ? undefined : new BackgroundFile(this.#tarPath);
    for (const { compression, level, copy } of output.forms) {
      if (compression === 'uncompressed') continue;
      const path = join(output.directory, `layer.tar.${compression}-${level ?? ''}`);
      this.#compressors.push(makeCompressor({ compression, level, path, copy }));
    }
  }

  /** Begins an entry; for a file, exactly `entry.size` bytes must follow by `data` or `readFrom`. */
  begin(entry: Entry, origin?: TimeOrigin): void {
    if (this.#lacking !== 0) throw new BugError(`an entry lacks ${this.#lacking} bytes before ${entry.path}`);
    const mtime = this.#times.give(entry.mtime, origin);
    const timed = mtime === entry.mtime ? entry : { ...entry, mtime };
    if (this.#fill + BLOCK <= BUFFER_BYTES && writeHeader(timed, this.#buffer, this.#fill))
      this.#filled(BLOCK);
    else this.#bytes(encodeHeader(timed));
    const hasBody = entry.type === 'file' && entry.size > 0;
    this.#toc.add(hasBody ? { ...timed, offset: this.#size } : timed);
    if (hasBody) this.#lacking = entry.size;
  }

  /** Bytes of the entry that was begun. */
  data(bytes: Buffer): void {
    this.#take(bytes.length);
    this.#bytes(bytes);
    this.#end();
  }

  /**
   * Reads bytes of the entry that was begun from a file; null for `position` reads on. Returns their number: 0 at the
   * end of the file, fewer than `limit` when the buffer was full.
   */
  readFrom(fd: number, { position, limit }: { position: number | null; limit: number }): number {
    const room = Math.min(limit, BUFFER_BYTES - this.#fill);
    const count = readSync(fd, this.#buffer, this.#fill, room, position);
    this.#take(count);
    this.#filled(count);
    this.#end();
    return count;
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
    if (this.#lacking !== 0) throw new BugError(`the last entry lacks ${this.#lacking} bytes`);
    this.#bytes(ZEROS);
    this.#flush();
    await this.#tar?.finish();
    const diffId = `sha256:${this.#hash.digest('hex')}` as DiffId;
    const tar: CompressedBlob = {
      compression: 'uncompressed',
      level: undefined,
      mediaType: MEDIA_TYPE.ociLayer,
      digest: diffId,
      size: this.#size,
      path: this.#tarPath,
    };
    const compressed = await Promise.all(this.#compressors.map((compressor) => compressor.finish()));
    const tocPath = join(this.#output.directory, 'layer.toc');
    this.#toc.save(tocPath, { diffId, tarSize: this.#size });
    return {
      diffId,
      tarSize: this.#size,
      blobs: [...(this.#tar === undefined ? [] : [tar]), ...compressed],
      tocPath,
      times: this.#times.times(),
    };
  }

  /** Gives up: closes and removes what was written, with the output directory. */
  abandon(): void {
    this.#tar?.abandon();
    for (const compressor of this.#compressors) compressor.abandon();
    for (const wait of this.#wait) wait.catch(() => undefined);
    rmSync(this.#output.directory, { recursive: true, force: true });
  }

  #take(count: number): void {
    this.#lacking -= count;
    if (this.#lacking < 0) throw new BugError(`an entry has ${-this.#lacking} bytes too many`);
  }

  /** Fills up to the next tar block once the entry has all its bytes. */
  #end(): void {
    if (this.#lacking > 0) return;
    const rest = padding(this.#size);
    if (rest > 0) this.#bytes(ZEROS.subarray(0, rest));
  }

  #filled(count: number): void {
    this.#fill += count;
    this.#size += count;
    if (this.#fill === BUFFER_BYTES) this.#flush();
  }

  #bytes(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const count = bytes.copy(this.#buffer, this.#fill, at);
      at += count;
      this.#filled(count);
    }
  }

  #flush(): void {
    if (this.#fill === 0) return;
    const full = this.#buffer.subarray(0, this.#fill);
    this.#hash.update(full);
    for (const compressor of this.#compressors) {
      const wait = compressor.push(full);
      if (wait !== undefined) this.#wait.push(wait);
    }
    if (this.#tar !== undefined) this.#handOver(this.#tar, full);
    this.#fill = 0;
  }

  /** Lets the buffer be written and goes on with another one. */
  #handOver(tar: BackgroundFile, full: Buffer): void {
    const buffer = this.#buffer;
    tar.append(full, () => this.#free.push(buffer));
    this.#buffer = this.#free.pop() ?? Buffer.allocUnsafe(BUFFER_BYTES);
    const wait = tar.room();
    if (wait === undefined) return;
    // A failure is met by whoever waits; until then it must not count as unhandled.
    wait.catch(() => undefined);
    this.#wait.push(wait);
  }
}
