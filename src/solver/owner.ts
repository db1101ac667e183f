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
  return lines(tree, 'etc/passwd').flatMap(([name = '', , uid = '', gid = '']) =>
    NUMBER.test(uid) && NUMBER.test(gid) ? [{ name, uid: Number(uid), gid: Number(gid) }] : [],
  );
}

function groups(tree: FileTree): GroupEntry[] {
  return lines(tree, 'etc/group').flatMap(([name = '', , gid = '', members = '']) =>
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

/** True when a user specification needs the image's files to be understood. */
export function needsLookup(user: string): boolean {
  return user.split(':').some((part) => part !== '' && !NUMBER.test(part));
}

/** --chown and the owner of WORKDIR: a number without a group is also the group. Throws RUN_UNKNOWN_USER. */
export function resolveOwner(spec: string, tree: () => FileTree): Owner {
  const [user = '', group] = spec.split(':', 2);
  const id = user === '' ? 0 : number(user);
  const owner = id === undefined ? findUser(tree(), user) : { uid: id, gid: id };
  if (group === undefined || group === '') return { uid: owner.uid, gid: owner.gid };
  return { uid: owner.uid, gid: number(group) ?? findGroup(tree(), group) };
}

/** USER for a process: primary and additional groups as the image's files have them. Throws RUN_UNKNOWN_USER. */
export function resolveUser(spec: string, tree: () => FileTree): SandboxUser {
  const [user = '', group] = spec.split(':', 2);
  const id = user === '' ? 0 : number(user);
  const entry =
    id === undefined ? findUser(tree(), user) : passwd(tree()).find((candidate) => candidate.uid === id);
  const uid = id ?? entry?.uid ?? 0;
  if (group !== undefined && group !== '') {
    return { uid, gid: number(group) ?? findGroup(tree(), group), additionalGids: [] };
  }
  const gid = entry?.gid ?? 0;
  const name = entry?.name;
  const additional = name === undefined ? [] : groups(tree()).filter(({ members }) => members.includes(name));
  return {
    uid,
    gid,
    additionalGids: [...new Set(additional.map((found) => found.gid))].filter((g) => g !== gid),
  };
}
