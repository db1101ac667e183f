/** What a step reads, as parts of its key: by definition (keys of producers) or by content (digests of bytes). */
import { digestOf, type KeyPart } from '../image/descriptor.ts';
import type { PlannedMount, RunStep, TransferSource, TransferStep } from '../plan/step.ts';
import { remoteIdentity } from './remote-files.ts';
import { digestMountSource } from './run-mounts.ts';
import type { SolverContext } from './solver-context.ts';
import { chainsOf, settle } from './step-layer.ts';
import type { StepRequest } from './step-request.ts';
import { digestMatches, matchesOf } from './step-sources.ts';

/** Identities of inputs by how they were made; contexts by their bytes. */
export function definitionInputs(context: SolverContext, request: StepRequest): Promise<KeyPart[]> {
  return inputs(context, request, 'definition');
}

/** Identities of inputs by their bytes alone. Waits for producers. */
export function contentInputs(context: SolverContext, request: StepRequest): Promise<KeyPart[]> {
  return inputs(context, request, 'content');
}

type Level = 'definition' | 'content';

async function inputs(context: SolverContext, request: StepRequest, level: Level): Promise<KeyPart[]> {
  const { step } = request;
  if (step.kind === 'transfer') {
    const parts: KeyPart[] = [];
    for (const [index, source] of step.sources.entries()) {
      parts.push([`source ${index}`, await sourceIdentity(context, { ...request, step, source, level })]);
    }
    return parts;
  }
  if (step.kind !== 'run') return [];
  const parts: KeyPart[] = [];
  for (const mount of step.mounts) {
    const identity = await mountIdentity(context, { ...request, step, mount, level });
    if (identity !== undefined) parts.push([`mounted at ${mount.target}`, identity]);
  }
  return parts;
}

async function sourceIdentity(
  context: SolverContext,
  request: StepRequest & { step: TransferStep; source: TransferSource; level: Level },
): Promise<string> {
  const { step, source, level, stageOf } = request;
  switch (source.kind) {
    case 'inline':
      return JSON.stringify(['inline', source.name, digestOf(source.content)]);
    case 'http':
    case 'git':
      return remoteIdentity(context, { step, source });
    case 'tree': {
      const { from } = source;
      if (level === 'definition' && from !== 'context' && from.kind !== 'context') {
        return JSON.stringify(['from', (await stageOf(from)).key, source.pattern]);
      }
      return JSON.stringify(['files', digestMatches(await matchesOf(context, { step, source, stageOf }))]);
    }
  }
}

async function mountIdentity(
  context: SolverContext,
  { step, mount, level, stageOf }: StepRequest & { step: RunStep; mount: PlannedMount; level: Level },
): Promise<string | undefined> {
  const { from } = mount;
  if (from === undefined || (mount.mount.type !== 'bind' && mount.mount.type !== 'cache')) return undefined;
  if (from === 'context' || from.kind === 'context')
    return digestMountSource(context, { step, mount, stageOf });
  const state = await stageOf(from);
  return level === 'definition' ? state.key : chainsOf(await settle(state.layers)).at(-1);
}
