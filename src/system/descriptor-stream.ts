/** A descriptor of the caller's, written to without changing anything about it. */
import { write } from 'node:fs';
import { Writable } from 'node:stream';
import { systemErrorCode } from '../errors.ts';

/** How long to wait before a pipe is tried again that somebody else has made non-blocking. Milliseconds. */
const PAUSE = 2;

/** Writes to a file, pipe, socket or terminal that stays open. */
export class DescriptorStream extends Writable {
  readonly #fd: number;

  constructor(fd: number) {
    super({ highWaterMark: 256 * 1024 });
    this.#fd = fd;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    write(this.#fd, chunk, (error, written) => {
      if (error !== null && systemErrorCode(error) !== 'EAGAIN') done(error);
      else if (error !== null) setTimeout(() => this._write(chunk, _encoding, done), PAUSE);
      else if (written < chunk.length) this._write(chunk.subarray(written), _encoding, done);
      else done();
    });
  }
}
