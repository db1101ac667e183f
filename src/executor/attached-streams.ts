/** A sandboxed process connected to the caller's own streams, byte for byte: by pipes, or by a terminal. */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { ReadStream } from 'node:tty';
import { DescriptorSocket } from '../system/descriptor-socket.ts';
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
  readonly #slave: number;
  readonly #side: TerminalSide;
  #open = true;

  constructor(attachment: Attachment, size: TerminalSize) {
    const { master, slave } = openTerminal();
    this.#slave = slave;
    this.child = [slave, slave, slave];
    this.#side = new TerminalSide(master, attachment, size);
  }

  resize(size: TerminalSize): void {
    this.#side.resize(size);
  }

  handedOver(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#slave);
  }

  async drained(): Promise<void> {
    this.handedOver();
    await this.#side.ended;
    this.destroy();
  }

  destroy(): void {
    this.handedOver();
    this.#side.close();
  }

  lastLine(): string {
    return '';
  }
}

/**
 * The terminal that a runtime makes in the container and hands over by its --console-socket. crun needs that: standing
 * between two terminals itself, it ends with the container's first process and drops what it has not passed on by then.
 */
export class HandedTerminal implements StepStreams {
  readonly child: StepStreams['child'] = ['ignore', 'ignore', 'ignore'];
  readonly terminal = true;
  readonly #attachment: Attachment;
  readonly #socket: DescriptorSocket;
  readonly #poll: NodeJS.Timeout;
  #size: TerminalSize;
  #side: TerminalSide | undefined;

  /** `directory`: one of this run alone, for the socket. */
  constructor(attachment: Attachment, size: TerminalSize, directory: string) {
    this.#attachment = attachment;
    this.#size = size;
    this.#socket = new DescriptorSocket(directory);
    this.#poll = setInterval(() => this.#receive(), HAND_OVER_POLL);
  }

  get consoleSocket(): string {
    return this.#socket.path;
  }

  resize(size: TerminalSize): void {
    this.#size = size;
    this.#side?.resize(size);
  }

  handedOver(): void {}

  async drained(): Promise<void> {
    this.#receive(); // It stays in the socket although the container may have ended.
    await this.#side?.ended;
    this.destroy();
  }

  destroy(): void {
    this.#stopWaiting();
    this.#side?.close();
  }

  lastLine(): string {
    return '';
  }

  #receive(): void {
    const master = this.#side === undefined ? this.#socket.take() : undefined;
    if (master === undefined) return;
    this.#side = new TerminalSide(master, this.#attachment, this.#size);
    this.#stopWaiting();
  }

  #stopWaiting(): void {
    clearInterval(this.#poll);
    this.#socket.close();
  }
}

/** How often to look whether a terminal has been handed over. Milliseconds. */
const HAND_OVER_POLL = 5;

/** kiln's side of a terminal, connected to the caller's streams. */
class TerminalSide {
  /** Resolves when everything written has been passed on. */
  readonly ended: Promise<unknown>;
  readonly #master: number;
  readonly #stream: ReadStream;
  readonly #input: InputPipe | undefined;

  constructor(master: number, { stdin, stdout }: Attachment, size: TerminalSize) {
    setTerminalSize(master, size);
    this.#master = master;
    this.#stream = new ReadStream(master);
    this.ended = passOn(this.#stream, stdout);
    if (stdin !== undefined) this.#input = new InputPipe(stdin, this.#stream);
  }

  resize(size: TerminalSize): void {
    if (!this.#stream.destroyed) setTerminalSize(this.#master, size);
  }

  close(): void {
    this.#input?.close();
    this.#stream.destroy();
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
