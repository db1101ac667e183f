/** The thread of a `LiteralCoder`: codes what it is sent, in that order. */
import { parentPort } from 'node:worker_threads';
import { codeLiterals } from './literal-blocks.ts';

/** Both in shared memory; `into` has `literalRoom`. Answered by the number of bytes written. */
export interface CodeRequest {
  readonly unit: Uint8Array;
  readonly into: Uint8Array;
}

parentPort?.on('message', ({ unit, into }: CodeRequest) => {
  parentPort?.postMessage(codeLiterals(unit, into));
});
