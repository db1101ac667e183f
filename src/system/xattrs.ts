/** Extended attributes. Paths and values are byte strings; a symlink is not followed. */
import { constants } from 'node:os';
import { check, cString, failure, lastErrno, native } from './libc.ts';

/** XATTR_SIZE_MAX and XATTR_LIST_MAX are 64 KiB, so this is always large enough. */
const scratch = Buffer.alloc(65536);

/** Names of the extended attributes of `path` itself (a symlink is not followed). Empty where unsupported. */
export function listXattrs(path: string): string[] {
  const call = native('int64_t llistxattr(const char *path, void *list, size_t size)');
  const length = call(cString(path), scratch, scratch.length);
  if (length < 0) {
    if (lastErrno() === constants.errno.EOPNOTSUPP) return [];
    throw failure('llistxattr', path);
  }
  if (length === 0) return [];
  return scratch.toString('latin1', 0, Number(length) - 1).split('\0');
}

/** Value of one extended attribute as a byte string; undefined when it is not set. */
export function getXattr(path: string, name: string): string | undefined {
  const call = native('int64_t lgetxattr(const char *path, const char *name, void *value, size_t size)');
  const length = call(cString(path), cString(name), scratch, scratch.length);
  if (length < 0) {
    const errno = lastErrno();
    if (errno === constants.errno.ENODATA || errno === constants.errno.EOPNOTSUPP) return undefined;
    throw failure('lgetxattr', path);
  }
  return scratch.toString('latin1', 0, Number(length));
}

/** Sets one extended attribute of `path` itself; `value` is a byte string. */
export function setXattr(path: string, name: string, value: string): void {
  const call = native(
    'int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags)',
  );
  const bytes = Buffer.from(value, 'latin1');
  check(call(cString(path), cString(name), bytes, bytes.length, 0), 'lsetxattr', path);
}

export function removeXattr(path: string, name: string): void {
  const call = native('int lremovexattr(const char *path, const char *name)');
  check(call(cString(path), cString(name)), 'lremovexattr', path);
}
