/**
 * The libc calls that Node does not have, through koffi: extended attributes, mknod, mounts, flock, and what a
 * process needs to become a container's first process. Loaded late (koffi costs 6 to 8 ms). The only file that
 * knows koffi. Paths are byte strings; errors are Node-style errors with `code` and `syscall`.
 */
import { createRequire } from 'node:module';
import { constants } from 'node:os';

type Koffi = typeof import('koffi');

declare const KILN_BUNDLE: boolean | undefined;

let koffi: Koffi | undefined;
let library: ReturnType<Koffi['load']> | undefined;

function load(): { koffi: Koffi; library: ReturnType<Koffi['load']> } {
  if (koffi === undefined || library === undefined) {
    const nodeRequire = typeof KILN_BUNDLE === 'undefined' ? createRequire(import.meta.url) : require;
    koffi = nodeRequire('koffi') as Koffi;
    library = koffi.load(null);
  }
  return { koffi, library };
}

type Native = (...args: unknown[]) => number;

const functions = new Map<string, Native>();

function native(declaration: string): Native {
  let found = functions.get(declaration);
  if (found === undefined) {
    found = load().library.func(declaration) as unknown as Native;
    functions.set(declaration, found);
  }
  return found;
}

const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

function failure(syscall: string, path?: string): NodeJS.ErrnoException {
  const errno = load().koffi.errno();
  const code = ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
  const shown = path === undefined ? '' : ` '${Buffer.from(path, 'latin1').toString('utf8')}'`;
  return Object.assign(new Error(`${code}: ${syscall}${shown}`), { code, errno: -errno, syscall, path });
}

function cString(bytes: string): Buffer {
  return Buffer.from(`${bytes}\0`, 'latin1');
}

function check(result: number, syscall: string, path?: string): number {
  if (result < 0) throw failure(syscall, path);
  return result;
}

/** XATTR_SIZE_MAX and XATTR_LIST_MAX are 64 KiB, so this is always large enough. */
const scratch = Buffer.alloc(65536);

/** Names of the extended attributes of `path` itself (a symlink is not followed). Empty where unsupported. */
export function listXattrs(path: string): string[] {
  const call = native('int64_t llistxattr(const char *path, void *list, size_t size)');
  const length = call(cString(path), scratch, scratch.length);
  if (length < 0) {
    if (load().koffi.errno() === constants.errno.EOPNOTSUPP) return [];
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
    const errno = load().koffi.errno();
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

export const MOUNT = {
  readonly: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  remount: 32,
  bind: 4096,
  recursive: 16384,
  private: 1 << 18,
  slave: 1 << 19,
} as const;

export interface MountCall {
  readonly source: string;
  readonly target: string;
  readonly type?: string;
  readonly flags?: number;
  readonly data?: string;
}

/** mount(2). */
export function mount({ source, target, type, flags = 0, data }: MountCall): void {
  const call = native(
    'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
  );
  const result = call(
    cString(source),
    cString(target),
    type === undefined ? null : cString(type),
    flags,
    data === undefined ? null : cString(data),
  );
  check(result, 'mount', target);
}

/** umount2(2) with MNT_DETACH: the mount leaves the tree at once, the kernel ends it when nothing uses it. */
export function unmountDetach(target: string): void {
  check(native('int umount2(const char *target, int flags)')(cString(target), 2), 'umount2', target);
}

/** umount2(2), waiting for nothing: EBUSY when in use. */
export function unmount(target: string): void {
  check(native('int umount2(const char *target, int flags)')(cString(target), 0), 'umount2', target);
}

/** flock(2) on a descriptor. Without `wait` returns false when somebody else holds the lock. */
export function lockFile(fd: number, kind: 'shared' | 'exclusive', wait: boolean): boolean {
  const operation = (kind === 'shared' ? 1 : 2) | (wait ? 0 : 4);
  for (;;) {
    if (native('int flock(int fd, int operation)')(fd, operation) === 0) return true;
    const errno = load().koffi.errno();
    if (!wait && errno === constants.errno.EWOULDBLOCK) return false;
    if (errno !== constants.errno.EINTR) throw failure('flock');
  }
}

/** syncfs(2): flushes the filesystem that holds `fd`. */
export function syncFilesystem(fd: number): void {
  check(native('int syncfs(int fd)')(fd), 'syncfs');
}

/** unshare(2) of the calling thread. */
export function unshare(flags: number): void {
  check(native('int unshare(int flags)')(flags), 'unshare');
}

export const CLONE_NEWNS = 0x00020000;
export const CLONE_NEWUTS = 0x04000000;
export const CLONE_NEWIPC = 0x08000000;
export const CLONE_NEWNET = 0x40000000;

/** chroot(2). */
export function changeRoot(path: string): void {
  check(native('int chroot(const char *path)')(cString(path)), 'chroot', path);
}

/** prctl(2) with plain numbers. */
export function processControl(option: number, argument: number): void {
  const call = native(
    'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
  );
  check(call(option, argument, 0, 0, 0), 'prctl');
}

/** sethostname(2). */
export function setHostname(name: string): void {
  const bytes = Buffer.from(name, 'latin1');
  check(native('int sethostname(const char *name, size_t length)')(bytes, bytes.length), 'sethostname');
}

/** execve(2): replaces this process. Returns only by throwing. */
export function execute(path: string, argv: readonly string[], env: readonly string[]): never {
  const { koffi: k } = load();
  const vector = (items: readonly string[]): unknown => {
    const pointers = items.map((item) => cString(item));
    return [...pointers.map((buffer) => k.as(buffer, 'const char *')), null];
  };
  const call = native('int execve(const char *path, const char **argv, const char **envp)');
  call(cString(path), vector(argv), vector(env));
  throw failure('execve', path);
}
