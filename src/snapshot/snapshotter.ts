/**
 * The contract of a snapshot driver (DESIGN D4): a stack of read-only lower directories and one writable
 * upper directory, seen as one root filesystem. The form on disk is overlayfs's for every driver, so that
 * snapshots made with one driver serve another: a whiteout is a character device 0:0, an opaque directory
 * carries the xattr `user.overlay.opaque=y`.
 */
export type SnapshotterName = 'overlay' | 'fuse-overlayfs' | 'copy';

export interface MountedSnapshot {
  /** Absolute path of the merged, writable root filesystem. */
  readonly rootfs: string;
  /**
   * Ends the mount and leaves only the changes. Resolves to the absolute path of the upper directory,
   * which from then on must not change. The scratch directories are gone.
   */
  commit(): Promise<string>;
  /** Ends the mount and removes everything that `prepare` and the step made. Idempotent, never throws. */
  discard(): Promise<void>;
}

export interface Snapshotter {
  readonly name: SnapshotterName;
  /**
   * Mounts `lowers` (absolute paths, topmost first; may be empty) with a new upper directory inside `directory`
   * (absolute, exists, empty, on the store's filesystem): `directory/fs` is the upper one.
   */
  prepare(directory: string, lowers: readonly string[]): Promise<MountedSnapshot>;
}
