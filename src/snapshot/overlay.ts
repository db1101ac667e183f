/**
 * Snapshots by the kernel's overlayfs, mounted inside the namespace. `userxattr` always, also for real root, so that
 * every snapshot in a store has one form. `volatile` because an upper directory is never mounted a second time: fsync
 * in a RUN then costs nothing, and the layer made from it is what has to reach the disk.
 */
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import { toByteString } from '../system/byte-path.ts';
import { mount, mountLong } from '../system/mount-calls.ts';
import { makeLayout, removeScratch, type SnapshotLayout, unmountFully, unmountQuietly } from './scratch.ts';
import type { MountedSnapshot, Snapshotter } from './snapshotter.ts';

/** Snapshots by kernel overlay. Usable where a trial mount works (choose-snapshotter.ts). */
export class OverlaySnapshotter implements Snapshotter {
  readonly name = 'overlay';

  async prepare(directory: string, lowers: readonly string[]): Promise<MountedSnapshot> {
    const layout = makeLayout(directory);
    try {
      mountOverlay(layout, lowers.length === 0 ? [layout.empty] : lowers);
    } catch (error) {
      removeScratch(layout);
      rmSync(layout.upper, { recursive: true, force: true });
      throw mountFailure(error, lowers.length);
    }
    return new OverlaySnapshot(layout);
  }
}

class OverlaySnapshot implements MountedSnapshot {
  readonly rootfs: string;
  readonly #layout: SnapshotLayout;

  constructor(layout: SnapshotLayout) {
    this.#layout = layout;
    this.rootfs = layout.merged;
  }

  async commit(): Promise<string> {
    await unmountFully(this.#layout.merged);
    removeScratch(this.#layout);
    return this.#layout.upper;
  }

  async discard(): Promise<void> {
    unmountQuietly(this.#layout.merged);
    try {
      removeScratch(this.#layout);
      rmSync(this.#layout.upper, { recursive: true, force: true });
    } catch {
      // What is left goes with the store's temporary directory.
    }
  }
}

const O_PATH = 0o10000000;

/**
 * Mounts over `/proc/self/fd/N` names: short whatever the paths are (fsconfig takes 255 bytes a value, mount(2) 4096
 * for everything), and free of the colons and commas that overlayfs would read as syntax.
 */
function mountOverlay(layout: SnapshotLayout, lowers: readonly string[]): void {
  const descriptors: number[] = [];
  const handle = (path: string): string => {
    const fd = openSync(path, O_PATH | constants.O_DIRECTORY);
    descriptors.push(fd);
    return `/proc/self/fd/${fd}`;
  };
  try {
    const lower = lowers.map(handle);
    const upper = handle(layout.upper);
    const work = handle(layout.work);
    const target = toByteString(layout.merged);
    firstThatWorks([
      () => mountByParts({ target, lower, upper, work }),
      () => mountInOne({ target, lower, upper, work }, ',volatile'),
      () => mountInOne({ target, lower, upper, work }, ''),
    ]);
  } finally {
    descriptors.forEach(closeSync);
  }
}

interface OverlayParts {
  readonly target: string;
  readonly lower: readonly string[];
  readonly upper: string;
  readonly work: string;
}

/** Kernel 6.7 and later: one option a layer, up to 500 layers. */
function mountByParts({ target, lower, upper, work }: OverlayParts): void {
  mountLong({
    source: 'overlay',
    target,
    type: 'overlay',
    options: [
      ['userxattr'],
      ['volatile'],
      ...lower.map((path) => ['lowerdir+', path] as const),
      ['upperdir', upper],
      ['workdir', work],
    ],
  });
}

/** Older kernels: about 220 layers fit in the 4096 bytes. */
function mountInOne({ target, lower, upper, work }: OverlayParts, extra: string): void {
  const data = `userxattr,lowerdir=${lower.join(':')},upperdir=${upper},workdir=${work}${extra}`;
  if (data.length >= 4096) {
    throw new BuildError(
      'HOST_TOO_MANY_LAYERS',
      `This kernel can mount about 220 layers; this image has ${lower.length}.`,
      { suggestions: ['Use --snapshotter fuse-overlayfs or --snapshotter copy, or a kernel from 6.7 on.'] },
    );
  }
  mount({ source: 'overlay', target, type: 'overlay', data });
}

/** Tries the next way only when this kernel does not know the one before. */
function firstThatWorks(ways: readonly (() => void)[]): void {
  let failure: unknown;
  for (const way of ways) {
    try {
      way();
      return;
    } catch (error) {
      failure = error;
      const code = systemErrorCode(error);
      if (code !== 'EINVAL' && code !== 'ENOSYS') break;
    }
  }
  throw failure;
}

function mountFailure(error: unknown, layers: number): BuildError {
  if (error instanceof BuildError) return error;
  return new BuildError(
    'HOST_OVERLAY_REFUSED',
    `The kernel refused an overlay mount of ${layers} layers: ${messageOf(error)}.`,
    {
      suggestions: [
        'The store must be on a filesystem that can hold an overlay: ext4, xfs, btrfs, tmpfs; not NFS, not another overlay on old kernels.',
        'Use --snapshotter fuse-overlayfs or --snapshotter copy.',
      ],
      cause: error,
    },
  );
}
