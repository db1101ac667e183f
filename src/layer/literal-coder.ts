/**
 * Codes the units of one blob that have no repeats. From some number on this goes to a thread of its own, since it takes
 * as long as the rest of packing; what comes out is the same.
 */
import { Worker } from 'node:worker_threads';
import { BugError } from '../errors.ts';
import { entryPoint } from '../system/entry-point.ts';
import { codeLiterals, literalRoom } from './literal-blocks.ts';
import type { CodeRequest } from './literal-worker.ts';

/** Units that are coded before a thread is worth its start: about 10 ms of coding. */
const UNITS_FIRST = 6;

interface Waiting {
  readonly resolve: (length: number) => void;
  readonly reject: (error: unknown) => void;
}

export interface Coded {
  readonly bytes: Buffer;
  /** To be called when the bytes are of no more use: their buffer is taken again, as fresh memory costs much. */
  readonly done: () => void;
}

export class LiteralCoder {
  readonly #room: number;
  #units = 0;
  #thread: Worker | undefined;
  #failure: Error | undefined;
  /** Units in the thread, oldest first: it answers in that order. */
  readonly #waiting: Waiting[] = [];
  readonly #free: Buffer[] = [];

  /** For units of at most `unit` bytes. */
  constructor(unit: number) {
    this.#room = literalRoom(unit);
  }

  /** Codes a unit (`codeLiterals`). It must be in shared memory, and not change until that is done. */
  async code(unit: Buffer): Promise<Coded> {
    const buffer = this.#free.pop() ?? Buffer.from(new SharedArrayBuffer(this.#room));
    this.#units += 1;
    if (this.#units > UNITS_FIRST) this.#thread ??= this.#start();
    const length =
      this.#thread === undefined
        ? codeLiterals(unit, buffer)
        : await this.#codeIn(this.#thread, { unit, into: buffer });
    return { bytes: buffer.subarray(0, length), done: () => this.#free.push(buffer) };
  }

  /** Ends the thread. Units that it has not coded are rejected. */
  async end(): Promise<void> {
    await this.#thread?.terminate();
  }

  #codeIn(thread: Worker, request: CodeRequest): Promise<number> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      thread.postMessage(request);
    });
  }

  #start(): Worker {
    const thread = new Worker(entryPoint('literal-worker'));
    const ended = (error: Error): void => {
      this.#failure ??= error;
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    };
    thread.on('message', (length: number) => this.#waiting.shift()?.resolve(length));
    thread.on('error', ended);
    thread.on('exit', () => ended(new BugError('a coding thread ended before its work')));
    return thread;
  }
}
