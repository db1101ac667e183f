/**
 * Where copied files go: the destination resolved in the image, directories made on the way, owners and modes applied.
 * Rules as BuildKit's copy follows them: of a directory only the contents are copied, so the destination keeps its
 * attributes when it exists and gets those of any made directory when not; directories below take the source's.
 */
import { BuildError } from '../errors.ts';
import type { Entry } from '../layer/entry.ts';
import { withOwnTime } from '../layer/file-tree.ts';
import type { TimeOrigin } from '../layer/layer-times.ts';
import type { PackItem } from '../layer/pack-tree.ts';
import { toByteString, toText } from '../system/byte-path.ts';
import type { ModeChange } from './chmod.ts';
import type { DraftLayer, NewDirectories } from './draft-layer.ts';
import type { Owner } from './owner.ts';
import type { SourceMatch } from './select-sources.ts';

export interface Placement {
  /** Absolute, as the plan made it; a trailing slash says directory. */
  readonly destination: string;
  readonly owner: Owner | undefined;
  readonly chmod: ModeChange | undefined;
  /** --parents: directories that are there already take the source's mode and nothing else. */
  readonly parents: boolean;
  /** Seconds since 1970 for directories that are made. */
  readonly mtime: number;
}

const ROOT: Owner = { uid: 0, gid: 0 };
const FOLLOW = { followLast: true };

/** --chown and --chmod also hold for directories that have to be made. */
function madeBy({ owner, chmod, mtime }: Placement): NewDirectories {
  return { owner: owner ?? ROOT, mode: chmod === undefined ? 0o755 : chmod(0o755, true), mtime };
}

/** Prepares the destination and says where a file or directory called `name` goes. */
function targetOf(
  draft: DraftLayer,
  placement: Placement,
  source: { name: string; directory: boolean },
): string {
  const path = toByteString(placement.destination.slice(1));
  const made = madeBy(placement);
  if (path.endsWith('/') || path === '') draft.ensureDirectory(draft.resolve(path, FOLLOW), made);
  else draft.ensureDirectory(draft.resolve(parentOf(path), FOLLOW), made);
  const resolved = draft.resolve(path, FOLLOW);
  const existing = draft.lstat(resolved);
  const isDirectory = resolved === '' || existing?.type === 'directory';
  if (!source.directory && isDirectory) return join(resolved, source.name);
  // Through a dangling symlink the parent may be another one than the path says.
  if (existing === undefined) draft.ensureDirectory(parentOf(resolved), made);
  return resolved;
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function join(directory: string, name: string): string {
  if (directory === '') return name;
  return name === '' ? directory : `${directory}/${name}`;
}

/** Places everything one source named. Throws COPY_* where files and directories stand in each other's way. */
export function placeMatch(draft: DraftLayer, match: SourceMatch, placement: Placement): void {
  const directory = match.entry.type === 'directory';
  const target = targetOf(draft, placement, { name: match.name, directory });
  const links = new Map<string, string>();
  for (const { path, relative, entry: found } of match.files) {
    const { entry, origin } = withOwnTime(match.tree, path, found);
    const destination = join(target, relative);
    if (entry.type === 'directory') {
      placeDirectory(draft, { entry, destination, origin, top: relative === '' }, placement);
      continue;
    }
    const identity = match.tree.linkIdentity?.(path);
    const first = identity === undefined ? undefined : links.get(identity);
    const placed = attributed({ ...entry, path: destination }, placement);
    refuseDirectory(draft, destination);
    if (first !== undefined) {
      draft.place({ entry: { ...placed, type: 'hardlink', linkTarget: first, size: 0 }, origin });
      continue;
    }
    if (identity !== undefined) links.set(identity, destination);
    const content = entry.type === 'file' ? match.tree.content(path) : undefined;
    draft.place({ entry: placed, content, origin });
  }
}

/** Places one file made from bytes (a heredoc, a download). */
export function placeFile(
  draft: DraftLayer,
  item: PackItem & { readonly name: string },
  placement: Placement,
): void {
  const destination = targetOf(draft, placement, { name: toByteString(item.name), directory: false });
  refuseDirectory(draft, destination);
  const { content, origin } = item;
  draft.place({ entry: attributed({ ...item.entry, path: destination }, placement), content, origin });
}

/**
 * Places the members of an archive below the destination, as in a chroot there: symlinks lead nowhere else. Throws
 * LAYER_UNSAFE_PATH for a member that a symlink would carry out.
 */
export function placeArchive(draft: DraftLayer, items: readonly PackItem[], placement: Placement): void {
  const path = toByteString(placement.destination.slice(1));
  const top = draft.resolve(path, FOLLOW);
  draft.ensureDirectory(top, { owner: placement.owner ?? ROOT, mtime: placement.mtime });
  const place = (name: string, followLast: boolean): string =>
    draft.resolve(name, { followLast, within: top });
  for (const { entry, content, origin } of items) {
    // "./" names the destination, which keeps its own attributes (as in moby's archive.Unpack).
    if (entry.path === '') continue;
    // A directory goes through a symlink to one ("lib/" where lib is usr/lib); anything else replaces the symlink.
    const destination = place(entry.path, entry.type === 'directory');
    draft.ensureDirectory(parentOf(destination), { owner: ROOT, mtime: placement.mtime });
    const linkTarget = entry.type === 'hardlink' ? place(entry.linkTarget ?? '', false) : entry.linkTarget;
    if (entry.type === 'hardlink' && (linkTarget === destination || !draft.hold(linkTarget ?? ''))) {
      throw new BuildError(
        'LAYER_CORRUPT',
        `the archive member "${toText(entry.path)}" is a hard link to "${toText(entry.linkTarget ?? '')}", which is no file`,
        { suggestions: ['Make the archive again, with the file that the link names.'] },
      );
    }
    const moved: Entry = { ...entry, path: destination, ...(linkTarget === undefined ? {} : { linkTarget }) };
    const owned = placement.owner === undefined ? moved : { ...moved, ...placement.owner };
    draft.place({ entry: owned, content, origin });
  }
}

function placeDirectory(
  draft: DraftLayer,
  {
    entry,
    destination,
    top,
    origin,
  }: { entry: Entry; destination: string; top: boolean; origin: TimeOrigin | undefined },
  placement: Placement,
): void {
  const existing = destination === '' ? undefined : draft.lstat(destination);
  if (existing !== undefined && existing.type !== 'directory') {
    throw new BuildError('COPY_NOT_A_DIRECTORY', `cannot copy to non-directory: /${toText(destination)}`, {
      suggestions: [
        'A directory cannot replace a file; copy to another path or remove the file in a RUN before.',
      ],
    });
  }
  if (top) {
    draft.ensureDirectory(destination, madeBy(placement));
    return;
  }
  if (existing !== undefined && placement.parents) draft.setMode(destination, entry.mode);
  else draft.place({ entry: attributed({ ...entry, path: destination }, placement), origin });
}

function attributed(entry: Entry, { owner, chmod }: Placement): Entry {
  const mode =
    chmod === undefined || entry.type === 'symlink'
      ? entry.mode
      : chmod(entry.mode, entry.type === 'directory');
  return { ...entry, mode, ...owner };
}

function refuseDirectory(draft: DraftLayer, destination: string): void {
  if (draft.lstat(destination)?.type !== 'directory') return;
  throw new BuildError(
    'COPY_IS_A_DIRECTORY',
    `cannot overwrite directory /${toText(destination)} with a file`,
    {
      suggestions: ['End the destination with a slash to copy into the directory, or choose another name.'],
    },
  );
}
