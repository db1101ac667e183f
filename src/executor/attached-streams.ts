/** A sandboxed process connected to the caller's own streams, byte for byte: by pipes, or by a terminal. */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { ReadStream } from 'node:tty';
import { makePipe } from '../system/file-calls.ts';
import { openTerminal, setTerminalSize, type TerminalSize } from '../system/terminal-calls.ts';
import type { Attachment } from './sandbox.ts';
import { OutputTail } from './step-output.ts';
import type { StepStreams } from './step-streams.ts';

/**
 * Pipes, and not the caller's descriptors themselves: a runtime gives 0, 1 and 2 to the process's user, and a file that
 * the caller's shell has opened is to keep its owner.
 */
export class AttachedPipes implements StepStreams {
  readonly child: StepStreams['child'];
  readonly terminal = false;
  readonly #owned: number[];
  readonly #sockets: readonly Socket[];
  readonly #ended: Promise<unknown>;
  readonly #tail = new OutputTail();
  readonly #input: InputPipe | undefined;

  constructor({ stdin, stdout, stderr }: Attachment) {
    const [out, err] = [makePipe(), makePipe()];
    const input = stdin === undefined ? undefined : makePipe();
    this.child = [input?.read ?? 'ignore', out.write, err.write];
    this.#owned = [out.write, err.write, ...(input === undefined ? [] : [input.read])];
    const outSocket = new Socket({ fd: out.read, readable: true, writable: false });
    const errSocket = new Socket({ fd: err.read, readable: true, writable: false });
    errSocket.on('data', (chunk: Buffer) => this.#tail.add(chunk));
    this.#sockets = [outSocket, errSocket];
    this.#ended = Promise.all([passOn(outSocket, stdout), passOn(errSocket, stderr)]);
    if (stdin !== undefined && input !== undefined) {
      this.#input = new InputPipe(stdin, new Socket({ fd: input.write, readable: false, writable: true }));
    }
  }

  handedOver(): void {
    this.#owned.splice(0).forEach(closeSync);
  }

  async drained(): Promise<void> {
    this.handedOver();
    this.#input?.close();
    await this.#ended;
  }

  destroy(): void {
    this.handedOver();
    this.#input?.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  lastLine(): string {
    return this.#tail.lastLine();
  }
}

/** A terminal of kiln's own, whose other side the runtime or the process gets. */
export class AttachedTerminal implements StepStreams {
  readonly child: StepStreams['child'];
  readonly terminal = true;
  readonly #master: number;
  readonly #slave: number;
  readonly #stream: ReadStream;
  readonly #ended: Promise<unknown>;
  readonly #input: InputPipe | undefined;
  #open = true;

  constructor({ stdin, stdout }: Attachment, size: TerminalSize) {
    const { master, slave } = openTerminal();
    setTerminalSize(master, size);
    this.#master = master;
    this.#slave = slave;
    this.child = [slave, slave, slave];
    this.#stream = new ReadStream(master);
    this.#ended = passOn(this.#stream, stdout);
    if (stdin !== undefined) this.#input = new InputPipe(stdin, this.#stream);
  }

  resize(size: TerminalSize): void {
    if (!this.#stream.destroyed) setTerminalSize(this.#master, size);
  }

  handedOver(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#slave);
  }

  async drained(): Promise<void> {
    this.handedOver();
    await this.#ended;
    this.destroy();
  }

  destroy(): void {
    this.handedOver();
    this.#input?.close();
    this.#stream.destroy();
  }

  lastLine(): string {
    return '';
  }
}

/** The caller's input on its way to a process that may end or stop reading at any time. */
class InputPipe {
  readonly #from: Readable;
  readonly #to: Writable;

  constructor(from: Readable, to: Writable) {
    this.#from = from;
    this.#to = to;
    to.on('error', () => this.close()); // Nobody reads any more, which is the process's own affair.
    from.on('error', () => to.end());
    from.pipe(to);
  }

  close(): void {
    this.#from.unpipe(this.#to);
    this.#from.destroy();
    this.#to.destroy();
  }
}

/** Resolves when all that came has been written. Who can write no more closes the pipe: the process gets SIGPIPE. */
function passOn(from: Readable, to: Writable): Promise<void> {
  const broken = (): void => {
    from.destroy();
  };
  to.once('error', broken);
  from.pipe(to, { end: false });
  return new Promise((resolve) => {
    const done = (): void => {
      if (to.destroyed || to.errored) resolve();
      else to.write('', () => resolve());
    };
    // A terminal whose other side has closed ends with EIO.
    from.on('error', () => from.destroy());
    from.once('close', done);
  });
}
