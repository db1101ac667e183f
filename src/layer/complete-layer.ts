/**
 * The rest of unpacking for tars that lean on lower layers: directories they did not carry get the attributes they have
 * below (or give way to a symlink there), and hard links to files of lower layers become copies.
 */
import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  utimesSync,
} from 'node:fs';
import { BuildError } from '../errors.ts';
import { toFsPath, toText } from '../system/byte-path.ts';
import { setXattr } from '../system/libc.ts';
import { hostEntry, lstatPath } from './host-entry.ts';
import { LowerView } from './lower-view.ts';
import { resolvePath } from './resolve-path.ts';
import type { Incomplete } from './unpack.ts';

export interface CompleteRequest {
  /** The unpacked layer. */
  readonly directory: string;
  /** Directories of the layers below, topmost first. */
  readonly lowers: readonly string[];
  readonly incomplete: Incomplete;
}

/** Looks up in the lower layers what a layer left out. Throws LAYER_UNSAFE_PATH for a link to nothing. */
export function completeLayer({ directory, lowers, incomplete }: CompleteRequest): void {
  const below = new LowerView(lowers);
  for (const path of [...incomplete.directories].sort()) adoptAttributes(directory, path, below);
  for (const link of incomplete.links) {
    const source = below.find(link.linkTarget ?? '');
    if (source === undefined || source.stats.isDirectory()) {
      throw new BuildError(
        'LAYER_UNSAFE_PATH',
        `/${toText(link.path)} is a hard link to /${toText(link.linkTarget ?? '')}, which does not exist`,
        {
          suggestions: ['The layer is broken at its source.'],
        },
      );
    }
    copyFileSync(toFsPath(source.host), toFsPath(`${directory}/${link.path}`), constants.COPYFILE_FICLONE);
    copyAttributes(source.host, `${directory}/${link.path}`);
  }
}

function adoptAttributes(directory: string, path: string, below: LowerView): void {
  const host = `${directory}/${path}`;
  if (lstatPath(host)?.isDirectory() !== true) return;
  const found = below.find(path);
  if (found === undefined) return;
  if (found.stats.isDirectory()) copyAttributes(found.host, host);
  else if (found.stats.isSymbolicLink()) followLink(directory, path, below);
}

/** The layers below have a symlink where the tar assumed a directory: what is in it belongs where the link leads. */
function followLink(directory: string, path: string, below: LowerView): void {
  const tree = {
    lstat: (candidate: string) => {
      const found = below.find(candidate);
      return found === undefined ? undefined : hostEntry(candidate, found.host, found.stats);
    },
    list: () => [],
    content: () => ({ kind: 'bytes', bytes: Buffer.alloc(0) }) as const,
    digest: () => 'sha256:' as const,
  };
  const target = resolvePath(tree, path, { followLast: true });
  let made = '';
  for (const part of target.split('/')) {
    made = made === '' ? part : `${made}/${part}`;
    if (lstatPath(`${directory}/${made}`) !== undefined) continue;
    mkdirSync(toFsPath(`${directory}/${made}`), 0o755);
    adoptAttributes(directory, made, below);
  }
  const from = `${directory}/${path}`;
  for (const name of readdirSync(toFsPath(from), { encoding: 'latin1' })) {
    renameSync(toFsPath(`${from}/${name}`), toFsPath(`${directory}/${target}/${name}`));
  }
  rmdirSync(toFsPath(from));
}

function copyAttributes(source: string, target: string): void {
  const stats = lstatPath(source);
  if (stats === undefined) return;
  const entry = hostEntry('', source, stats);
  lchownSync(toFsPath(target), stats.uid, stats.gid);
  chmodSync(toFsPath(target), stats.mode & 0o7777);
  for (const [name, value] of Object.entries(entry?.xattrs ?? {})) setXattr(target, name, value);
  utimesSync(toFsPath(target), stats.atime, stats.mtime);
}
