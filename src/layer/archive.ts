/**
 * A local tar archive as entries to put in a layer (ADD): compression found by the first bytes, members read once,
 * bytes of files left in the plain tar they are found in.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { toFsPath } from '../system/byte-path.ts';
import { archiveEntry } from './layer-entry.ts';
import type { PackItem } from './pack-tree.ts';
import { BLOCK } from './tar-header.ts';
import { checksumOf, TarReader } from './tar-reader.ts';

export type ArchiveCompression = 'gzip' | 'bzip2' | 'xz' | 'zstd';

/** Compression told by the first bytes; undefined for none that is known. */
export function archiveCompression(head: Buffer): ArchiveCompression | undefined {
  if (head[0] === 0x1f && head[1] === 0x8b && head[2] === 0x08) return 'gzip';
  if (head.toString('latin1', 0, 3) === 'BZh') return 'bzip2';
  if (head.toString('latin1', 0, 6) === '\xfd7zXZ\0') return 'xz';
  if (head.length >= 4 && head.readUInt32LE(0) === 0xfd2fb528) return 'zstd';
  return undefined;
}

/** True when the bytes begin with a tar header whose checksum is right. */
export function isTarHeader(head: Buffer): boolean {
  return head.length >= BLOCK && head[0] !== 0 && checksumOf(head.subarray(0, BLOCK)) !== undefined;
}

const CHUNK = 1 << 20;

/**
 * The members of an uncompressed tar on this machine. `start` and `size` say where it lies in the file. Names are made
 * relative; a name that leads out of the archive's root is refused (LAYER_UNSAFE_PATH).
 */
export function readArchive({
  path,
  start,
  size,
}: {
  path: string;
  start: number;
  size: number;
}): PackItem[] {
  const items: PackItem[] = [];
  const reader = new TarReader({
    member: (member) => {
      const entry = archiveEntry(member);
      const content = { kind: 'range', path, offset: start + member.offset, size: entry.size } as const;
      const origin = 'source';
      items.push(entry.type === 'file' && entry.size > 0 ? { entry, content, origin } : { entry, origin });
    },
    data: () => undefined,
    end: () => undefined,
  });
  const fd = openSync(toFsPath(path), 'r');
  const buffer = Buffer.allocUnsafe(CHUNK);
  try {
    for (let done = 0; done < size; ) {
      const count = readSync(fd, buffer, 0, Math.min(CHUNK, size - done), start + done);
      if (count === 0) break;
      reader.write(buffer.subarray(0, count));
      done += count;
    }
  } finally {
    closeSync(fd);
  }
  reader.finish();
  return items;
}
