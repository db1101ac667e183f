/** The one time of a build that SOURCE_DATE_EPOCH fixes: taken as it is given, or from what it names. */
import { archiveTime, contextTime } from '../context/context-time.ts';
import type { Dockerfile } from '../dockerfile/instruction.ts';
import { type GitRef, gitRefOf, isGitContext, parseGitRef } from '../dockerfile/remote-source.ts';
import { located } from '../errors.ts';
import { type EpochAdd, epochSource } from '../plan/epoch.ts';
import { buildStageGraph, type ResolvedEpoch } from '../plan/stage-graph.ts';
import type { RemoteFile, RemoteSources } from '../solver/remote-sources.ts';
import type { Store } from '../store/store.ts';
import { toByteString } from '../system/byte-path.ts';
import { planOptions } from './build-plan.ts';
import type { BuildRequest } from './build-request.ts';
import type { BuildScratch } from './build-scratch.ts';

/** What it may take to find the time. */
export interface EpochWorld {
  readonly remote: RemoteSources;
  readonly store: Store;
  readonly scratch: BuildScratch;
  readonly signal: AbortSignal;
}

/** Finds the time; it is that of the first platform for all. Throws USAGE_EPOCH, DOCKERFILE_* and, fetching, COPY_*. */
export async function resolveEpoch(
  dockerfile: Dockerfile,
  request: BuildRequest,
  world: EpochWorld,
): Promise<ResolvedEpoch> {
  const [platform = request.hostPlatform] = request.targetPlatforms;
  const source = epochSource(buildStageGraph(dockerfile, planOptions(request, platform)));
  switch (source.kind) {
    case 'seconds':
      return source;
    case 'context':
      return { seconds: await timeOfContext(source.name, request, world) };
    case 'add':
      return { seconds: await timeOfAdd(source, world) };
  }
}

async function timeOfContext(
  name: string | undefined,
  { context, namedContexts }: BuildRequest,
  world: EpochWorld,
): Promise<number | undefined> {
  const place = name === undefined ? context : namedContexts.get(name);
  // An image says no time that a build could be of; nor does a directory of the user's.
  if (place === undefined || place.kind === 'image') return undefined;
  if (place.kind !== 'remote') return contextTime(place);
  const { url } = place;
  return isGitContext(url)
    ? timeOfCommit(parseGitRef(url), world)
    : timeOfFile(await world.remote.file(url, undefined), world);
}

async function timeOfAdd(add: EpochAdd, world: EpochWorld): Promise<number | undefined> {
  const { source, checksum, location } = add;
  try {
    return source.kind === 'git'
      ? await timeOfCommit(gitRefOf(source.url, add), world)
      : await timeOfFile(await world.remote.file(source.url, checksum), world);
  } catch (error) {
    throw located(error, location);
  }
}

/** The files come with the commit; what says the time is nearly always built from too. */
async function timeOfCommit(source: GitRef, { remote }: EpochWorld): Promise<number> {
  return (await remote.checkout(source)).time;
}

async function timeOfFile(
  { digest, size, modified }: RemoteFile,
  { store, scratch, signal }: EpochWorld,
): Promise<number | undefined> {
  if (modified !== undefined) return modified;
  const range = { path: toByteString(store.blobs.path(digest)), start: 0, size };
  return archiveTime(range, { draft: (purpose) => scratch.draft(purpose), signal });
}
