/** Remote sources of ADD: downloads and git repositories, fetched once into the session, as file trees. */
import { BuildError } from '../errors.ts';
import type { TransferSource, TransferStep } from '../plan/step.ts';
import type { SourceMatch } from './select-sources.ts';
import type { SolverContext } from './solver-context.ts';

type RemoteSource = Extract<TransferSource, { kind: 'http' | 'git' }>;

interface RemoteRequest {
  readonly step: TransferStep;
  readonly source: RemoteSource;
}

/** What stands for the remote content in the step's key. */
export async function remoteIdentity(context: SolverContext, request: RemoteRequest): Promise<string> {
  const match = await fetchRemote(context, request);
  return match.name;
}

/** Fetches the source. Throws COPY_DOWNLOAD, COPY_CHECKSUM, COPY_GIT. */
export async function fetchRemote(
  _context: SolverContext,
  { step, source }: RemoteRequest,
): Promise<SourceMatch> {
  throw new BuildError('COPY_DOWNLOAD', `${source.url}: remote sources cannot be fetched by this version`, {
    location: step.location,
    suggestions: ['Fetch it in a RUN, or put the file into the build context.'],
  });
}
