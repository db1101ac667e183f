/** Work that is done on layers in a worker thread: one kind of job each, as data. */

import { haveSameContent, type LayerFiles } from './compare-layers.ts';
import { type CompleteRequest, completeLayer } from './complete-layer.ts';
import { type CompressRequest, compressTar } from './compress-tar.ts';
import { decodeItems, type ItemList } from './item-list.ts';
import { layOut } from './lay-out.ts';
import type { LayerOutput } from './layer-writer.ts';
import { packSnapshot, type SnapshotSource } from './pack-snapshot.ts';
import { type PackItem, packTree } from './pack-tree.ts';
import { type RetimeRequest, retimeLayer } from './retime.ts';
import { type ScanRequest, scanLayer } from './scan.ts';
import { type UnpackRequest, unpackLayer } from './unpack.ts';

/** Every job with its request; results are what the functions resolve to. */
export const LAYER_JOBS = {
  packTree: ({ items, output }: { readonly items: JobItems; readonly output: LayerOutput }) =>
    packTree(iterable(items), output),
  packSnapshot: ({ output, ...source }: SnapshotSource & { readonly output: LayerOutput }) =>
    packSnapshot(source, output),
  layOut: ({ items, directory }: { readonly items: JobItems; readonly directory: string }) =>
    layOut({ items: iterable(items), directory }),
  retime: (request: RetimeRequest) => retimeLayer(request),
  unpack: (request: UnpackRequest) => unpackLayer(request),
  complete: async (request: CompleteRequest) => completeLayer(request),
  scan: (request: ScanRequest) => scanLayer(request),
  compare: async ([one, other]: readonly [LayerFiles, LayerFiles]) => haveSameContent(one, other),
  compress: (request: CompressRequest) => compressTar(request),
} as const;

/** Items here, or from another thread. */
type JobItems = readonly PackItem[] | ItemList;

function iterable(items: JobItems): Iterable<PackItem> {
  return 'numbers' in items ? decodeItems(items) : items;
}

export type LayerJobs = typeof LAYER_JOBS;
export type LayerJobName = keyof LayerJobs;
export type LayerJobRequest<N extends LayerJobName> = Parameters<LayerJobs[N]>[0];
export type LayerJobResult<N extends LayerJobName> = Awaited<ReturnType<LayerJobs[N]>>;
