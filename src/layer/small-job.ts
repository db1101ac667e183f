/** Which jobs are over sooner than a thread for them would have started: a thread takes 15 ms and 9 MB. */
import { lstatSync, readdirSync } from 'node:fs';
import { toByteString, toFsPath } from '../system/byte-path.ts';
import type { LayerJobName, LayerJobRequest } from './layer-jobs.ts';
import type { PackItem } from './pack-tree.ts';

const MOST_ENTRIES = 64;
const MOST_BYTES = 1 << 20;

/** True for a job of few files with few bytes. */
export function isSmall<N extends LayerJobName>(name: N, request: LayerJobRequest<N>): boolean {
  if (name === 'packTree' || name === 'layOut')
    return isShort((request as { items: readonly PackItem[] }).items);
  if (name !== 'packSnapshot') return false;
  try {
    return hasFew((request as LayerJobRequest<'packSnapshot'>).upper);
  } catch {
    // The job itself says what is wrong.
    return false;
  }
}

function isShort(items: readonly PackItem[]): boolean {
  if (items.length > MOST_ENTRIES) return false;
  return items.reduce((sum, { entry }) => sum + (entry.type === 'file' ? entry.size : 0), 0) <= MOST_BYTES;
}

/** Looks no further than at the entry that is one too many. */
function hasFew(directory: string): boolean {
  let entries = 0;
  let bytes = 0;
  const waiting = [toByteString(directory)];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    for (const name of readdirSync(toFsPath(path), 'buffer')) {
      const child = `${path}/${name.toString('latin1')}`;
      const stat = lstatSync(toFsPath(child));
      entries += 1;
      if (stat.isDirectory()) waiting.push(child);
      else if (stat.isFile()) bytes += stat.size;
      if (entries > MOST_ENTRIES || bytes > MOST_BYTES) return false;
    }
  }
  return true;
}
