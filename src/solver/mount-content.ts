/** The seam between cache mounts and who carries their content from machine to machine. */

/** A cache mount that a step of this build has. */
export interface UsedMount {
  /** Stands for its id, owner, mode and first content: what is equal here is the same cache elsewhere. */
  readonly name: string;
  /** As the Dockerfile says it, or the target. */
  readonly id: string;
  /** Directory in the store: its content is in `data`, and `lock` is held while it is used. */
  readonly place: string;
}

export interface MountContent {
  /** Fills a directory that does not exist yet; false, and no directory, when there is nothing to fill it with. */
  restore(mount: UsedMount, directory: string): Promise<boolean>;
  onUse(mount: UsedMount): void;
}
