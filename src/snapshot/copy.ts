/**
 * Snapshots as plain directories, for hosts that mount nothing: the lower directories are merged by copying, the
 * changes of a step found by comparing with what was recorded before it. Works everywhere, and costs a copy. The tree
 * of the last step is kept, so that a chain of RUNs copies its base once.
 */
import { lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type FileTable, mergeLowers, recordTree, writeChanges } from './copy-merge.ts';
import { bytesOf } from './overlay-form.ts';
import type { MountedSnapshot, Snapshotter } from './snapshotter.ts';

/** A merged tree that nobody uses at the moment, and what it is the merge of. */
interface KeptTree {
  readonly key: string;
  readonly path: string;
}

/** Snapshots by copying. `scratch` (existing, on the store's filesystem, removed by the caller) holds the kept tree. */
export class CopySnapshotter implements Snapshotter {
  readonly name = 'copy';
  readonly #scratch: string;
  #kept: KeptTree | undefined;
  #count = 0;

  constructor(scratch: string) {
    this.#scratch = scratch;
  }

  async prepare(directory: string, lowers: readonly string[]): Promise<MountedSnapshot> {
    const upper = join(directory, 'fs');
    const merged = join(directory, 'merged');
    mkdirSync(upper);
    const kept = this.#take(keyOf(lowers));
    if (kept !== undefined) renameSync(kept, merged);
    else {
      mkdirSync(merged);
      mergeLowers(bytesOf(merged), lowers.map(bytesOf));
    }
    const table = recordTree(bytesOf(merged));
    return new CopySnapshot({ upper, merged, table, keep: () => this.#keep(merged, [upper, ...lowers]) });
  }

  #take(key: string): string | undefined {
    if (this.#kept?.key !== key) return undefined;
    const { path } = this.#kept;
    this.#kept = undefined;
    return path;
  }

  /** The newest tree is the one the next step wants; parallel stages fall back to copying. */
  #keep(merged: string, lowers: readonly string[]): void {
    const before = this.#kept?.path;
    const path = join(this.#scratch, `tree-${this.#count++}`);
    renameSync(merged, path);
    this.#kept = { key: keyOf(lowers), path };
    if (before !== undefined) rmSync(before, { recursive: true, force: true });
  }
}

/** By identity, not by name: a store moves the upper directory to its place after the commit. */
function keyOf(lowers: readonly string[]): string {
  return lowers
    .map((path) => {
      const { dev, ino } = lstatSync(path, { bigint: true });
      return `${dev}:${ino}`;
    })
    .join(' ');
}

interface CopyParts {
  readonly upper: string;
  readonly merged: string;
  readonly table: FileTable;
  readonly keep: () => void;
}

class CopySnapshot implements MountedSnapshot {
  readonly rootfs: string;
  readonly #parts: CopyParts;

  constructor(parts: CopyParts) {
    this.#parts = parts;
    this.rootfs = parts.merged;
  }

  async commit(): Promise<string> {
    const { upper, merged, table, keep } = this.#parts;
    writeChanges(bytesOf(merged), bytesOf(upper), table);
    keep();
    return upper;
  }

  async discard(): Promise<void> {
    try {
      for (const path of [this.#parts.merged, this.#parts.upper])
        rmSync(path, { recursive: true, force: true });
    } catch {
      // What is left goes with the store's temporary directory.
    }
  }
}
