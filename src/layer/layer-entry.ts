/** Members of a tar as entries: names made safe, whiteouts recognised (image-spec, layer.md), links on the way followed. */
import { BuildError } from '../errors.ts';
import { toText } from '../system/byte-path.ts';
import type { TocEntry } from './entry.ts';
import { isOwnXattr } from './host-entry.ts';
import { OPAQUE_NAME, WHITEOUT_PREFIX } from './tar-header.ts';
import type { TarMember } from './tar-reader.ts';

/** A path of an archive relative to its root, or LAYER_UNSAFE_PATH where it leaves it. */
function safePath(name: string): string {
  if (isPlain(name)) return name;
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') throw unsafe(name, 'leads out of the root');
    parts.push(part);
  }
  const path = parts.join('/');
  if (path.includes('\0')) throw unsafe(name, 'has a zero byte in its name');
  return path;
}

/** Most names are safe as they are; a trailing slash alone is not worth taking the name apart. */
function isPlain(name: string): boolean {
  return name !== '' && !/^[./]|\/[./]|\/$|\0/.test(name);
}

function unsafe(name: string, why: string): BuildError {
  return new BuildError('LAYER_UNSAFE_PATH', `the archive member "${toText(name)}" ${why}`, {
    suggestions: ['The archive is hostile or broken: do not use it.'],
  });
}

/** The entry of a plain archive's member; names that mean something in layers mean nothing here. */
export function archiveEntry(member: TarMember): TocEntry {
  const { mode, uid, gid, mtime, size, offset, type } = member;
  const xattrs = member.xattrs === undefined ? undefined : foreignXattrs(member.xattrs);
  return {
    path: safePath(member.name),
    type,
    mode,
    uid,
    gid,
    mtime,
    size,
    ...(type === 'hardlink' ? { linkTarget: safePath(member.linkName) } : {}),
    ...(type === 'symlink' ? { linkTarget: member.linkName } : {}),
    ...(type === 'char' || type === 'block' ? { devMajor: member.devMajor, devMinor: member.devMinor } : {}),
    ...(xattrs === undefined ? {} : { xattrs }),
    ...(type === 'file' && size > 0 ? { offset } : {}),
  };
}

/** An archive must not speak to overlayfs: user.overlay.redirect would let a layer show any other directory. */
function foreignXattrs(xattrs: Readonly<Record<string, string>>): Record<string, string> | undefined {
  const kept = Object.entries(xattrs).filter(([name]) => !isOwnXattr(name) && !name.includes('\0'));
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

/** The kernel's own limit (path_resolution(7), MAXSYMLINKS). */
const MAX_LINKS = 40;

/**
 * Entries of one layer's members, in the order of its tar. A path that leads through a symlink of the same layer is
 * the path behind the link, when the link is relative and stays inside; any other such path is refused.
 */
export class LayerEntries {
  /** Symlinks of this layer so far. */
  readonly #links = new Map<string, string>();

  /** The next member; undefined for names that only AUFS knew. Throws LAYER_UNSAFE_PATH. */
  next(member: TarMember): TocEntry | undefined {
    const read = archiveEntry(member);
    const slash = read.path.lastIndexOf('/') + 1;
    // AUFS kept files of its own under such names; nothing in them belongs to the image.
    const reserved = read.path.startsWith('.wh..wh.') || read.path.includes('/.wh..wh.');
    if (reserved && read.path.slice(slash) !== OPAQUE_NAME) return undefined;
    const entry = this.#behindLinks(read, member.name);
    if (!entry.path.startsWith(WHITEOUT_PREFIX, entry.path.lastIndexOf('/') + 1)) {
      this.#remember(entry);
      return entry;
    }
    return whiteoutOf(entry, member.name);
  }

  #behindLinks(entry: TocEntry, name: string): TocEntry {
    if (this.#links.size === 0) return entry;
    const path = this.#resolveParent(entry.path, name);
    const linkTarget =
      entry.type === 'hardlink' ? this.#resolveParent(entry.linkTarget ?? '', name) : entry.linkTarget;
    if (path === entry.path && linkTarget === entry.linkTarget) return entry;
    return { ...entry, path, ...(linkTarget === undefined ? {} : { linkTarget }) };
  }

  #resolveParent(path: string, name: string): string {
    const slash = path.lastIndexOf('/');
    if (slash < 0) return path;
    const done: string[] = [];
    const todo = path.slice(0, slash).split('/').reverse();
    let followed = 0;
    while (todo.length > 0) {
      const part = todo.pop() ?? '';
      if (part === '' || part === '.') continue;
      if (part === '..') {
        if (done.pop() === undefined) throw unsafe(name, 'leads out of the root through a symbolic link');
        continue;
      }
      done.push(part);
      const target = this.#links.get(done.join('/'));
      if (target === undefined) continue;
      followed += 1;
      if (target.startsWith('/') || followed > MAX_LINKS) {
        throw unsafe(name, `leads through the symbolic link "${toText(done.join('/'))}"`);
      }
      done.pop();
      todo.push(...target.split('/').reverse());
    }
    return done.length === 0 ? path.slice(slash + 1) : `${done.join('/')}/${path.slice(slash + 1)}`;
  }

  #remember({ path, type, linkTarget }: TocEntry): void {
    if (type === 'symlink') this.#links.set(path, linkTarget ?? '');
    else if (this.#links.size > 0) this.#links.delete(path);
  }
}

/** `.wh.NAME` deletes NAME, `.wh..wh..opq` hides all that was in the directory. */
function whiteoutOf({ path, mtime }: TocEntry, member: string): TocEntry {
  const slash = path.lastIndexOf('/') + 1;
  const base = { mode: 0, uid: 0, gid: 0, mtime, size: 0 };
  if (path.slice(slash) === OPAQUE_NAME) {
    return { ...base, path: path.slice(0, Math.max(0, slash - 1)), type: 'opaque' };
  }
  const deleted = path.slice(slash + WHITEOUT_PREFIX.length);
  if (deleted === '' || deleted === '.' || deleted === '..') {
    throw unsafe(member, 'deletes a directory from within itself');
  }
  return { ...base, path: path.slice(0, slash) + deleted, type: 'whiteout' };
}
