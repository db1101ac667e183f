/** Terminals and pseudo-terminals, which Node does not have. */
import { closeSync, constants as fsConstants, openSync } from 'node:fs';
import { check, native } from './libc.ts';

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
