/** Copies a file: by reference where the filesystem can (reflink), else byte by byte. */
import { closeSync, constants, copyFileSync, fstatSync, openSync, read } from 'node:fs';
import { BugError, systemErrorCode } from '../errors.ts';
import { BackgroundFile } from './background-file.ts';
import { DIRECT_BLOCK, directBlock, IoRoute } from './io-route.ts';
import { monotonicMs } from './monotonic.ts';

/**
 * Copies to a path where nothing may be yet, or to the descriptor of an empty file, which stays its owner's; on failure
 * part of it may stay there. Throws the system's error, and the signal's reason.
 */
export async function copyFile(source: string, target: string | number, signal: AbortSignal): Promise<void> {
  if (isCloned(source, target)) return;
  const reader = new BlockReader(source);
  try {
    const file = new BackgroundFile(target);
    try {
      await copyBlocks(reader, file, signal);
    } finally {
      file.abandon();
      await file.idle();
    }
  } finally {
    reader.close();
  }
}

function isCloned(source: string, target: string | number): boolean {
  const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE } = constants;
  try {
    if (typeof target === 'string') copyFileSync(source, target, COPYFILE_FICLONE_FORCE | COPYFILE_EXCL);
    else copyFileSync(source, `/proc/self/fd/${target}`, COPYFILE_FICLONE_FORCE);
    return true;
  } catch (error) {
    if (['ENOTSUP', 'EXDEV', 'EINVAL', 'ENOTTY', 'ENOSYS'].includes(systemErrorCode(error) ?? ''))
      return false;
    throw error;
  }
}

async function copyBlocks(reader: BlockReader, file: BackgroundFile, signal: AbortSignal): Promise<void> {
  const free: Buffer[] = [];
  for (;;) {
    signal.throwIfAborted();
    const block = free.pop() ?? directBlock();
    const count = await reader.next(block);
    if (count === 0) break;
    await file.room();
    file.append(block.subarray(0, count), () => free.push(block));
  }
  if (file.size !== reader.size) throw new BugError(`a file changed while it was copied: ${file.size} bytes`);
  await file.finish();
}

/** Reads a file from its beginning, block by block. */
class BlockReader {
  readonly #path: string;
  readonly #route = new IoRoute();
  readonly #fd: number;
  /** The same file, opened with O_DIRECT at its first use. */
  #direct: number | undefined;
  #position = 0;
  /** Bytes, when it was opened. */
  readonly size: number;

  constructor(path: string) {
    this.#path = path;
    this.#fd = openSync(path, constants.O_RDONLY);
    this.size = fstatSync(this.#fd).size;
  }

  /** Fills the block, or as much of it as is left. Returns the number of bytes. */
  async next(block: Buffer): Promise<number> {
    let fill = 0;
    while (fill < block.length) {
      const count = await this.#read(block.subarray(fill));
      if (count === 0) break;
      fill += count;
    }
    return fill;
  }

  close(): void {
    closeSync(this.#fd);
    if (this.#direct !== undefined) closeSync(this.#direct);
  }

  async #read(bytes: Buffer): Promise<number> {
    const isWhole = bytes.length === DIRECT_BLOCK && this.size - this.#position >= DIRECT_BLOCK;
    const way = isWhole ? this.#route.way : 'cached';
    const fd = way === 'direct' ? this.#openDirect() : this.#fd;
    const began = monotonicMs();
    try {
      const count = await readAt(fd ?? this.#fd, bytes, this.#position);
      this.#route.went(way, { bytes: count, milliseconds: monotonicMs() - began });
      this.#position += count;
      return count;
    } catch (error) {
      if (way !== 'direct' || systemErrorCode(error) !== 'EINVAL') throw error;
      this.#route.refuse();
      return this.#read(bytes);
    }
  }

  #openDirect(): number | undefined {
    try {
      this.#direct ??= openSync(this.#path, constants.O_RDONLY | constants.O_DIRECT);
    } catch {
      this.#route.refuse();
    }
    return this.#direct;
  }
}

function readAt(fd: number, bytes: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, bytes, 0, bytes.length, position, (error, count) =>
      error === null ? resolve(count) : reject(error),
    );
  });
}
