/** What a step reads, as parts of its key: by definition (keys of producers) or by content (digests of bytes). */
import { digestOf, type KeyPart } from '../image/descriptor.ts';
import type { PlannedMount, RunStep, Step, TransferSource, TransferStep } from '../plan/step.ts';
import type { FileList } from '../store/file-lists.ts';
import { needsLookup } from './owner.ts';
import { remoteIdentity } from './remote-files.ts';
import { listMountSource } from './run-mounts.ts';
import type { SolverContext } from './solver-context.ts';
import { chainsOf, settleContent } from './step-layer.ts';
import type { StepRequest } from './step-request.ts';
import { listMatches, matchesOf } from './step-sources.ts';

/** Parts of a key, and the lists of files that digests among them stand for. */
export interface StepInputs {
  readonly parts: readonly KeyPart[];
  readonly lists: readonly FileList[];
}

/** Identities of inputs by how they were made; contexts by their bytes. Asks for keys of producers, not for them. */
export function definitionInputs(context: SolverContext, request: StepRequest): Promise<StepInputs> {
  return inputs(context, request, 'definition');
}

/** Identities of inputs by their bytes alone. Waits for producers. */
export function contentInputs(context: SolverContext, request: StepRequest): Promise<StepInputs> {
  return inputs(context, request, 'content');
}

/** True for COPY --link that asks the image for no name of a user: it makes the same layer whatever it stands on. */
export function standsAlone(step: Step): boolean {
  return step.kind === 'transfer' && step.link && (step.chown === undefined || !needsLookup(step.chown));
}

type Level = 'definition' | 'content';

/** One input: what stands for it in the key. */
type Identity = string | FileList;

async function inputs(context: SolverContext, request: StepRequest, level: Level): Promise<StepInputs> {
  const { step } = request;
  const parts: KeyPart[] = [];
  const lists: FileList[] = [];
  const add = (name: string, identity: Identity): void => {
    if (typeof identity !== 'string') lists.push(identity);
    parts.push([name, typeof identity === 'string' ? identity : JSON.stringify(['files', identity.digest])]);
  };
  if (step.kind === 'transfer') {
    for (const [index, source] of step.sources.entries()) {
      add(`source ${index}`, await sourceIdentity(context, { ...request, step, source, level }));
    }
  }
  if (step.kind === 'run') {
    for (const mount of step.mounts) {
      const identity = await mountIdentity(context, { ...request, step, mount, level });
      if (identity !== undefined) add(`mounted at ${mount.target}`, identity);
    }
  }
  return { parts, lists };
}

async function sourceIdentity(
  context: SolverContext,
  request: StepRequest & { step: TransferStep; source: TransferSource; level: Level },
): Promise<Identity> {
  const { step, source, level, stageOf, keyOf } = request;
  switch (source.kind) {
    case 'inline':
      return JSON.stringify(['inline', source.name, digestOf(source.content)]);
    case 'http':
    case 'git':
      return remoteIdentity(context, { step, source });
    case 'tree': {
      const { from } = source;
      if (level === 'definition' && from !== 'context' && from.kind !== 'context') {
        return JSON.stringify(['from', await keyOf(from), source.pattern]);
      }
      return listMatches(await matchesOf(context, { step, source, stageOf }), context.signal);
    }
  }
}

async function mountIdentity(
  context: SolverContext,
  request: StepRequest & { step: RunStep; mount: PlannedMount; level: Level },
): Promise<Identity | undefined> {
  const { step, mount, level, stageOf, keyOf } = request;
  const { from } = mount;
  if (from === undefined || (mount.mount.type !== 'bind' && mount.mount.type !== 'cache')) return undefined;
  if (from === 'context' || from.kind === 'context')
    return listMountSource(context, { step, mount, stageOf });
  if (level === 'definition') return keyOf(from);
  // A bind mount shows some files of a stage; a cache begins with them, and is another one for every other stage.
  if (from.kind === 'stage' && mount.mount.type === 'bind') {
    return listMountSource(context, { step, mount, stageOf });
  }
  return chainsOf(await settleContent((await stageOf(from)).layers)).at(-1);
}
