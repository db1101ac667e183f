/** The output of a step, by real pipes: a step may open /dev/stdout, which is refused on the sockets Node makes. */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { makePipe } from '../system/libc.ts';
import type { SandboxRequest } from './sandbox.ts';

/** Enough to find what a runtime said last. */
const TAIL = 2_048;

/** Two pipes from a process to `onOutput`. */
export class StepOutput {
  /** Descriptors for the child's stdout and stderr; close them with `handedOver` when it runs. */
  readonly writers: readonly [number, number];
  readonly #ended: Promise<unknown>;
  readonly #sockets: readonly Socket[];
  #open = true;
  #tail = Buffer.alloc(0);

  constructor(onOutput: SandboxRequest['onOutput']) {
    const pipes = [makePipe(), makePipe()] as const;
    this.writers = [pipes[0].write, pipes[1].write];
    this.#sockets = pipes.map(({ read }) => new Socket({ fd: read, readable: true, writable: false }));
    const ends = this.#sockets.map((socket, index) => {
      const stream = index === 0 ? 'stdout' : 'stderr';
      socket.on('data', (chunk: Buffer) => {
        if (stream === 'stderr') this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-TAIL);
        onOutput(stream, chunk);
      });
      socket.on('error', () => {}); // A broken pipe of a killed process; its end is reported by its exit.
      return new Promise<void>((resolve) => {
        socket.once('close', () => resolve());
      });
    });
    this.#ended = Promise.all(ends);
  }

  /** Gives up our copies of the writing ends, so that the pipes end with the processes that hold theirs. */
  handedOver(): void {
    if (!this.#open) return;
    this.#open = false;
    this.writers.forEach(closeSync);
  }

  /** Resolves when everything written has been passed on. */
  async drained(): Promise<void> {
    this.handedOver();
    await this.#ended;
  }

  /** Stops listening whatever is still to come. */
  destroy(): void {
    this.handedOver();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Last line of stderr. */
  lastLine(): string {
    return this.#tail.toString('utf8').trimEnd().split('\n').at(-1) ?? '';
  }
}
