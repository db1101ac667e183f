/** Which streams a sandboxed process gets. */
import { AttachedPipes, AttachedTerminal } from './attached-streams.ts';
import type { SandboxRequest } from './sandbox.ts';
import { StepOutput } from './step-output.ts';
import type { StepStreams } from './step-streams.ts';

/** Opens the streams a request asks for. */
export function openStreams({ output }: Pick<SandboxRequest, 'output'>): StepStreams {
  if (typeof output === 'function') return new StepOutput(output);
  return output.terminal === undefined
    ? new AttachedPipes(output)
    : new AttachedTerminal(output, output.terminal);
}
