/** Bytes of files into a layer being written, or a directory. A file that changes meanwhile is an error, never a wrong tar. */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import { toFsPath, toText } from '../system/byte-path.ts';
import type { FileContent } from './file-tree.ts';

/** Where bytes of files go: a layer being written, or a directory. */
export interface ContentSink {
  /** Appends bytes to the file that was begun. */
  data(bytes: Buffer): void;
  /**
   * Appends bytes read from a file, at most `limit`; null for `position` reads on. Returns their number: 0 at the end of
   * the file.
   */
  readFrom(fd: number, from: { readonly position: number | null; readonly limit: number }): number;
  /** A promise to wait for before going on, when what was appended is not dealt with; undefined most of the time. */
  behind(): Promise<void> | undefined;
}

/** A file that became a symlink is not followed, one that became a FIFO is not waited for. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What a file was when its entry was made. */
export interface Expected {
  /** Bytes. */
  readonly size: number;
  /** Byte string, for messages. */
  readonly shown: string;
}

/** Copies files into one place. Keeps the tar open that the last range was in: thousands come from the same one. */
export class ContentCopier {
  readonly #sink: ContentSink;
  #tar: { readonly path: string; readonly fd: number } | undefined;

  constructor(sink: ContentSink) {
    this.#sink = sink;
  }

  /**
   * Appends exactly `size` bytes, more than none. Done when it returns, unless it returns a promise.
   * Throws COPY_FILE_CHANGED or COPY_UNREADABLE.
   */
  copy(content: FileContent, expected: Expected): Promise<void> | undefined {
    if (content.kind === 'bytes') {
      if (content.bytes.length !== expected.size) throw changed(expected);
      // What came from another thread is a plain Uint8Array.
      const { buffer, byteOffset, length } = content.bytes;
      this.#sink.data(Buffer.from(buffer, byteOffset, length));
      return this.#sink.behind();
    }
    if (content.kind === 'range') {
      return this.#read(this.#openTar(content.path, expected), {
        ...expected,
        position: content.offset,
        left: expected.size,
      });
    }
    return this.#copyFile(content, expected);
  }

  /** Closes what is still open. */
  close(): void {
    if (this.#tar !== undefined) closeSync(this.#tar.fd);
    this.#tar = undefined;
  }

  #copyFile(
    { path, mtimeMs, ino }: Extract<FileContent, { kind: 'file' }>,
    expected: Expected,
  ): Promise<void> | undefined {
    const fd = open(path, expected, OPEN_FLAGS);
    /** Before: it can be read as it is expected. After: it was the same file all the while. */
    const check = (): void => {
      const now = fstatSync(fd);
      const same = (mtimeMs ?? now.mtimeMs) === now.mtimeMs && (ino ?? now.ino) === now.ino;
      if (now.size !== expected.size || !same) throw changed(expected);
    };
    let rest: Promise<void> | undefined;
    try {
      check();
      rest = this.#read(fd, { ...expected, position: null, left: expected.size });
      if (rest === undefined && mtimeMs !== undefined) check();
    } finally {
      if (rest === undefined) closeSync(fd);
    }
    return rest?.then(check).finally(() => closeSync(fd));
  }

  /** Reads while compression keeps up; the rest, if any, in the promise. */
  #read(fd: number, state: Expected & { position: number | null; left: number }): Promise<void> | undefined {
    let { position, left } = state;
    while (left > 0) {
      const count = this.#sink.readFrom(fd, { position, limit: left });
      if (count === 0) throw changed(state);
      left -= count;
      if (position !== null) position += count;
      const behind = this.#sink.behind();
      if (behind !== undefined) return behind.then(() => this.#read(fd, { ...state, position, left }));
    }
    return undefined;
  }

  #openTar(path: string, expected: Expected): number {
    if (this.#tar?.path !== path) {
      this.close();
      this.#tar = { path, fd: open(path, expected, constants.O_RDONLY) };
    }
    return this.#tar.fd;
  }
}

function open(path: string, expected: Expected, flags: number): number {
  try {
    return openSync(toFsPath(path), flags);
  } catch (error) {
    const code = systemErrorCode(error) ?? '';
    if (code === 'ENOENT' || code === 'ELOOP' || code === 'ENOTDIR' || code === 'ENXIO')
      throw changed(expected);
    throw new BuildError('COPY_UNREADABLE', `cannot read ${toText(expected.shown)}: ${messageOf(error)}`, {
      suggestions: ['Make the file readable, or leave it out by .dockerignore.'],
      cause: error,
    });
  }
}

function changed({ shown }: Expected): BuildError {
  return new BuildError('COPY_FILE_CHANGED', `${toText(shown)} changed while it was being copied`, {
    suggestions: ['Do not change files during a build; run the build again.'],
  });
}
