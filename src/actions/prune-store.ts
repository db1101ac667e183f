/** `kiln prune`, and the trimming at the end of a build: the namespace is entered only when a directory is to go. */
import { statfsSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { enterNamespace } from '../executor/namespace.ts';
import type { NamespaceTask } from '../namespace-main.ts';
import {
  collectGarbage,
  type GarbageOptions,
  type GarbageReport,
  hasTrees,
} from '../store/collect-garbage.ts';
import { Store } from '../store/store.ts';
import { cacheSize } from '../store/store-usage.ts';

export interface PruneEnvironment {
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  /** A second Ctrl-C. */
  readonly killSignal: AbortSignal;
}

/** Removes what nothing needs; see `collectGarbage`. Throws HOST_* when it takes a namespace and there is none. */
export async function pruneStore(
  root: string,
  options: GarbageOptions,
  environment: PruneEnvironment,
): Promise<GarbageReport> {
  const store = Store.open(root);
  // Root reaches every file as it is.
  if (process.geteuid?.() === 0) return collectGarbage(store, options);
  const found = collectGarbage(store, { ...options, dryRun: true });
  if (options.dryRun && found.measured) return found;
  if (!hasTrees(found)) return collectGarbage(store, { ...options, leaveTrees: true });
  return enterNamespace<GarbageReport>({
    payload: { task: 'prune', root, options } satisfies NamespaceTask,
    ...environment,
    env: { ...environment.env },
  });
}

/** How large the build cache may become: bytes, a share of the disk chosen by kiln, or no limit at all. */
export type KeepStorage = number | 'default' | 'unlimited';

/** A trim looks at every file of the cache; at most once in this time. */
const TRIM_INTERVAL_MS = 600_000;

/** What a trim leaves of the limit, so that the next build does not trim again. */
const TRIM_TO = 0.9;

/** What was used within the hour belongs to what somebody works on: it stays, whatever the limit says. */
const TRIM_GRACE_MS = 3_600_000;

const GB = 1e9;

/** A tenth of the disk, but at least 5 GB and at most 50 GB. */
function defaultLimit(root: string): number {
  const { blocks, bsize } = statfsSync(root);
  return Math.min(50 * GB, Math.max(5 * GB, (blocks * bsize) / 10));
}

/**
 * Trims the build cache when it has outgrown its limit; what was used last stays, and so does all that images need.
 * Undefined when nothing had to be done. Never fails a build: a trim that cannot be done is left to the next one.
 */
export async function trimStore(
  root: string,
  { keep, now }: { readonly keep: KeepStorage; readonly now: number },
  environment: PruneEnvironment,
): Promise<GarbageReport | undefined> {
  try {
    if (keep === 'unlimited' || !isDue(root, now)) return undefined;
    const limit = keep === 'default' ? defaultLimit(root) : keep;
    if (cacheSize(Store.open(root)) <= limit) return undefined;
    const keepStorage = Math.floor(limit * TRIM_TO);
    const grace = keep === 'default' ? TRIM_GRACE_MS : 0;
    return await pruneStore(
      root,
      { all: false, containers: false, keepStorage, grace, dryRun: false, now },
      environment,
    );
  } catch {
    return undefined;
  }
}

/** True when nobody has looked for a while; says that somebody does now. */
function isDue(root: string, now: number): boolean {
  const stamp = join(root, 'trimmed');
  const last = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs;
  if (last !== undefined && now - last < TRIM_INTERVAL_MS && last <= now) return false;
  if (last === undefined) writeFileSync(stamp, '');
  utimesSync(stamp, new Date(now), new Date(now));
  return true;
}
