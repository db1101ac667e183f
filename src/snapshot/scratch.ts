/** What all snapshot drivers do with the directory they are given. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BuildError, systemErrorCode } from '../errors.ts';
import { toByteString } from '../system/byte-path.ts';
import { unmount, unmountDetach } from '../system/mount-calls.ts';

/** Where a driver keeps its parts inside the directory of one snapshot. */
export interface SnapshotLayout {
  /** The upper directory; the only one that stays. */
  readonly upper: string;
  readonly work: string;
  readonly merged: string;
  /** Stands in for the lower directories when there are none. */
  readonly empty: string;
}

export function makeLayout(directory: string): SnapshotLayout {
  const layout = {
    upper: join(directory, 'fs'),
    work: join(directory, 'work'),
    merged: join(directory, 'merged'),
    empty: join(directory, 'empty'),
  };
  for (const path of Object.values(layout)) mkdirSync(path, { mode: 0o755 });
  return layout;
}

export function removeScratch({ work, merged, empty }: SnapshotLayout): void {
  for (const path of [work, merged, empty]) rmSync(path, { recursive: true, force: true });
}

/** A process that was just killed may hold the mount for a moment; after this long something is wrong. */
const UNMOUNT_PATIENCE = 5_000;

/** Ends a mount for good: nobody writes through it any more when this resolves. */
export async function unmountFully(target: string): Promise<void> {
  const deadline = Date.now() + UNMOUNT_PATIENCE;
  for (let pause = 1; ; pause = Math.min(pause * 2, 100)) {
    try {
      unmount(toByteString(target));
      return;
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === 'EINVAL' || code === 'ENOENT') return;
      if (code !== 'EBUSY' || Date.now() > deadline) {
        throw new BuildError('HOST_MOUNT_BUSY', `The root filesystem ${target} cannot be unmounted.`, {
          cause: error,
          suggestions: ['A process still uses it: fuser -vm shows which.'],
        });
      }
    }
    await delay(pause);
  }
}

/** Takes a mount out of the tree whatever uses it; for clean-up, so it never throws. */
export function unmountQuietly(target: string): void {
  try {
    unmountDetach(toByteString(target));
  } catch {
    // Not mounted, or gone already.
  }
}
