/** Calls on files and descriptors that Node does not have: special files, exact times, locks, pipes. Paths are byte strings. */
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { check, cString, failure, lastErrno, native } from './libc.ts';

/** Makes a special file. `mode` holds the type (S_IFCHR, S_IFBLK, S_IFIFO) and permission bits. */
export function makeNode(path: string, mode: number, major: number, minor: number): void {
  const device =
    (BigInt(minor) & 0xffn) |
    ((BigInt(major) & 0xfffn) << 8n) |
    ((BigInt(minor) & ~0xffn) << 12n) |
    ((BigInt(major) & ~0xfffn) << 32n);
  check(
    native('int mknod(const char *path, uint32_t mode, uint64_t dev)')(cString(path), mode, device),
    'mknod',
    path,
  );
}

/** Sets both times of `path` itself, in nanoseconds since 1970: node:fs loses the last digits. */
export function setTimes(path: string, accessed: bigint, modified: bigint): void {
  const times = Buffer.alloc(32);
  const second = 1_000_000_000n;
  [accessed, modified].forEach((time, index) => {
    const seconds = time >= 0n ? time / second : -((-time + second - 1n) / second);
    times.writeBigInt64LE(seconds, index * 16);
    times.writeBigInt64LE(time - seconds * second, index * 16 + 8);
  });
  const call = native('int utimensat(int directory, const char *path, const void *times, int flags)');
  const currentDirectory = -100;
  const noFollow = 0x100;
  check(call(currentDirectory, cString(path), times, noFollow), 'utimensat', path);
}

/** linkat(2) of an open file, which may have no name yet. Throws EEXIST, and EXDEV where the name is on another filesystem. */
export function linkDescriptor(fd: number, path: string): void {
  const call = native('int linkat(int from, const char *old, int to, const char *path, int flags)');
  const currentDirectory = -100;
  const follow = 0x400;
  const open = cString(`/proc/self/fd/${fd}`);
  check(call(currentDirectory, open, currentDirectory, cString(path), follow), 'linkat', path);
}

/** pipe2(2), both ends closed on exec. Node's own pipes are sockets, which nobody can open as /dev/stdout. */
export function makePipe(): { readonly read: number; readonly write: number } {
  const ends = Buffer.alloc(8);
  const closeOnExec = 0o2000000;
  check(native('int pipe2(void *ends, int flags)')(ends, closeOnExec), 'pipe2');
  return { read: ends.readInt32LE(0), write: ends.readInt32LE(4) };
}

/** flock(2) on a descriptor. Without `wait` returns false when somebody else holds the lock. */
export function lockFile(fd: number, kind: 'shared' | 'exclusive', wait: boolean): boolean {
  const operation = (kind === 'shared' ? 1 : 2) | (wait ? 0 : 4);
  for (;;) {
    if (native('int flock(int fd, int operation)')(fd, operation) === 0) return true;
    const errno = lastErrno();
    if (!wait && errno === constants.errno.EWOULDBLOCK) return false;
    if (errno !== constants.errno.EINTR) throw failure('flock');
  }
}

/** Runs work, which must not wait, while a lock on an open file or directory is held; closes it. */
export function withLock<Result>(fd: number, kind: 'shared' | 'exclusive', work: () => Result): Result {
  try {
    lockFile(fd, kind, true);
    return work();
  } finally {
    closeSync(fd);
  }
}
