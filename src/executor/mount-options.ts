/** Mount options as the runtime-spec writes them, for mount(2). */
import { readFileSync } from 'node:fs';
import { toByteString } from '../system/byte-path.ts';
import { MOUNT, mount } from '../system/mount-calls.ts';
import type { RuntimeMount } from './oci-spec.ts';

const FLAGS: Readonly<Record<string, number>> = {
  ro: MOUNT.readonly,
  nosuid: MOUNT.nosuid,
  nodev: MOUNT.nodev,
  noexec: MOUNT.noexec,
  noatime: 1024,
  nodiratime: 2048,
  relatime: 1 << 21,
  strictatime: 1 << 24,
  bind: MOUNT.bind,
  rbind: MOUNT.bind | MOUNT.recursive,
};

/** Options without a meaning of their own in mount(2): the default, or settled elsewhere. */
const DEFAULTS = new Set(['rw', 'rprivate']);

/** Makes one mount of a plan at `target`, a path as the caller sees it. */
export function makeMount({ type, source, options }: RuntimeMount, target: string): void {
  let flags = 0;
  const data: string[] = [];
  for (const option of options) {
    const flag = FLAGS[option];
    if (flag !== undefined) flags |= flag;
    else if (!DEFAULTS.has(option)) data.push(option);
  }
  const bytes = { source: toByteString(source), target: toByteString(target) };
  if ((flags & MOUNT.bind) !== 0) {
    mount({ ...bytes, flags: flags & (MOUNT.bind | MOUNT.recursive) });
    // A bind takes over the flags of its source; others need a second step.
    const rest = flags & ~(MOUNT.bind | MOUNT.recursive);
    if (rest !== 0) changeFlags(target, rest);
    return;
  }
  mount({ ...bytes, type, flags, data: data.join(',') });
}

/** Adds flags to a mount. In a user namespace the ones it has are locked, so they are repeated. */
export function changeFlags(target: string, flags: number): void {
  const kept = mountedFlags(target);
  mount({ source: 'none', target: toByteString(target), flags: MOUNT.remount | MOUNT.bind | kept | flags });
}

/** Flags of the mount on top of `target`, from mountinfo. */
function mountedFlags(target: string): number {
  const escaped = toByteString(target).replace(
    /[ \t\n\\]/g,
    (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
  const lines = readFileSync('/proc/thread-self/mountinfo', 'latin1').split('\n');
  const options = lines.findLast((line) => line.split(' ')[4] === escaped)?.split(' ')[5] ?? '';
  return options.split(',').reduce((flags, option) => flags | (FLAGS[option] ?? 0), 0);
}
