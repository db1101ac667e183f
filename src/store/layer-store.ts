/**
 * What the store knows of layers beside their blobs: the table of contents, compressed forms made of them, and
 * directories they are unpacked in. Keyed by DiffID, or by ChainID where the layers below matter.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ChainId,
  compressionOf,
  type Descriptor,
  type DiffId,
  hexOf,
  isDigest,
} from '../image/descriptor.ts';
import { randomName, readTextIfExists, removeTree, touch, writeFileAtomic } from '../system/files.ts';

export class LayerStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /** Where the table of contents of a layer is, or would be. */
  tocPath(diffId: DiffId): string {
    return join(this.#root, 'layers', `${hexOf(diffId)}.toc`);
  }

  /** Also marks it as used now: what a living process uses is no garbage. */
  hasToc(diffId: DiffId): boolean {
    return touch(this.tocPath(diffId));
  }

  /** Takes a finished table of contents in. */
  adoptToc(file: string, diffId: DiffId): void {
    renameSync(file, this.tocPath(diffId));
  }

  /** Forgets a table of contents that cannot be read. */
  dropToc(diffId: DiffId): void {
    rmSync(this.tocPath(diffId), { force: true });
  }

  /** The known blob that holds this layer in a compressed form made with these settings (such as "gzip-6"). */
  variant(diffId: DiffId, settings: string): Descriptor | undefined {
    const text = readTextIfExists(this.#variantPath(diffId, settings));
    if (text === undefined) return undefined;
    try {
      const descriptor = JSON.parse(text) as Descriptor;
      return isDigest(descriptor.digest) && compressionOf(descriptor.mediaType) !== undefined
        ? descriptor
        : undefined;
    } catch {
      return undefined; // Damaged: the form is made again.
    }
  }

  /** Every known form of a layer with its settings' name. */
  variants(diffId: DiffId): { settings: string; descriptor: Descriptor }[] {
    const prefix = `${hexOf(diffId)}.`;
    return readdirSync(join(this.#root, 'layers')).flatMap((name) => {
      if (!name.startsWith(prefix) || name.endsWith('.toc')) return [];
      const settings = name.slice(prefix.length);
      const descriptor = this.variant(diffId, settings);
      return descriptor === undefined ? [] : [{ settings, descriptor }];
    });
  }

  recordVariant(diffId: DiffId, settings: string, descriptor: Descriptor): void {
    writeFileAtomic(this.#variantPath(diffId, settings), JSON.stringify(descriptor), {
      temporary: join(this.#root, 'tmp'),
      flush: false,
    });
  }

  /** Absolute path of the directory that holds the topmost layer of this chain unpacked; undefined when none does. */
  snapshot(chain: ChainId): string | undefined {
    const directory = this.peekSnapshot(chain);
    // Marked as used now: what a living process uses is no garbage.
    return directory !== undefined && touch(this.#chainPath(chain)) ? directory : undefined;
  }

  /** Like `snapshot`, for who only looks. */
  peekSnapshot(chain: ChainId): string | undefined {
    try {
      const name = readFileSync(this.#chainPath(chain), 'utf8').trim();
      const directory = join(this.#root, 'snapshots', name);
      return /^[0-9a-f]+$/.test(name) && existsSync(directory) ? directory : undefined;
    } catch {
      return undefined;
    }
  }

  /** Moves a finished directory (on the store's filesystem) among the snapshots; it has no name until `nameSnapshot`. */
  adoptSnapshot(directory: string): string {
    const path = join(this.#root, 'snapshots', randomName());
    renameSync(directory, path);
    return path;
  }

  /** Says which chain a snapshot is the top of. A second snapshot of the same chain is removed; the first one stays. */
  nameSnapshot(directory: string, chain: ChainId): void {
    const existing = this.snapshot(chain);
    if (existing === directory) return;
    const name = directory.slice(directory.lastIndexOf('/') + 1);
    writeFileAtomic(this.#chainPath(chain), name, { temporary: join(this.#root, 'tmp'), flush: false });
  }

  /** Removes a snapshot that was adopted but will not be named. */
  dropSnapshot(directory: string): void {
    removeTree(directory);
  }

  #variantPath(diffId: DiffId, settings: string): string {
    return join(this.#root, 'layers', `${hexOf(diffId)}.${settings}`);
  }

  #chainPath(chain: ChainId): string {
    return join(this.#root, 'chains', hexOf(chain));
  }
}
