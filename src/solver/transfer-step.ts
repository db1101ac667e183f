/** COPY, ADD and WORKDIR: a layer made from files, on top of what the stage is, without mounting anything. */
import { located } from '../errors.ts';
import { emptyTree } from '../layer/empty-tree.ts';
import type { FileTree } from '../layer/file-tree.ts';
import { inputsOf, type TransferSource, type TransferStep, type WorkdirStep } from '../plan/step.ts';
import { toByteString } from '../system/byte-path.ts';
import { openArchive } from './archive-source.ts';
import { parseChmod } from './chmod.ts';
import { DraftLayer } from './draft-layer.ts';
import type { LayerUse } from './layer-use.ts';
import { accountFiles, needsLookup, type Owner, resolveOwner, workdirOwner } from './owner.ts';
import { type Placement, placeArchive, placeFile, placeMatch } from './place-files.ts';
import { fetchRemote } from './remote-files.ts';
import type { SourceMatch } from './select-sources.ts';
import type { SolverContext } from './solver-context.ts';
import type { StageState, StepLayer } from './step-layer.ts';
import type { StepReporter } from './step-reporter.ts';
import type { StepRequest } from './step-request.ts';
import { matchesOf, type StageOf } from './step-sources.ts';

interface Transfer {
  readonly step: TransferStep;
  readonly state: StageState;
  readonly use: LayerUse;
  readonly stageOf: StageOf;
  readonly reporter: StepReporter;
}

/** Runs a COPY or ADD. Throws COPY_* at the instruction's line. */
export async function executeTransfer(context: SolverContext, request: Transfer): Promise<StepLayer> {
  const { step } = request;
  try {
    const draft = await fill(context, request);
    return await pack(context, draft, { use: request.use, from: await readBy(request) });
  } catch (error) {
    throw located(error, step.location);
  }
}

/** Makes the directories of a WORKDIR that are missing. */
export async function executeWorkdir(
  context: SolverContext,
  { step, state, use }: Pick<StepRequest, 'state'> & { readonly step: WorkdirStep; readonly use: LayerUse },
): Promise<StepLayer> {
  try {
    const below = await treeBelow(context, state, { accounts: needsLookup(step.user) });
    const draft = new DraftLayer(below);
    const owner = workdirOwner(step.user, () => below);
    draft.makeDirectory(draft.resolve(toByteString(step.path.slice(1)), { followLast: true }), {
      owner,
      mtime: context.mtime(),
    });
    return await pack(context, draft, { use, from: state.layers });
  } catch (error) {
    throw located(error, step.location);
  }
}

async function fill(context: SolverContext, request: Transfer): Promise<DraftLayer> {
  const { step, state } = request;
  const lookup = step.chown !== undefined && needsLookup(step.chown);
  // --link copies onto nothing: what the stage holds is not looked at, save for names of users.
  const image = step.link && !lookup ? emptyTree : await treeBelow(context, state, { accounts: lookup });
  const draft = new DraftLayer(step.link ? emptyTree : image);
  const owner: Owner | undefined =
    step.chown === undefined ? undefined : resolveOwner(step.chown, () => image);
  const placement: Placement = {
    destination: step.destination,
    owner,
    chmod: step.chmod === undefined ? undefined : parseChmod(step.chmod),
    parents: step.parents,
    mtime: context.mtime(),
  };
  for (const source of step.sources) await placeSource(context, { ...request, source, draft, placement });
  return draft;
}

/** What the stage holds; with `accounts`, what names of users are looked up in can be read. */
async function treeBelow(
  { access }: SolverContext,
  { layers }: StageState,
  { accounts }: { readonly accounts: boolean },
): Promise<FileTree> {
  const tree = await access.tree(layers, { contents: false });
  if (accounts) await access.ensureBytes(layers, accountFiles(tree));
  return tree;
}

interface SourceRequest extends Transfer {
  readonly source: TransferSource;
  readonly draft: DraftLayer;
  readonly placement: Placement;
}

async function placeSource(context: SolverContext, request: SourceRequest): Promise<void> {
  const { source, draft, placement, step, stageOf } = request;
  switch (source.kind) {
    case 'inline': {
      const bytes = Buffer.from(source.content, 'utf8');
      const entry = { path: '', type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: placement.mtime } as const;
      const content = { kind: 'bytes', bytes } as const;
      const file = { entry: { ...entry, size: bytes.length }, content, origin: 'build' } as const;
      placeFile(draft, { name: source.name, ...file }, placement);
      return;
    }
    case 'tree':
      for (const match of await matchesOf(context, { step, source, stageOf })) {
        await placeTreeMatch(context, { ...request, match });
      }
      return;
    case 'http':
    case 'git':
      return placeRemote(context, request, await fetchRemote(context, { ...request, source }));
  }
}

async function placeTreeMatch(
  context: SolverContext,
  { match, draft, placement, step }: SourceRequest & { match: SourceMatch },
): Promise<void> {
  const unpack = step.unpack ?? step.instruction === 'ADD';
  if (unpack && match.entry.type === 'file') {
    const items = await openArchive(context, match.tree.content(match.path));
    if (items !== undefined) {
      placeArchive(draft, items, placement);
      return;
    }
  }
  placeMatch(draft, match, placement);
}

async function placeRemote(
  context: SolverContext,
  { draft, placement, step }: SourceRequest,
  match: SourceMatch,
): Promise<void> {
  if (match.entry.type === 'file' && step.unpack === true) {
    const items = await openArchive(context, match.tree.content(match.path));
    if (items !== undefined) return placeArchive(draft, items, placement);
  }
  placeMatch(draft, match, placement);
}

/** Layers whose files, or directories, may be in the step's own. */
async function readBy({ step, state, stageOf }: Transfer): Promise<readonly StepLayer[]> {
  const sources = await Promise.all(
    inputsOf(step).map(async (input) => (input.kind === 'context' ? [] : (await stageOf(input)).layers)),
  );
  return [...(step.link ? [] : state.layers), ...sources.flat()];
}

async function pack(
  context: SolverContext,
  draft: DraftLayer,
  how: { readonly use: LayerUse; readonly from: readonly StepLayer[] },
): Promise<StepLayer> {
  const settled = context.access.packing.packTree({
    items: draft.takeItems(),
    created: context.now(),
    ...how,
  });
  // COPY is done when its layer is: a failure to read a source belongs to this step.
  await settled;
  return { settled };
}
