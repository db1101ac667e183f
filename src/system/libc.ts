/**
 * The libc calls that Node does not have, through koffi: extended attributes, mknod, mounts, flock, and what a
 * process needs to become a container's first process. Loaded late (koffi costs 6 to 8 ms). The only file that
 * knows koffi. Paths are byte strings; errors are Node-style errors with `code` and `syscall`.
 */
import { closeSync, constants as fsConstants, openSync } from 'node:fs';
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

/** Syscall numbers that are the same on every architecture; glibc before 2.36 and musl have no function for them. */
const SYS = { moveMount: 429, fsopen: 430, fsconfig: 431, fsmount: 432 } as const;
const FSCONFIG = { flag: 0, string: 1, create: 6 } as const;

/** A mount made option by option, without the 4096 bytes that mount(2) has for all of them together. */
export interface LongMount {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  /** Name and value; a name alone is a flag. */
  readonly options: readonly (readonly [name: string, value?: string])[];
}

/** fsopen, fsconfig, fsmount, move_mount. EINVAL where this kernel does not know an option, ENOSYS where it is too old. */
export function mountLong({ source, target, type, options }: LongMount): void {
  const open = native('long syscall(long number, const char *type, unsigned int flags)');
  const configure = native(
    'long syscall(long number, int fd, unsigned int command, const char *key, const char *value, int aux)',
  );
  const make = native('long syscall(long number, int fd, unsigned int flags, unsigned int attributes)');
  const move = native(
    'long syscall(long number, int from, const char *fromPath, int to, const char *toPath, unsigned int flags)',
  );
  const closeOnExec = 1;
  const context = check(Number(open(SYS.fsopen, cString(type), closeOnExec)), 'fsopen');
  let tree = -1;
  try {
    for (const [name, value] of [['source', source] as const, ...options]) {
      const command = value === undefined ? FSCONFIG.flag : FSCONFIG.string;
      const text = value === undefined ? null : cString(value);
      const result = configure(SYS.fsconfig, context, command, cString(name), text, 0);
      check(Number(result), `fsconfig ${name}`, value);
    }
    check(Number(configure(SYS.fsconfig, context, FSCONFIG.create, null, null, 0)), 'fsconfig create');
    tree = check(Number(make(SYS.fsmount, context, closeOnExec, 0)), 'fsmount');
    const currentDirectory = -100;
    const emptyPath = 4;
    const moved = move(SYS.moveMount, tree, cString(''), currentDirectory, cString(target), emptyPath);
    check(Number(moved), 'move_mount', target);
  } finally {
    closeDescriptor(context);
    if (tree >= 0) closeDescriptor(tree);
  }
}

