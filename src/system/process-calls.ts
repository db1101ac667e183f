/** What a process needs to become a container's first process: limits, filters, signals, root, execve. */
import { addressOf, check, closeDescriptor, cString, failure, native, stringPointer } from './libc.ts';

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
  const [setSeccomp, filterMode, instructionSize] = [22, 2, 8];
  const header = Buffer.alloc(16);
  header.writeUInt16LE(program.length / instructionSize, 0);
  header.writeBigUInt64LE(addressOf(program), 8);
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
  const vector = (items: readonly string[]): unknown => {
    const pointers = items.map((item) => cString(item));
    return [...pointers.map((buffer) => stringPointer(buffer)), null];
  };
  const call = native('int execve(const char *path, const char **argv, const char **envp)');
  call(cString(path), vector(argv), vector(env));
  throw failure('execve', path);
}
