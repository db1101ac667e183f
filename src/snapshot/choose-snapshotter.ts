/** Chooses a snapshot driver by a trial mount in the very directory it is to work in (DESIGN D4). */
import { chownSync, lstatSync, mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, messageOf } from '../errors.ts';
import { findExecutable } from '../system/process.ts';
import { CopySnapshotter } from './copy.ts';
import { FuseOverlaySnapshotter } from './fuse-overlayfs.ts';
import { OverlaySnapshotter } from './overlay.ts';
import type { Snapshotter, SnapshotterName } from './snapshotter.ts';

export interface SnapshotterChoice {
  readonly snapshotter: Snapshotter;
  /** Why this one, and what was wrong with the ones before: one sentence for -v and doctor. */
  readonly reason: string;
}

export interface SnapshotterQuestion {
  /** A directory of this build on the store's filesystem; the caller removes it at the end. */
  readonly directory: string;
  /** `--snapshotter`. */
  readonly wanted: 'auto' | SnapshotterName;
  /** False where nothing may be mounted (namespace mode "none"). */
  readonly mountable: boolean;
  /** PATH. */
  readonly searchPath: string | undefined;
}

/** The first driver of the ladder that works, or the forced one; a forced one that does not work is an error. */
export async function chooseSnapshotter(question: SnapshotterQuestion): Promise<SnapshotterChoice> {
  if (question.wanted !== 'auto') {
    const snapshotter = makeSnapshotter(question.wanted, question);
    const refusal = await trial(snapshotter, question.directory);
    if (refusal !== undefined) throw refused(question.wanted, refusal);
    return { snapshotter, reason: `--snapshotter ${question.wanted}` };
  }
  const refusals: string[] = [];
  for (const name of question.mountable ? (['overlay', 'fuse-overlayfs'] as const) : []) {
    try {
      const snapshotter = makeSnapshotter(name, question);
      const refusal = await trial(snapshotter, question.directory);
      if (refusal === undefined) {
        return { snapshotter, reason: [...refusals, `a trial mount of ${name} works`].join('; ') };
      }
      refusals.push(`${name}: ${refusal}`);
    } catch (error) {
      refusals.push(`${name}: ${messageOf(error)}`);
    }
  }
  if (!question.mountable) refusals.push('nothing can be mounted here');
  return {
    snapshotter: makeSnapshotter('copy', question),
    reason: [...refusals, 'copying works everywhere'].join('; '),
  };
}

function makeSnapshotter(name: SnapshotterName, { directory, searchPath }: SnapshotterQuestion): Snapshotter {
  if (name === 'overlay') return new OverlaySnapshotter();
  if (name === 'copy') return new CopySnapshotter(mkdtempSync(join(directory, 'copy-')));
  const program = findExecutable('fuse-overlayfs', searchPath);
  if (program === undefined) {
    throw new BuildError('HOST_NO_FUSE_OVERLAYFS', 'fuse-overlayfs is not installed.', {
      suggestions: [
        'Install it: apt-get install fuse-overlayfs; dnf install fuse-overlayfs; apk add fuse-overlayfs.',
      ],
    });
  }
  return new FuseOverlaySnapshotter(program);
}

/** Tries what a build needs: two layers, a file of another owner, a deletion. Returns what went wrong. */
async function trial(snapshotter: Snapshotter, directory: string): Promise<string | undefined> {
  const place = mkdtempSync(join(directory, 'trial-'));
  try {
    const [lower, top] = [join(place, 'lower'), join(place, 'top')];
    mkdirSync(lower);
    mkdirSync(top);
    writeFileSync(join(lower, 'old'), '');
    const mounted = await snapshotter.prepare(top, [lower]);
    try {
      writeFileSync(join(mounted.rootfs, 'new'), 'new');
      if (snapshotter.name !== 'copy') chownSync(join(mounted.rootfs, 'new'), 1, 1);
      unlinkSync(join(mounted.rootfs, 'old'));
    } catch (error) {
      await mounted.discard();
      throw error;
    }
    const upper = await mounted.commit();
    if (!lstatSync(join(upper, 'old')).isCharacterDevice()) return 'it leaves no whiteout for a deleted file';
    return undefined;
  } catch (error) {
    return messageOf(error);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function refused(name: SnapshotterName, refusal: string): BuildError {
  return new BuildError('HOST_SNAPSHOTTER_REFUSED', `--snapshotter ${name} does not work here: ${refusal}`, {
    suggestions: ['Leave --snapshotter out to let kiln choose.', 'kiln doctor shows what this host refuses.'],
  });
}
