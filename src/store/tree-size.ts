/** Bytes of files below a directory. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.ts';

export interface TreeSize {
  /** Bytes of contents; a file with several names counts once. */
  readonly size: number;
  /** False when something below may not be read. */
  readonly complete: boolean;
}

/** Measures a file or a directory with all below it; what is not there has no bytes. */
export function treeSize(path: string): TreeSize {
  const seen = new Set<string>();
  let size = 0;
  let complete = true;
  const visit = (place: Buffer): void => {
    try {
      const stat = lstatSync(place);
      if (stat.isDirectory()) {
        for (const name of readdirSync(place, { encoding: 'buffer' })) {
          visit(Buffer.concat([place, Buffer.from('/'), name]));
        }
        return;
      }
      const identity = `${stat.dev}:${stat.ino}`;
      if (stat.nlink > 1 && seen.has(identity)) return;
      if (stat.nlink > 1) seen.add(identity);
      size += stat.size;
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') complete = false;
    }
  };
  visit(Buffer.from(join(path)));
  return { size, complete };
}
