/** A stream of exactly so many bytes of another. */
import { Readable } from 'node:stream';
import { messageOf } from '../errors.ts';
import { LocalReadError } from './transport-error.ts';

/**
 * The first `length` bytes of what `open` gives; the source is let go of as soon as they are read. A source that
 * fails or ends early is a LocalReadError of the stream.
 */
export function exactly(open: () => Readable, length: number): Readable {
  return Readable.from(firstBytes(open, length), { objectMode: false, highWaterMark: 256 * 1024 });
}

async function* firstBytes(open: () => Readable, length: number): AsyncGenerator<Buffer> {
  const source = open();
  const pieces: AsyncIterator<Buffer> = source[Symbol.asyncIterator]();
  let left = length;
  try {
    while (left > 0) {
      const piece = await pieces.next().catch((error: unknown) => {
        throw new LocalReadError(`the blob cannot be read: ${messageOf(error)}`, { cause: error });
      });
      if (piece.done) throw new LocalReadError(`the blob is ${left} bytes shorter than its descriptor says`);
      const wanted = piece.value.length > left ? piece.value.subarray(0, left) : piece.value;
      left -= wanted.length;
      // Not inside a catch: what the network throws in here is not the blob's failure.
      yield wanted;
    }
  } finally {
    source.destroy();
  }
}