function closeDescriptor(fd: number): void {
  native('int close(int fd)')(fd);
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

/** pipe2(2), both ends closed on exec. Node's own pipes are sockets, which nobody can open as /dev/stdout. */
export function makePipe(): { readonly read: number; readonly write: number } {
  const ends = Buffer.alloc(8);
  const closeOnExec = 0o2000000;
  check(native('int pipe2(void *ends, int flags)')(ends, closeOnExec), 'pipe2');
  return { read: ends.readInt32LE(0), write: ends.readInt32LE(4) };
}

/** Columns and rows of a terminal. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** ioctl numbers of terminals; the same on x86, ARM, RISC-V and s390. */
const TTY = { setControlling: 0x540e, setSize: 0x5414, unlock: 0x40045431, openPeer: 0x5441 } as const;

/** A pseudo-terminal: kiln's side of it, and the side for a child. Both are closed on exec. */
export function openTerminal(): { readonly master: number; readonly slave: number } {
  const closeOnExec = 0o2000000;
  const master = openSync('/dev/ptmx', fsConstants.O_RDWR | fsConstants.O_NOCTTY);
  try {
    const unlock = native('int ioctl(int fd, unsigned long command, void *argument)');
    check(unlock(master, TTY.unlock, Buffer.alloc(4)), 'ioctl TIOCSPTLCK');
    const flags = fsConstants.O_RDWR | fsConstants.O_NOCTTY | closeOnExec;
    const openPeer = native('int ioctl(int fd, unsigned long command, int argument)');
    return { master, slave: check(openPeer(master, TTY.openPeer, flags), 'ioctl TIOCGPTPEER') };
  } catch (error) {
    closeSync(master);
    throw error;
  }
}

/** Tells a terminal its size; who runs on it gets SIGWINCH. */
export function setTerminalSize(fd: number, { columns, rows }: TerminalSize): void {
  const size = Buffer.alloc(8);
  size.writeUInt16LE(rows, 0);
  size.writeUInt16LE(columns, 2);
  check(
    native('int ioctl(int fd, unsigned long command, void *argument)')(fd, TTY.setSize, size),
    'TIOCSWINSZ',
  );
}

/** cfmakeraw(3): bytes pass a terminal as they are, both ways. Returns what puts it back as it was. */
export function makeTerminalRaw(fd: number): () => void {
  const before = Buffer.alloc(256);
  check(native('int tcgetattr(int fd, void *settings)')(fd, before), 'tcgetattr');
  const settings = Buffer.from(before);
  native('void cfmakeraw(void *settings)')(settings);
  const set = native('int tcsetattr(int fd, int when, void *settings)');
  check(set(fd, 0, settings), 'tcsetattr');
  return () => {
    set(fd, 0, before);
  };
}

/** setsid(2), and the terminal `fd` as the one that this process and its children are controlled by. */
export function takeTerminal(fd: number): void {
  native('int setsid()')(); // Fails for who leads a session already, which is as good.
  check(
    native('int ioctl(int fd, unsigned long command, int argument)')(fd, TTY.setControlling, 0),
    'TIOCSCTTY',
  );
}

/** signal(2) back to the default: what Node ignores would stay ignored in the program that `execute` starts. */
export function defaultSignal(number: number): void {
  native('void *signal(int number, void *handler)')(number, null);
}

/** Switches the loopback interface of this network namespace on. */
export function bringLoopbackUp(): void {
  const [internet, datagram, setFlags, up] = [2, 2, 0x8914, 1];
  const fd = check(native('int socket(int domain, int type, int protocol)')(internet, datagram, 0), 'socket');
  const request = Buffer.alloc(40);
  request.write('lo');
  request.writeInt16LE(up, 16);
  try {
    const call = native('int ioctl(int fd, unsigned long command, void *argument)');
    check(call(fd, setFlags, request), 'ioctl SIOCSIFFLAGS');
  } finally {
    closeDescriptor(fd);
  }
}

/** Lets a descriptor live on in the program that `execute` starts. */
export function keepOnExecute(fd: number): void {
  const setFlags = 2;
  check(native('int fcntl(int fd, int command, int argument)')(fd, setFlags, 0), 'fcntl');
}

/** RLIMIT_… numbers by name, as in `--ulimit`; the same on x86, ARM, RISC-V and s390. */
const RESOURCE_LIMITS: Readonly<Record<string, number>> = {
  cpu: 0,
  fsize: 1,
  data: 2,
  stack: 3,
  core: 4,
  rss: 5,
  nproc: 6,
  nofile: 7,
  memlock: 8,
  as: 9,
  locks: 10,
  sigpending: 11,
  msgqueue: 12,
  nice: 13,
  rtprio: 14,
  rttime: 15,
};

/** setrlimit(2); -1 means no limit. */
export function setResourceLimit(name: string, soft: number, hard: number): void {
  const limits = Buffer.alloc(16);
  limits.writeBigUInt64LE(BigInt.asUintN(64, BigInt(soft)), 0);
  limits.writeBigUInt64LE(BigInt.asUintN(64, BigInt(hard)), 8);
  const resource = RESOURCE_LIMITS[name] ?? -1;
  check(native('int setrlimit(int resource, const void *limits)')(resource, limits), 'setrlimit', name);
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

/** Installs a seccomp filter, a `struct sock_filter[]`, for this thread and all it starts. Needs CAP_SYS_ADMIN. */
export function installFilter(program: Buffer): void {
  const { koffi: k } = load();
  const [setSeccomp, filterMode, instructionSize] = [22, 2, 8];
  const header = Buffer.alloc(16);
  header.writeUInt16LE(program.length / instructionSize, 0);
  header.writeBigUInt64LE(BigInt(k.address(program)), 8);
  const call = native('int prctl(int option, unsigned long mode, const void *program)');
  check(call(setSeccomp, filterMode, header), 'prctl PR_SET_SECCOMP');
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
