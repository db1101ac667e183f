/**
 * The rest of unpacking for tars that lean on lower layers: directories they did not carry get the attributes they have
 * below (or give way to a symlink there), and hard links to files of lower layers become copies.
 */
import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  symlinkSync,
} from 'node:fs';
import { BuildError } from '../errors.ts';
import { toByteString, toFsPath, toText } from '../system/byte-path.ts';
import { makeNode } from '../system/file-calls.ts';
import { setXattr } from '../system/xattrs.ts';
import type { Entry } from './entry.ts';
import type { FileTree } from './file-tree.ts';
import { hostEntry, lstatPath } from './host-entry.ts';
import { type LowerFile, LowerView } from './lower-view.ts';
import { resolvePath } from './resolve-path.ts';
import type { Incomplete } from './upper-writer.ts';

export interface CompleteRequest {
  /** The unpacked layer. */
  readonly directory: string;
  /** Directories of the layers below, topmost first. */
  readonly lowers: readonly string[];
  readonly incomplete: Incomplete;
}

/** Looks up in the lower layers what a layer left out. Throws LAYER_UNSAFE_PATH for a link to nothing. */
export function completeLayer(request: CompleteRequest): void {
  const below = new LowerView(request.lowers.map(toByteString));
  const directory = toByteString(request.directory);
  const { directories, links } = request.incomplete;
  for (const path of [...directories].sort()) adoptAttributes(directory, path, below);
  for (const link of links) copyLinked(directory, link, below);
}

function copyLinked(directory: string, link: Entry, below: LowerView): void {
  const target = link.linkTarget ?? '';
  const source = below.find(behindLinks(target, below));
  if (source === undefined || source.stats.isDirectory()) {
    throw unsafe(link.path, `is a hard link to /${toText(target)}, which does not exist`);
  }
  const slash = link.path.lastIndexOf('/');
  const parent = link.path.slice(0, Math.max(0, slash));
  // The parent may have given way to a symlink since.
  const real =
    lstatPath(`${directory}/${parent}`)?.isDirectory() === true ? parent : resolveBelow(parent, below);
  copyFile(source, `${directory}/${real}/${link.path.slice(slash + 1)}`);
}

function unsafe(path: string, why: string): BuildError {
  return new BuildError('LAYER_UNSAFE_PATH', `/${toText(path)} ${why}`, {
    suggestions: ['The layer is hostile, or broken at its source: do not use it.'],
  });
}

/** A file of any kind, itself and not what it points to. */
function copyFile(source: LowerFile, target: string): void {
  const { host, stats } = source;
  const entry = hostEntry('', host, stats);
  if (entry === undefined) return;
  if (entry.type === 'symlink') symlinkSync(toFsPath(entry.linkTarget ?? ''), toFsPath(target));
  else if (entry.type === 'file') {
    copyFileSync(toFsPath(host), toFsPath(target), constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  } else makeNode(target, stats.mode, entry.devMajor ?? 0, entry.devMinor ?? 0);
  setAttributes(target, { entry, stats });
}

function adoptAttributes(directory: string, path: string, below: LowerView): void {
  const host = `${directory}/${path}`;
  if (lstatPath(host)?.isDirectory() !== true) return;
  const found = below.find(path);
  if (found?.stats.isDirectory() === true) {
    const entry = hostEntry('', found.host, found.stats);
    if (entry !== undefined) setAttributes(host, { entry, stats: found.stats });
  } else if (found?.stats.isSymbolicLink() === true) followLink(path, { directory, below });
}

interface Place {
  readonly directory: string;
  readonly below: LowerView;
}

/** The layers below have a symlink where the tar assumed a directory: what is in it belongs where the link leads. */
function followLink(path: string, { directory, below }: Place): void {
  const target = resolveBelow(path, below);
  // A link to itself or to its own inside leads nowhere; the directory stays.
  if (target === path || target.startsWith(`${path}/`)) return;
  let made = '';
  for (const part of target === '' ? [] : target.split('/')) {
    made = made === '' ? part : `${made}/${part}`;
    const there = lstatPath(`${directory}/${made}`);
    if (there?.isDirectory() === true) continue;
    // A symlink of this layer here would lead the move out of it.
    if (there !== undefined) throw unsafe(path, `leads to /${toText(made)}, which is no directory`);
    mkdirSync(toFsPath(`${directory}/${made}`), 0o755);
    adoptAttributes(directory, made, below);
  }
  merge(`${directory}/${path}`, target === '' ? directory : `${directory}/${target}`);
}

/** Moves what is in one directory into another; of two files the moved one stays, directories become one. */
function merge(from: string, to: string): void {
  for (const name of readdirSync(toFsPath(from), { encoding: 'latin1' })) {
    const [source, target] = [`${from}/${name}`, `${to}/${name}`];
    const there = lstatPath(target);
    if (there?.isDirectory() === true && lstatPath(source)?.isDirectory() === true) merge(source, target);
    else {
      if (there !== undefined) rmSync(toFsPath(target), { recursive: true });
      renameSync(toFsPath(source), toFsPath(target));
    }
  }
  rmdirSync(toFsPath(from));
}

/** A path with its parents resolved in the layers below, itself not followed. */
function behindLinks(path: string, below: LowerView): string {
  const slash = path.lastIndexOf('/');
  const parent = slash < 0 ? '' : resolveBelow(path.slice(0, slash), below);
  return parent === '' ? path.slice(slash + 1) : `${parent}/${path.slice(slash + 1)}`;
}

/** A path with every symlink followed that is one in the layers below; never outside them. */
function resolveBelow(path: string, below: LowerView): string {
  const tree: FileTree = {
    lstat: (candidate) => {
      const found = below.find(candidate);
      return found === undefined ? undefined : hostEntry(candidate, found.host, found.stats);
    },
    list: () => [],
    content: () => ({ kind: 'bytes', bytes: Buffer.alloc(0) }),
    digest: () => 'sha256:',
  };
  return resolvePath(tree, path, { followLast: true });
}

/** As the file below has them: owner, mode, attributes, time, in the order in which the kernel lets them stay. */
function setAttributes(target: string, { entry, stats }: { entry: Entry; stats: Stats }): void {
  const host = toFsPath(target);
  lchownSync(host, entry.uid, entry.gid);
  if (entry.type !== 'symlink') chmodSync(host, entry.mode);
  for (const [name, value] of Object.entries(entry.xattrs ?? {})) setXattr(target, name, value);
  lutimesSync(host, stats.atime, stats.mtime);
}
