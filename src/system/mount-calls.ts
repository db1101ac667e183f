/** mount(2), umount2(2) and their successors. Paths are byte strings. */
import { check, closeDescriptor, cString, native } from './libc.ts';

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
