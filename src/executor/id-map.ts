/** Subordinate IDs (/etc/subuid, /etc/subgid) and the maps of a user namespace made of them. Pure. */
import { BuildError } from '../errors.ts';

/** `count` IDs from `start` on. */
export interface IdRange {
  readonly start: number;
  readonly count: number;
}

/** One line of /proc/<pid>/uid_map. */
export interface IdMapping {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

/** Who asks: the caller of kiln. */
export interface IdOwner {
  readonly uid: number;
  readonly gid: number;
  /** Login name; undefined when the user database has none. */
  readonly name: string | undefined;
}

/** Ranges that a subuid or subgid file gives to a user, by name or by number, in the file's order. */
export function subordinateRanges(text: string, owner: IdOwner): IdRange[] {
  const ranges: IdRange[] = [];
  for (const line of text.split('\n')) {
    const [who, start, count] = line.split('#', 1)[0]?.trim().split(':') ?? [];
    if (who === undefined || who === '' || (who !== owner.name && who !== String(owner.uid))) continue;
    const range = { start: Number(start), count: Number(count) };
    if (Number.isSafeInteger(range.start) && Number.isSafeInteger(range.count) && range.count > 0) {
      ranges.push(range);
    }
  }
  return ranges;
}

/** ID 0 inside is the caller; the subordinate IDs follow from 1 on. */
export function idMappings(caller: number, ranges: readonly IdRange[]): IdMapping[] {
  const mappings: IdMapping[] = [{ inside: 0, outside: caller, count: 1 }];
  let inside = 1;
  for (const { start, count } of ranges) {
    mappings.push({ inside, outside: start, count });
    inside += count;
  }
  return mappings;
}

/** What /proc/<pid>/uid_map of the caller says it can see, mapped to itself: root makes a namespace like its own. */
export function identityMappings(procMap: string): IdMapping[] {
  const mappings: IdMapping[] = [];
  for (const line of procMap.split('\n')) {
    const [inside, , count] = line.trim().split(/\s+/).map(Number);
    if (inside !== undefined && count !== undefined) mappings.push({ inside, outside: inside, count });
  }
  return mappings;
}

/** The arguments of newuidmap and newgidmap after the process ID; also the lines of an ID map. */
export function mappingArguments(mappings: readonly IdMapping[]): string[] {
  return mappings.flatMap(({ inside, outside, count }) => [String(inside), String(outside), String(count)]);
}

export interface IdMaps {
  readonly uids: readonly IdMapping[];
  readonly gids: readonly IdMapping[];
}

/** Both maps of a user, or HOST_NO_SUBUID / HOST_NO_SUBGID with the command that cures it. */
export function userIdMaps(owner: IdOwner, subuid: string, subgid: string): IdMaps {
  const uids = subordinateRanges(subuid, owner);
  const gids = subordinateRanges(subgid, owner);
  if (uids.length === 0) throw noSubordinateIds(owner, 'uid', gids.length === 0);
  if (gids.length === 0) throw noSubordinateIds(owner, 'gid', false);
  return { uids: idMappings(owner.uid, uids), gids: idMappings(owner.gid, gids) };
}

function noSubordinateIds(owner: IdOwner, kind: 'uid' | 'gid', both: boolean): BuildError {
  const who = owner.name ?? String(owner.uid);
  const files = both ? '/etc/subuid or /etc/subgid' : `/etc/sub${kind}`;
  const line = `${who}:100000:65536`;
  const cure =
    owner.name === undefined
      ? `As root: echo ${line} >> /etc/sub${kind}${both ? ` && echo ${line} >> /etc/subgid` : ''} (user ${owner.uid} has no login name)`
      : `As root: usermod ${both || kind === 'uid' ? '--add-subuids 100000-165535' : ''}${both ? ' ' : ''}${both || kind === 'gid' ? '--add-subgids 100000-165535' : ''} ${who}`;
  return new BuildError(
    kind === 'uid' ? 'HOST_NO_SUBUID' : 'HOST_NO_SUBGID',
    `User "${who}" has no subordinate ${kind === 'uid' ? 'user' : 'group'} IDs: no line for it in ${files}. Files of an image have many owners, so a rootless build needs them.`,
    {
      suggestions: [
        cure,
        `On Alpine, which has no usermod: echo ${line} | tee -a /etc/subuid -a /etc/subgid`,
        'If another user has the range 100000-165535 already, take the next free one; it needs 65536 IDs.',
      ],
    },
  );
}
