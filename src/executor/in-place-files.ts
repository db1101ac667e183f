/**
 * Mounts for hosts where nothing can be mounted (root in a plain container): what would be mounted is copied into the
 * root filesystem for the run, copied back where the step may write, and what was there before is put back.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.ts';
import { toByteString } from '../system/byte-path.ts';
import { makeNode, setTimes } from '../system/file-calls.ts';
import type { MountPoints } from './mount-points.ts';
import type { PlannedMount } from './oci-spec.ts';

/** Character devices that programs take for granted, with their numbers. */
const DEVICES = [
  ['null', 3],
  ['zero', 5],
  ['full', 7],
  ['random', 8],
  ['urandom', 9],
] as const;

const S_IFCHR = 0o020000;

/** What is copied in for one run, and how to undo it. */
export class InPlaceFiles {
  readonly #rootfs: string;
  readonly #points: MountPoints;
  readonly #undo: (() => void)[] = [];

  constructor(rootfs: string, points: MountPoints) {
    this.#rootfs = rootfs;
    this.#points = points;
  }

  /** Puts the bind mounts of a plan in place, and the most needed devices. */
  install(mounts: readonly PlannedMount[]): void {
    this.#devices();
    for (const mount of mounts) {
      const kind = mount.mountPoint;
      const isBind = mount.type === 'bind' && mount.destination !== '/sys';
      if (kind === undefined || (!isBind && mount.type !== 'tmpfs') || mount.destination === '/dev') continue;
      const target = join(this.#rootfs, this.#points.make(mount.destination, kind));
      if (kind === 'file') this.#file(mount, target);
      else this.#directory(mount, target);
    }
  }

  #devices(): void {
    const dev = join(this.#rootfs, this.#points.make('/dev', 'directory'));
    for (const [name, minor] of DEVICES) {
      const path = join(dev, name);
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue;
      try {
        makeNode(toByteString(path), S_IFCHR | 0o666, 1, minor);
      } catch (error) {
        if (systemErrorCode(error) !== 'EPERM') throw error;
        // This container may not make devices. What a step sends to /dev/null must not stay in the image, though.
        if (name !== 'null') continue;
        writeFileSync(path, '');
      }
      chmodSync(path, 0o666);
      this.#undo.push(() => unlinkSync(path));
    }
  }

  #file({ source, options }: PlannedMount, target: string): void {
    const before = lstatSync(target, { bigint: true });
    const content = readFileSync(target);
    const given = lstatSync(source);
    writeFileSync(target, readFileSync(source));
    chmodSync(target, given.mode & 0o7777);
    this.#undo.push(() => {
      if (options.includes('rw')) writeFileSync(source, readFileSync(target));
      truncateSync(target);
      writeFileSync(target, content);
      chmodSync(target, Number(before.mode) & 0o7777);
      setTimes(toByteString(target), before.atimeNs, before.mtimeNs);
    });
  }

  #directory({ source, type, options }: PlannedMount, target: string): void {
    const hidden = `${target}.kiln-hidden`;
    const before = lstatSync(target, { bigint: true });
    const parent = lstatSync(join(target, '..'), { bigint: true });
    // What the image has there must not be seen meanwhile, as under a mount.
    renameSync(target, hidden);
    mkdirSync(target);
    if (type === 'bind') copyTree(source, target);
    else chmodSync(target, 0o1777);
    this.#undo.push(() => {
      if (type === 'bind' && options.includes('rw')) {
        for (const name of readdirSync(source)) rmSync(join(source, name), { recursive: true });
        copyTree(target, source);
      }
      rmSync(target, { recursive: true });
      renameSync(hidden, target);
      chownSync(target, Number(before.uid), Number(before.gid));
      setTimes(toByteString(join(target, '..')), parent.atimeNs, parent.mtimeNs);
    });
  }

  /** Undoes `install`, last first. */
  restore(): void {
    for (const undo of this.#undo.splice(0).reverse()) undo();
  }
}

/** The contents of one directory into another, owners, links and attributes included. */
function copyTree(from: string, to: string): void {
  execFileSync('cp', ['-a', '--', `${from}/.`, to], { stdio: ['ignore', 'ignore', 'pipe'] });
}
