/** Layers as the solver handles them: known at once when they come from an image or the cache, promised while packed. */
import type { ChainId, DiffId } from '../image/descriptor.ts';
import { chainId } from '../image/descriptor.ts';
import type { CachedLayer } from '../store/record-store.ts';
import type { ImageLayer } from './image-resolver.ts';

/** A layer whose DiffID is known. */
export interface SettledLayer extends CachedLayer {
  /** Set for a layer that came with an image: its blob and where that is. */
  readonly image?: ImageLayer | undefined;
  /** Set for the result of an earlier build: if it cannot be read, its step can be run instead. */
  readonly recorded?: boolean;
}

/** A layer on a stack; its directory may be there before its DiffID is known. */
export interface StepLayer {
  /** With the times of the build. A layer that has others is given them when somebody first asks for this. */
  readonly settled: Promise<SettledLayer>;
  /** Such a layer as the cache has it. */
  readonly original?: SettledLayer | undefined;
  /** True while a layer is as the cache has it, and nobody has asked for more. */
  readonly idle?: boolean;
  /** Absolute path of the snapshot directory, when this process made it. */
  readonly directory?: string | undefined;
}

/** What a stage has become so far. */
export interface StageState {
  /** Lowest first. */
  readonly layers: readonly StepLayer[];
  /** Definition key of the last step; of the base at first. */
  readonly key: string;
}

/** Waits for every layer of a stack. */
export function settle(layers: readonly StepLayer[]): Promise<SettledLayer[]> {
  return Promise.all(layers.map(({ settled }) => settled));
}

/** Layers by what they hold, for what times do not matter to. */
export function settleContent(layers: readonly StepLayer[]): Promise<SettledLayer[]> {
  return Promise.all(layers.map((layer) => layer.original ?? layer.settled));
}

/** A layer without asking for more than has been asked for already. */
export function asItIs(layer: StepLayer): Promise<SettledLayer> {
  return layer.idle === true && layer.original !== undefined
    ? Promise.resolve(layer.original)
    : layer.settled;
}

/** ChainIDs of a stack, lowest first. */
export function chainsOf(layers: readonly { readonly diffId: DiffId }[]): ChainId[] {
  const chains: ChainId[] = [];
  let chain: ChainId | undefined;
  for (const { diffId } of layers) {
    chain = chainId(chain, diffId);
    chains.push(chain);
  }
  return chains;
}
