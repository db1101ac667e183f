/**
 * The C library through koffi: how a function is found, called, and how its failure becomes an error. What kiln calls is
 * declared in the files beside this one, by what it is about. Loaded late (koffi costs 6 to 8 ms). The only file that
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

/** A function of the C library, by its declaration; declared once. */
export function native(declaration: string): Native {
  let found = functions.get(declaration);
  if (found === undefined) {
    found = load().library.func(declaration) as unknown as Native;
    functions.set(declaration, found);
  }
  return found;
}

const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** The error of the call that has just failed. */
export function failure(syscall: string, path?: string): NodeJS.ErrnoException {
  const errno = load().koffi.errno();
  const code = ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
  const shown = path === undefined ? '' : ` '${Buffer.from(path, 'latin1').toString('utf8')}'`;
  return Object.assign(new Error(`${code}: ${syscall}${shown}`), { code, errno: -errno, syscall, path });
}

/** A byte string as the C library takes it. */
export function cString(bytes: string): Buffer {
  return Buffer.from(`${bytes}\0`, 'latin1');
}

/** The result of a call; throws its error when it is negative. */
export function check(result: number, syscall: string, path?: string): number {
  if (result < 0) throw failure(syscall, path);
  return result;
}

/** errno of the call that has just failed. */
export function lastErrno(): number {
  return load().koffi.errno();
}

/** Where a buffer is in memory; valid while it is referred to. */
export function addressOf(buffer: Buffer): bigint {
  return BigInt(load().koffi.address(buffer));
}

/** A buffer as an element of an array of strings. */
export function stringPointer(buffer: Buffer): unknown {
  return load().koffi.as(buffer, 'const char *');
}

/** close(2), for descriptors that Node does not know. */
export function closeDescriptor(fd: number): void {
  native('int close(int fd)')(fd);
}
