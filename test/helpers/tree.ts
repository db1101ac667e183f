/** A directory tree as the kernel and getfattr(1) tell it, and what differs between two. Names are bytes. */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { runBytes } from '../setup/run.ts';

interface TreeEntry {
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'character' | 'block' | 'socket';
  /** Permission bits with setuid, setgid and sticky, in octal: "4755". */
  readonly mode: string;
  /** "uid:gid". */
  readonly owner: string;
  readonly size?: number;
  readonly sha256?: string;
  readonly link?: string;
  readonly device?: string;
  /** First name (in order) of the group of hard links this is one of, when there are several. */
  readonly sameAs?: string;
  /** name=hex, sorted. */
  readonly xattrs?: readonly string[];
  readonly mtime: number;
}

/** Path without a leading slash ("" is the root), one character a byte -> entry. */
export type Tree = ReadonlyMap<string, TreeEntry>;

function bytesOf(path: string): Buffer {
  return Buffer.from(path, 'latin1');
}

export function readTree(root: string): Tree {
  const xattrs = readXattrs(root);
  const links = new Map<number, string>();
  const tree = new Map<string, TreeEntry>();
  const at = (path: string): Buffer =>
    Buffer.concat([Buffer.from(root), bytesOf(path === '' ? '' : `/${path}`)]);

  const visit = (path: string): void => {
    const info = lstatSync(at(path));
    const first = info.isFile() && info.nlink > 1 ? links.get(info.ino) : undefined;
    if (info.isFile() && info.nlink > 1 && first === undefined) links.set(info.ino, path);
    tree.set(path, entryOf(info, { bytes: at(path), sameAs: first, xattrs: xattrs.get(path) }));
    if (!info.isDirectory()) return;
    const names = readdirSync(at(path), { encoding: 'buffer' }).map((name) => name.toString('latin1'));
    for (const name of names.sort()) visit(path === '' ? name : `${path}/${name}`);
  };
  visit('');
  return tree;
}

interface EntryContext {
  readonly bytes: Buffer;
  readonly sameAs: string | undefined;
  readonly xattrs: readonly string[] | undefined;
}

function entryOf(info: Stats, { bytes, sameAs, xattrs }: EntryContext): TreeEntry {
  const common = {
    mode: (info.mode & 0o7777).toString(8),
    owner: `${info.uid}:${info.gid}`,
    mtime: Math.floor(info.mtimeMs / 1000),
    ...(xattrs === undefined ? {} : { xattrs }),
  };
  if (info.isSymbolicLink()) {
    return {
      type: 'symlink',
      ...common,
      link: readlinkSync(bytes, { encoding: 'buffer' }).toString('latin1'),
    };
  }
  if (info.isDirectory()) return { type: 'directory', ...common };
  if (info.isFIFO()) return { type: 'fifo', ...common };
  if (info.isSocket()) return { type: 'socket', ...common };
  if (info.isCharacterDevice() || info.isBlockDevice()) {
    const device = `${(info.rdev >> 8) & 0xfff},${(info.rdev & 0xff) | ((info.rdev >> 12) & 0xfff00)}`;
    return { type: info.isBlockDevice() ? 'block' : 'character', ...common, device };
  }
  const sha256 = createHash('sha256').update(readFileSync(bytes)).digest('hex');
  return { type: 'file', ...common, size: info.size, sha256, ...(sameAs === undefined ? {} : { sameAs }) };
}

/** What `getfattr -R` of every namespace says; it writes odd bytes of names as octal escapes. */
function readXattrs(root: string): Map<string, string[]> {
  const text = runBytes('getfattr', [
    '--recursive',
    '--physical',
    '--no-dereference',
    '--absolute-names',
    '-d',
    '-m',
    '-',
    '-e',
    'hex',
    root,
  ]);
  const found = new Map<string, string[]>();
  for (const block of text.toString('latin1').split('\n\n')) {
    const [head = '', ...lines] = block.split('\n').filter((line) => line !== '');
    if (!head.startsWith('# file: ')) continue;
    const name = head
      .slice('# file: '.length)
      .replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    const path = name.slice(root.length + 1);
    // umoci and the file system's own bookkeeping is not the image's.
    const kept = lines.filter(
      (line) => !line.startsWith('security.selinux=') && !line.startsWith('trusted.'),
    );
    if (kept.length > 0) found.set(path, kept.sort());
  }
  return found;
}

export interface CompareOptions {
  /** Paths (and all below them) that may differ. */
  readonly ignore?: readonly string[];
  /** Compare modification times too; off because a RUN writes the time it runs at. */
  readonly times?: boolean;
}

/** One line for each difference; empty when the trees are equal. */
export function compareTrees(left: Tree, right: Tree, options: CompareOptions = {}): string[] {
  const ignored = (path: string): boolean =>
    options.ignore?.some((prefix) => path === prefix || path.startsWith(`${prefix}/`)) ?? false;
  const shown = (entry: TreeEntry): string =>
    JSON.stringify(options.times ? entry : { ...entry, mtime: undefined });
  const differences: string[] = [];
  for (const path of [...new Set([...left.keys(), ...right.keys()])].sort()) {
    if (ignored(path)) continue;
    const [a, b] = [left.get(path), right.get(path)];
    if (a === undefined || b === undefined)
      differences.push(`/${path}: only in the ${a === undefined ? 'right' : 'left'}`);
    else if (shown(a) !== shown(b)) differences.push(`/${path}: ${shown(a)} != ${shown(b)}`);
  }
  return differences;
}
