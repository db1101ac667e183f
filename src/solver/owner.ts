/**
 * Users and groups by the image's own /etc/passwd and /etc/group. USER and --chown read names differently where only a
 * number is given; both follow BuildKit.
 */
import { BuildError } from '../errors.ts';
import type { SandboxUser } from '../executor/sandbox.ts';
import type { FileTree } from '../layer/file-tree.ts';
import { readSmallFile } from '../layer/read-file.ts';
import { resolvePath } from '../layer/resolve-path.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const NUMBER = /^\d+$/;
const MAX_ID = 0xffff_fffe;

const PASSWD = 'etc/passwd';
const GROUP = 'etc/group';

/** The files that names are looked up in, symlinks followed: their bytes must be there. */
export function accountFiles(tree: FileTree): string[] {
  return [PASSWD, GROUP].map((path) => resolvePath(tree, path, { followLast: true }));
}

function lines(tree: FileTree, path: string): string[][] {
  const resolved = resolvePath(tree, path, { followLast: true });
  if (tree.lstat(resolved)?.type !== 'file') return [];
  const text = readSmallFile(tree, resolved).toString('utf8');
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

function passwd(tree: FileTree): PasswdEntry[] {
  return lines(tree, PASSWD).flatMap(([name = '', , uid = '', gid = '']) =>
    NUMBER.test(uid) && NUMBER.test(gid) ? [{ name, uid: Number(uid), gid: Number(gid) }] : [],
  );
}

function groups(tree: FileTree): GroupEntry[] {
  return lines(tree, GROUP).flatMap(([name = '', , gid = '', members = '']) =>
    NUMBER.test(gid)
      ? [{ name, gid: Number(gid), members: members.split(',').map((member) => member.trim()) }]
      : [],
  );
}

function number(text: string): number | undefined {
  if (!NUMBER.test(text)) return undefined;
  const id = Number(text);
  if (id > MAX_ID) {
    throw new BuildError('RUN_UNKNOWN_USER', `user or group ID ${text} is out of range`, {
      suggestions: [`IDs go from 0 to ${MAX_ID}.`],
    });
  }
  return id;
}

function findUser(tree: FileTree, name: string): PasswdEntry {
  const found = passwd(tree).find((entry) => entry.name === name);
  if (found !== undefined) return found;
  throw new BuildError(
    'RUN_UNKNOWN_USER',
    `unable to find user ${name}: no matching entries in passwd file`,
    {
      suggestions: [`Create it in a RUN before (useradd ${name}), or give numbers, such as 1000:1000.`],
    },
  );
}

function findGroup(tree: FileTree, name: string): number {
  const found = groups(tree).find((entry) => entry.name === name);
  if (found !== undefined) return found.gid;
  throw new BuildError(
    'RUN_UNKNOWN_USER',
    `unable to find group ${name}: no matching entries in group file`,
    {
      suggestions: [`Create it in a RUN before (groupadd ${name}), or give a number.`],
    },
  );
}

/** True when the owner of files needs the image's files to be understood. */
export function needsLookup(user: string): boolean {
  return user.split(':').some((part) => ownerNumber(part) === undefined);
}

/** The ID of an owner that is a number, root, or nothing at all, which is root too. */
function ownerNumber(text: string): number | undefined {
  return text === '' || text === 'root' ? 0 : number(text);
}

/**
 * --chown: a number without a group is also the group, an empty group is group 0 (as in BuildKit), root is known
 * without asking the image. Throws RUN_UNKNOWN_USER.
 */
export function resolveOwner(spec: string, tree: () => FileTree): Owner {
  const colon = spec.indexOf(':');
  const user = colon < 0 ? spec : spec.slice(0, colon);
  const id = ownerNumber(user);
  const owner = id === undefined ? findUser(tree(), user) : { uid: id, gid: id };
  if (colon < 0) return { uid: owner.uid, gid: owner.gid };
  const group = spec.slice(colon + 1);
  return { uid: owner.uid, gid: ownerNumber(group) ?? findGroup(tree(), group) };
}

/** The owner of directories that WORKDIR makes: a USER that the image does not have (yet) counts as root. */
export function workdirOwner(spec: string, tree: () => FileTree): Owner {
  try {
    return resolveOwner(spec, tree);
  } catch (error) {
    if (error instanceof BuildError && error.code === 'RUN_UNKNOWN_USER') return { uid: 0, gid: 0 };
    throw error;
  }
}

/** USER for a process: primary and additional groups as the image's files have them. Throws RUN_UNKNOWN_USER. */
export function resolveUser(spec: string, tree: () => FileTree): SandboxUser {
  const [user = '', group] = spec.split(':', 2);
  // No USER is user 0, with the groups that the image gives it.
  const id = user === '' ? 0 : number(user);
  const entry =
    id === undefined ? findUser(tree(), user) : passwd(tree()).find((candidate) => candidate.uid === id);
  const uid = id ?? entry?.uid ?? 0;
  if (group !== undefined && group !== '') {
    const gid = number(group) ?? findGroup(tree(), group);
    return { uid, gid, additionalGids: [gid] };
  }
  const gid = entry?.gid ?? 0;
  const name = entry?.name;
  const additional = name === undefined ? [] : groups(tree()).filter(({ members }) => members.includes(name));
  // The primary group is among the additional ones too: without, a process could not drop what the group is denied.
  return { uid, gid, additionalGids: [...new Set([gid, ...additional.map((found) => found.gid)])] };
}

/** The home directory of a user by the image's /etc/passwd; "/" for one who is not in it. */
export function homeOf(uid: number, tree: FileTree): string {
  for (const [, , id, , , home] of lines(tree, PASSWD)) {
    if (id === String(uid) && home !== undefined && home !== '') return home;
  }
  return '/';
}
