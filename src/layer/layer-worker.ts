/** The worker thread's side of the layer pool. */
import { parentPort } from 'node:worker_threads';
import { BuildError, messageOf } from '../errors.ts';
import type { JobMessage } from './job-message.ts';
import { LAYER_JOBS } from './layer-jobs.ts';

export type JobReply =
  | { readonly id: number; readonly ok: true; readonly result: unknown }
  | { readonly id: number; readonly ok: false; readonly error: JobError };

/** An error as data: a BuildError keeps its code, anything else its system code and stack. */
export interface JobError {
  readonly message: string;
  readonly code: string | undefined;
  readonly suggestions: readonly string[] | undefined;
  readonly stack: string | undefined;
}

function describe(error: unknown): JobError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  return {
    message: messageOf(error),
    code,
    suggestions: error instanceof BuildError ? error.suggestions : undefined,
    stack: error instanceof Error ? error.stack : undefined,
  };
}

parentPort?.on('message', ({ id, name, request }: JobMessage) => {
  const job = LAYER_JOBS[name] as (request: unknown) => Promise<unknown>;
  const reply = (message: JobReply): void => parentPort?.postMessage(message);
  job(request).then(
    (result) => reply({ id, ok: true, result }),
    (error: unknown) => reply({ id, ok: false, error: describe(error) }),
  );
});
