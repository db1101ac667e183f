/** Writing to a place that other builds may write to at the same time, so that what each of them has stays there. */
import { setTimeout } from 'node:timers/promises';
import { BuildError } from '../errors.ts';
import type { ContentSink, Replacement } from '../store/content-store.ts';
import { monotonicMs } from '../system/monotonic.ts';
import type { CacheStorage } from './cache-storage.ts';
import { resolvePlace } from './read-cache.ts';

/** Puts a manifest over what is thought to be there; false when it is something else by now. A registry cannot do both in
 * one step: the caller looks again. */
export async function replaceManifest(
  { storage, sink }: { readonly storage: CacheStorage; readonly sink: ContentSink },
  manifest: Replacement,
): Promise<boolean> {
  const { reference } = storage;
  if (sink.replaceManifest !== undefined) return sink.replaceManifest(manifest, reference);
  const began = monotonicMs();
  if ((await resolvePlace(storage))?.digest !== manifest.over) return false;
  await sink.pushManifest(manifest.descriptor, manifest.content, reference);
  // Another build may have asked before this one has written, and write after it. Who waits for longer than that takes,
  // and looks again, finds out.
  await setTimeout(GRACE_MS + 4 * (monotonicMs() - began));
  return true;
}

/** What a registry does between a question and a write that follows it at once; milliseconds. */
const GRACE_MS = 50;

/** So often a writer takes in what others have written meanwhile. */
const ROUNDS = 8;

export interface SharedPlace<State> {
  readonly name: string;
  /** What is there by now; `known` is what was there last. */
  readonly read: (known: State | undefined) => Promise<State>;
  /**
   * Writes over `state` and gives what is there then; "same" when there is nothing to write, "changed" when somebody
   * else has written since it was read.
   */
  readonly write: (state: State) => Promise<State | 'same' | 'changed'>;
}

/**
 * Reads, writes, and looks again, until what is there has everything. Gives false when nothing had to be written.
 * Throws what reading and writing throw, and CACHE_EXPORT when others never let it.
 */
export async function writeTogether<State>(place: SharedPlace<State>): Promise<boolean> {
  let known: State | undefined;
  let written = false;
  for (let round = 1; round <= ROUNDS; round++) {
    known = await place.read(known);
    const outcome = await place.write(known);
    if (outcome === 'same') return written;
    if (outcome === 'changed') continue;
    known = outcome;
    written = true;
  }
  if (!written) throw new BuildError('CACHE_EXPORT', `${place.name} keeps changing`);
  return true;
}
