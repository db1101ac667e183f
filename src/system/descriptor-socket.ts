/** A Unix socket on which another process hands over one open file (unix(7), SCM_RIGHTS), which Node cannot receive. */
import { closeSync, constants as fsConstants, openSync } from 'node:fs';
import { constants } from 'node:os';
import { addressOf, check, cString, lastErrno, native } from './libc.ts';

/** Numbers of <sys/socket.h>; the same on x86, ARM, RISC-V and s390. */
const UNIX = 1;
const STREAM = 1;
const NON_BLOCKING = 0o4000;
const CLOSE_ON_EXEC = 0o2000000;
const RIGHTS = 1;
const MESSAGE_CLOSE_ON_EXEC = 0x40000000;

/** sizeof(struct msghdr) and of a struct cmsghdr with one descriptor, 64 bits. */
const MESSAGE_SIZE = 56;
const CONTROL_SIZE = 24;

export class DescriptorSocket {
  /** Where to connect. By a descriptor of its directory: the address of a socket has room for 107 bytes only. */
  readonly path: string;
  readonly #directory: number;
  readonly #listener: number;
  #connection: number | undefined;
  #closed = false;

  /** Listens in a directory of its caller's, who removes the socket with it. */
  constructor(directory: string) {
    this.#directory = openSync(directory, fsConstants.O_RDONLY | fsConstants.O_DIRECTORY);
    this.path = `/proc/${process.pid}/fd/${this.#directory}/terminal`;
    const flags = STREAM | NON_BLOCKING | CLOSE_ON_EXEC;
    this.#listener = check(
      native('int socket(int domain, int type, int protocol)')(UNIX, flags, 0),
      'socket',
    );
    const name = cString(this.path);
    const address = Buffer.concat([Buffer.alloc(2), name]);
    address.writeUInt16LE(UNIX, 0);
    const bind = native('int bind(int fd, const void *address, unsigned int length)');
    check(bind(this.#listener, address, address.length), 'bind', this.path);
    check(native('int listen(int fd, int backlog)')(this.#listener, 1), 'listen', this.path);
  }

  /** The descriptor that came, closed on exec; undefined as long as none has. Does not wait. */
  take(): number | undefined {
    const accept = native('int accept4(int fd, void *address, void *length, int flags)');
    this.#connection ??= accepted(
      accept(this.#listener, null, null, NON_BLOCKING | CLOSE_ON_EXEC),
      'accept4',
    );
    return this.#connection === undefined ? undefined : receive(this.#connection);
  }

  close(): void {
    const open = [this.#connection, this.#listener, this.#directory];
    for (const fd of this.#closed ? [] : open) if (fd !== undefined) closeSync(fd);
    this.#closed = true;
  }
}

/** A result that may also be that there is nothing yet. */
function accepted(result: number, syscall: string): number | undefined {
  return result < 0 && lastErrno() === constants.errno.EAGAIN ? undefined : check(result, syscall);
}

/** recvmsg(2) of whatever bytes, and the descriptor beside them. */
function receive(connection: number): number | undefined {
  const bytes = Buffer.alloc(4096);
  const control = Buffer.alloc(CONTROL_SIZE);
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(addressOf(bytes), 0);
  vector.writeBigUInt64LE(BigInt(bytes.length), 8);
  const message = Buffer.alloc(MESSAGE_SIZE);
  message.writeBigUInt64LE(addressOf(vector), 16);
  message.writeBigUInt64LE(1n, 24);
  message.writeBigUInt64LE(addressOf(control), 32);
  message.writeBigUInt64LE(BigInt(CONTROL_SIZE), 40);
  const call = native('long recvmsg(int fd, void *message, int flags)');
  const received = accepted(call(connection, message, MESSAGE_CLOSE_ON_EXEC), 'recvmsg');
  const hasRights = Number(message.readBigUInt64LE(40)) >= 20 && control.readInt32LE(12) === RIGHTS;
  return received !== undefined && hasRights ? control.readInt32LE(16) : undefined;
}
