/** The working directory of a RUN, made when the image has none of that name. */
import { chownSync, mkdirSync } from 'node:fs';
import type { SandboxUser } from '../executor/sandbox.ts';
import { resolvePath } from '../layer/resolve-path.ts';
import { toByteString, toFsPath } from '../system/byte-path.ts';
import { hostTree } from './host-tree.ts';

/** Makes `cwd` inside the root filesystem, its new directories owned by the step's user, mode 0755. */
export function prepareWorkdir(rootfs: string, cwd: string, user: SandboxUser): void {
  const tree = hostTree(rootfs);
  const resolved = resolvePath(tree, toByteString(cwd), { followLast: true });
  let path = '';
  for (const part of resolved.split('/')) {
    if (part === '') continue;
    path = path === '' ? part : `${path}/${part}`;
    if (tree.lstat(path) !== undefined) continue;
    mkdirSync(toFsPath(`${rootfs}/${path}`), 0o755);
    chownSync(toFsPath(`${rootfs}/${path}`), user.uid, user.gid);
  }
}
