/** Which streams a sandboxed process gets. */
import { AttachedPipes, AttachedTerminal, HandedTerminal } from './attached-streams.ts';
import type { SandboxRequest } from './sandbox.ts';
import { StepOutput } from './step-output.ts';
import type { StepStreams } from './step-streams.ts';

/** Opens the streams a request asks for. `handOver`: a directory for its socket, if the terminal is the runtime's to make. */
export function openStreams({ output }: Pick<SandboxRequest, 'output'>, handOver?: string): StepStreams {
  if (typeof output === 'function') return new StepOutput(output);
  const { terminal } = output;
  if (terminal === undefined) return new AttachedPipes(output);
  return handOver === undefined
    ? new AttachedTerminal(output, terminal)
    : new HandedTerminal(output, terminal, handOver);
}
