/** What differs between two images of the store: from their tables of contents, and bytes only where those leave a doubt. */
import { availableParallelism } from 'node:os';
import { BugError } from '../errors.ts';
import type { DiffId } from '../image/descriptor.ts';
import type { ImageConfig } from '../image/image-config.ts';
import { compareTrees, type TreeChange } from '../layer/compare-trees.ts';
import { LayerPool } from '../layer/layer-pool.ts';
import { LayeredTree } from '../layer/layered-tree.ts';
import { LayerAccess } from '../solver/layer-access.ts';
import type { SettledLayer } from '../solver/step-layer.ts';
import { asSteps, layersOf } from '../solver/stored-layers.ts';
import type { Store } from '../store/store.ts';
import { findImage } from './stored-image.ts';

/** One layer of one of the images, and what it does to those below it. */
export interface LayerDiff {
  /** Whether both images begin with it, or which of them has it. */
  readonly side: 'both' | 'first' | 'second';
  readonly diffId: DiffId;
  /** The instruction that made it, where the history tells. */
  readonly createdBy: string;
  /** Bytes of the blob. */
  readonly size: number;
  /** Empty for layers of both. */
  readonly changes: readonly TreeChange[];
}

export interface ImageDiff {
  readonly changes: readonly TreeChange[];
  /** Lowest first: those of both, then those of the first image, then those of the second. Empty unless asked for. */
  readonly layers: readonly LayerDiff[];
}

/** Compares two images by name or ID. Throws STORE_NO_IMAGE. */
export async function diffImages(
  store: Store,
  [first, second]: readonly [string, string],
  { layers, signal }: { readonly layers: boolean; readonly signal: AbortSignal },
): Promise<ImageDiff> {
  const [before, after] = [openImage(store, first), openImage(store, second)];
  const pool = new LayerPool({ threads: availableParallelism() });
  const access = new LayerAccess({ store, pool, signal });
  try {
    access.hold();
    const stacks = new Stacks(access);
    const changes = await stacks.compare(before.layers, after.layers);
    return { changes, layers: layers ? await layerDiffs(before, after, stacks) : [] };
  } finally {
    await pool.close();
    await access.close();
  }
}

interface OpenedImage {
  readonly layers: readonly SettledLayer[];
  readonly config: ImageConfig;
  readonly sizes: readonly number[];
}

function openImage(store: Store, text: string): OpenedImage {
  const { manifest, config } = findImage(store, text);
  const layers = layersOf(store, { manifest, config });
  return { layers, config, sizes: manifest.layers.map(({ size }) => size) };
}

/** Stacks of layers as trees, compared. */
class Stacks {
  readonly #access: LayerAccess;

  constructor(access: LayerAccess) {
    this.#access = access;
  }

  /** Twice where it must be: the second time with the bytes of files at hand, which may have to be unpacked for it. */
  async compare(before: readonly SettledLayer[], after: readonly SettledLayer[]): Promise<TreeChange[]> {
    const [old, now] = [await this.#tree(before, false), await this.#tree(after, false)];
    let doubt = false;
    const changes = compareTrees(old, now, (path) => {
      doubt ||= !fromOneLayer(path, { tree: old, layers: before }, { tree: now, layers: after });
      return true;
    });
    if (!doubt) return changes;
    const [oldBytes, newBytes] = [await this.#tree(before, true), await this.#tree(after, true)];
    return compareTrees(
      oldBytes,
      newBytes,
      (path) =>
        fromOneLayer(path, { tree: oldBytes, layers: before }, { tree: newBytes, layers: after }) ||
        oldBytes.digest(path) === newBytes.digest(path),
    );
  }

  async #tree(layers: readonly SettledLayer[], contents: boolean): Promise<LayeredTree> {
    if (layers.length === 0) return new LayeredTree([]);
    const tree = await this.#access.tree(asSteps(layers), { contents });
    if (tree instanceof LayeredTree) return tree;
    throw new BugError('a stack of layers is no layered tree');
  }
}

interface Stack {
  readonly tree: LayeredTree;
  readonly layers: readonly SettledLayer[];
}

/** A path that has its bytes from one and the same layer has the same bytes. */
function fromOneLayer(path: string, one: Stack, other: Stack): boolean {
  // Under several names it may be one name's bytes here and another's there.
  if (one.tree.linkIdentity(path) !== undefined || other.tree.linkIdentity(path) !== undefined) return false;
  const [first, second] = [one, other].map(({ tree, layers }) => layers[tree.layerOf(path) ?? -1]?.diffId);
  return first !== undefined && first === second;
}

async function layerDiffs(before: OpenedImage, after: OpenedImage, stacks: Stacks): Promise<LayerDiff[]> {
  const common = before.layers.findIndex(({ diffId }, index) => after.layers[index]?.diffId !== diffId);
  const shared = common < 0 ? before.layers.length : common;
  const describe = async (image: OpenedImage, side: LayerDiff['side']): Promise<LayerDiff[]> => {
    const made = (image.config.history ?? []).filter(({ empty_layer: empty }) => empty !== true);
    return Promise.all(
      image.layers.map(async ({ diffId }, index): Promise<LayerDiff> => {
        const [size = 0, createdBy = ''] = [image.sizes[index], made[index]?.created_by];
        const below = image.layers.slice(0, index);
        const own =
          index < shared
            ? []
            : await stacks.compare(below, [...below, ...image.layers.slice(index, index + 1)]);
        return { side: index < shared ? 'both' : side, diffId, createdBy, size, changes: own };
      }),
    );
  };
  const [one, other] = [await describe(before, 'first'), await describe(after, 'second')];
  return [...one, ...other.slice(shared)];
}
