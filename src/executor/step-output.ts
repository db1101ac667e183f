/** The output of a step, by real pipes: a step may open /dev/stdout, which is refused on the sockets Node makes. */
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { makePipe } from '../system/file-calls.ts';
import type { OutputListener } from './sandbox.ts';
import type { StepStreams } from './step-streams.ts';

/** Enough to find what a runtime said last. */
const TAIL = 2_048;

/** The end of what a process writes to stderr, where a runtime may have put its last words. */
export class OutputTail {
  #bytes = Buffer.alloc(0);

  add(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]).subarray(-TAIL);
  }

  lastLine(): string {
    return this.#bytes.toString('utf8').trimEnd().split('\n').at(-1) ?? '';
  }
}

/** Two pipes from a process to a listener. */
export class StepOutput implements StepStreams {
  readonly child: StepStreams['child'];
  readonly terminal = false;
  readonly #writers: readonly [number, number];
  readonly #ended: Promise<unknown>;
  readonly #sockets: readonly Socket[];
  #open = true;
  readonly #tail = new OutputTail();

  constructor(onOutput: OutputListener) {
    const pipes = [makePipe(), makePipe()] as const;
    this.#writers = [pipes[0].write, pipes[1].write];
    this.child = ['ignore', ...this.#writers];
    this.#sockets = pipes.map(({ read }) => new Socket({ fd: read, readable: true, writable: false }));
    const ends = this.#sockets.map((socket, index) => {
      const stream = index === 0 ? 'stdout' : 'stderr';
      socket.on('data', (chunk: Buffer) => {
        if (stream === 'stderr') this.#tail.add(chunk);
        onOutput(stream, chunk);
      });
      socket.on('error', () => {}); // A broken pipe of a killed process; its end is reported by its exit.
      return new Promise<void>((resolve) => {
        socket.once('close', () => resolve());
      });
    });
    this.#ended = Promise.all(ends);
  }

  handedOver(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#writers.forEach(closeSync);
  }

  async drained(): Promise<void> {
    this.handedOver();
    await this.#ended;
  }

  destroy(): void {
    this.handedOver();
    for (const socket of this.#sockets) socket.destroy();
  }

  lastLine(): string {
    return this.#tail.lastLine();
  }
}
