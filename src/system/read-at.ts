import { read } from 'node:fs';

/** pread(2) by the thread pool. Resolves to the number of bytes: 0 at the end of the file. Throws the system's error. */
export function readAt(fd: number, bytes: Buffer, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, bytes, 0, bytes.length, position, (error, count) =>
      error === null ? resolve(count) : reject(error),
    );
  });
}
