/** What outputs may touch of the world. */
import type { Emit } from '../progress/event.ts';
import type { ContentSink } from '../store/content-store.ts';
import type { Store } from '../store/store.ts';
import type { LayerBlobs } from './finished-image.ts';
import type { LayoutCopies } from './layout-copies.ts';

/** How outputs reach a registry; given by the caller, as the network is opened in one place. */
export type OpenSink = (reference: string) => Promise<ContentSink>;

export interface OutputDependencies {
  readonly store: Store;
  readonly blobs: LayerBlobs;
  readonly openSink: OpenSink;
  /** Copies of layers that packing has made. */
  readonly copies?: LayoutCopies | undefined;
  readonly emit: Emit;
  readonly clock: () => number;
  readonly signal: AbortSignal;
  /** Standard output for dest=-. */
  readonly stdout: NodeJS.WritableStream;
}
