/** Members of a layer's tar as entries: names made safe, whiteouts recognised (image-spec, layer.md). */
import { BuildError } from '../errors.ts';
import { toText } from '../system/byte-path.ts';
import type { TocEntry } from './entry.ts';
import { OPAQUE_NAME, WHITEOUT_PREFIX } from './tar-header.ts';
import type { TarMember } from './tar-reader.ts';

/** A path of an archive relative to its root, or LAYER_UNSAFE_PATH where it leaves it. */
export function safePath(name: string): string {
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      throw new BuildError(
        'LAYER_UNSAFE_PATH',
        `the archive member "${toText(name)}" leads out of the root`,
        {
          suggestions: ['The archive is hostile or broken: do not use it.'],
        },
      );
    }
    parts.push(part);
  }
  const path = parts.join('/');
  if (path.includes('\0')) {
    throw new BuildError('LAYER_UNSAFE_PATH', 'an archive member has a zero byte in its name');
  }
  return path;
}

/** The entry of a layer's member; undefined for names that only other tools' layers have (.wh..wh.*). */
export function layerEntry(member: TarMember): TocEntry | undefined {
  const path = safePath(member.name);
  const slash = path.lastIndexOf('/') + 1;
  const name = path.slice(slash);
  const { mode, uid, gid, mtime, size, xattrs, offset, type } = member;
  const base = { mode, uid, gid, mtime, size: 0 };
  if (name === OPAQUE_NAME) return { ...base, path: path.slice(0, Math.max(0, slash - 1)), type: 'opaque' };
  // Names AUFS once kept for itself; nothing in them belongs to the image.
  if (name.startsWith('.wh..wh.')) return undefined;
  if (name.startsWith(WHITEOUT_PREFIX)) {
    return { ...base, path: path.slice(0, slash) + name.slice(WHITEOUT_PREFIX.length), type: 'whiteout' };
  }
  return {
    ...base,
    path,
    type,
    size,
    ...(type === 'hardlink' ? { linkTarget: safePath(member.linkName) } : {}),
    ...(type === 'symlink' ? { linkTarget: member.linkName } : {}),
    ...(type === 'char' || type === 'block' ? { devMajor: member.devMajor, devMinor: member.devMinor } : {}),
    ...(xattrs === undefined ? {} : { xattrs }),
    ...(type === 'file' && size > 0 ? { offset } : {}),
  };
}
