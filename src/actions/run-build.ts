/** A build from outside: as far as it goes without a namespace, then, if a step must run, once more inside one. */

import { BugError } from '../errors.ts';
import { enterNamespace } from '../executor/namespace.ts';
import type { NamespaceMessage, NamespaceTask } from '../namespace-main.ts';
import type { Emit } from '../progress/event.ts';
import { AttemptEvents } from './attempt-events.ts';
import { type BuildOutcome, buildImage } from './build-image.ts';
import type { BuildRequest, BuildResult } from './build-request.ts';
import type { BuildScratch } from './build-scratch.ts';
import { openRegistry } from './open-registry.ts';

export interface RunBuildOptions {
  readonly emit: Emit;
  readonly signal: AbortSignal;
  /** A second Ctrl-C. */
  readonly killSignal: AbortSignal;
  readonly clock: () => number;
  readonly stdout: NodeJS.WritableStream;
  /** Outlives the build; what is fetched for it is there. */
  readonly scratch: BuildScratch;
}

/** Builds. Throws BuildError for what the user can act on, and the signal's reason when aborted. */
export async function runBuild(request: BuildRequest, options: RunBuildOptions): Promise<BuildResult> {
  const { signal, killSignal, clock, stdout, scratch } = options;
  const events = new AttemptEvents(options.emit);
  const { registry, ...connect } = openRegistry(request.env);
  let outcome: BuildOutcome;
  try {
    outcome = await buildImage(request, {
      emit: events.add,
      signal,
      clock,
      ...connect,
      download: (url, ask) => registry.download(url, ask),
      scratch,
      stdout,
    });
  } catch (error) {
    events.tell();
    throw error;
  } finally {
    events.end();
    await registry.close();
  }
  if (outcome.kind === 'built') {
    events.tell();
    return outcome.result;
  }
  const again = events.again();
  const inside = await enterNamespace<BuildOutcome>({
    payload: {
      task: 'build',
      request: {
        ...request,
        known: outcome.known,
        fetched: outcome.fetched,
        caches: outcome.caches,
        madeOnEmpty: outcome.onEmpty ? new Set(events.made().keys()) : undefined,
      },
    } satisfies NamespaceTask,
    env: { ...request.env },
    signal,
    killSignal,
    onMessage: (message) => again.add((message as NamespaceMessage).event),
  });
  if (inside.kind !== 'built') throw new BugError('the build asked for a namespace inside one');
  return { ...inside.result, cached: inside.result.cached - again.taken };
}
