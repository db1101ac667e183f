/** A build from outside: as far as it goes without a namespace, then, if a step must run, once more inside one. */

import { BugError } from '../errors.ts';
import { enterNamespace } from '../executor/namespace.ts';
import type { NamespaceMessage, NamespaceTask } from '../namespace-main.ts';
import type { Emit, UntimedEvent } from '../progress/event.ts';
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
  // What an attempt outside has said is said again inside, so it is held back until the attempt stands.
  const held: UntimedEvent[] = [];
  const { registry, ...connect } = openRegistry(request.env);
  let outcome: BuildOutcome;
  try {
    outcome = await buildImage(request, {
      emit: (event) => held.push(event),
      signal,
      clock,
      ...connect,
      download: (url, ask) => registry.download(url, ask),
      scratch,
      stdout,
    });
  } catch (error) {
    for (const event of held) options.emit(event);
    throw error;
  } finally {
    await registry.close();
  }
  if (outcome.kind === 'built') {
    for (const event of held) options.emit(event);
    return outcome.result;
  }
  // Inside, what was just made outside comes from the cache; the reader is told what it is: made by this build.
  const made = executed(held);
  let taken = 0;
  const explained = new Map(
    held.flatMap((event) => (event.type === 'step-explained' ? [[event.step.id, event] as const] : [])),
  );
  const restored = (event: UntimedEvent): UntimedEvent => {
    if (event.type === 'step-explained' && made.has(event.step.id))
      return explained.get(event.step.id) ?? event;
    const duration = event.type === 'step-finished' ? made.get(event.step.id) : undefined;
    if (event.type !== 'step-finished' || duration === undefined) return event;
    if (event.outcome === 'cached') taken += 1;
    return { ...event, outcome: 'done', duration };
  };
  const inside = await enterNamespace<BuildOutcome>({
    payload: {
      task: 'build',
      request: {
        ...request,
        known: outcome.known,
        fetched: outcome.fetched,
        caches: outcome.caches,
        madeOnEmpty: outcome.onEmpty ? new Set(made.keys()) : undefined,
      },
    } satisfies NamespaceTask,
    env: { ...request.env },
    signal,
    killSignal,
    onMessage: (message) => options.emit(restored((message as NamespaceMessage).event)),
  });
  if (inside.kind !== 'built') throw new BugError('the build asked for a namespace inside one');
  return { ...inside.result, cached: inside.result.cached - taken };
}

/** Steps that really ran, by id, with their durations. */
function executed(events: readonly UntimedEvent[]): ReadonlyMap<string, number> {
  const started = new Set<string>();
  const made = new Map<string, number>();
  for (const event of events) {
    if (event.type === 'step-started') started.add(event.step.id);
    if (event.type === 'step-finished' && started.has(event.step.id)) made.set(event.step.id, event.duration);
  }
  return made;
}
