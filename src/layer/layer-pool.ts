/**
 * Worker threads that pack and unpack layers beside the build. Started at the first job that is worth one; smaller ones
 * are done at once.
 */
import { Worker } from 'node:worker_threads';
import { BugError, BuildError, type ErrorCode } from '../errors.ts';
import { entryPoint } from '../system/entry-point.ts';
import { jobMessage } from './job-message.ts';
import type { LayerJobName, LayerJobRequest, LayerJobResult } from './layer-jobs.ts';
import type { JobError, JobReply } from './layer-worker.ts';
import { isSmall } from './small-job.ts';

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly jobs: Map<number, Waiting>;
}

export class LayerPool {
  readonly #limit: number;
  readonly #threads: Thread[] = [];
  /** Small jobs under way. */
  readonly #here = new Set<Promise<unknown>>();
  #next = 0;
  #closed = false;

  /** At most `threads` workers. */
  constructor({ threads }: { readonly threads: number }) {
    this.#limit = Math.max(1, threads);
  }

  /**
   * Does a job, a larger one in the least busy thread. Jobs of one thread interleave only where they wait for
   * compression. An aborted job is let run out unless the pool is closed; its result is dropped.
   */
  run<N extends LayerJobName>(
    name: N,
    request: LayerJobRequest<N>,
    signal: AbortSignal,
  ): Promise<LayerJobResult<N>> {
    if (this.#closed) return Promise.reject(new BugError('the layer pool is closed'));
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#threads.length === 0 && isSmall(name, request)) return this.#doHere(name, request);
    return this.#send<N>(this.#pick(), jobMessage(this.#next++, name, request), signal);
  }

  /** Knows the message alone, so that what it was made of can be let go. */
  #send<N extends LayerJobName>(
    thread: Thread,
    { message, transfer }: ReturnType<typeof jobMessage>,
    signal: AbortSignal,
  ): Promise<LayerJobResult<N>> {
    return new Promise<LayerJobResult<N>>((resolve, reject) => {
      const aborted = (): void => reject(signal.reason);
      signal.addEventListener('abort', aborted, { once: true });
      thread.jobs.set(message.id, {
        resolve: (result) => {
          signal.removeEventListener('abort', aborted);
          resolve(result as LayerJobResult<N>);
        },
        reject: (error) => {
          signal.removeEventListener('abort', aborted);
          reject(error);
        },
      });
      thread.worker.postMessage(message, transfer);
    });
  }

  /** Ends all threads at once; jobs under way there are rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#here);
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
    for (const { jobs } of this.#threads) {
      for (const { reject } of jobs.values()) reject(new BugError('the layer pool was closed'));
    }
  }

  async #doHere<N extends LayerJobName>(name: N, request: LayerJobRequest<N>): Promise<LayerJobResult<N>> {
    // Loaded here: a cached build packs nothing.
    const { LAYER_JOBS } = await import('./layer-jobs.ts');
    const job = LAYER_JOBS[name] as (request: LayerJobRequest<N>) => Promise<LayerJobResult<N>>;
    const done = job(request);
    this.#here.add(done);
    try {
      return await done;
    } finally {
      this.#here.delete(done);
    }
  }

  #pick(): Thread {
    const idle = this.#threads.find(({ jobs }) => jobs.size === 0);
    if (idle !== undefined) return idle;
    if (this.#threads.length < this.#limit) return this.#start();
    return this.#threads.reduce((best, thread) => (thread.jobs.size < best.jobs.size ? thread : best));
  }

  #start(): Thread {
    const worker = new Worker(entryPoint('layer-worker'));
    const thread: Thread = { worker, jobs: new Map() };
    worker.on('message', (reply: JobReply) => {
      const waiting = thread.jobs.get(reply.id);
      thread.jobs.delete(reply.id);
      if (reply.ok) waiting?.resolve(reply.result);
      else waiting?.reject(revive(reply.error));
    });
    const ended = (error: Error): void => {
      const at = this.#threads.indexOf(thread);
      if (at >= 0 && !this.#closed) this.#threads.splice(at, 1);
      for (const { reject } of thread.jobs.values()) reject(error);
      thread.jobs.clear();
    };
    worker.on('error', ended);
    worker.on('exit', () => ended(new BugError('a layer thread ended before its work')));
    this.#threads.push(thread);
    return thread;
  }
}

function revive({ message, code, suggestions, stack }: JobError): Error {
  const error =
    suggestions === undefined
      ? Object.assign(new Error(message), code === undefined ? {} : { code })
      : new BuildError(code as ErrorCode, message, { suggestions });
  if (stack !== undefined) error.stack = stack;
  return error;
}
