/** Jobs as they are sent to a thread: many items go as an item list, whose memory changes hands. */
import { encodeItems } from './item-list.ts';
import type { LayerJobName, LayerJobRequest } from './layer-jobs.ts';

/** A job as it arrives, and how its end is told. */
export interface JobMessage {
  readonly id: number;
  readonly name: LayerJobName;
  readonly request: unknown;
}

/** The message, and the memory that goes over with it. */
export function jobMessage<N extends LayerJobName>(
  id: number,
  name: N,
  request: LayerJobRequest<N>,
): { readonly message: JobMessage; readonly transfer: ArrayBuffer[] } {
  if (!('items' in request) || !Array.isArray(request.items))
    return { message: { id, name, request }, transfer: [] };
  const items = encodeItems(request.items);
  const message = { id, name, request: { ...request, items } };
  return { message, transfer: [items.numbers, items.names.buffer] };
}
