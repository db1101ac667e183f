/** Inside the namespaces: drives one snapshot driver through what steps do, and describes what comes out. */

import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { serveNamespace } from '../../../src/executor/namespace-child.ts';
import { CopySnapshotter } from '../../../src/snapshot/copy.ts';
import { FuseOverlaySnapshotter } from '../../../src/snapshot/fuse-overlayfs.ts';
import { OverlaySnapshotter } from '../../../src/snapshot/overlay.ts';
import type { Snapshotter, SnapshotterName } from '../../../src/snapshot/snapshotter.ts';
import { makeNode } from '../../../src/system/file-calls.ts';
import { getXattr, setXattr } from '../../../src/system/xattrs.ts';

export interface DriverPayload {
  readonly driver: SnapshotterName;
  readonly scenario: keyof typeof scenarios;
  readonly directory: string;
}

interface Bench {
  readonly step: (change: (root: string) => void | Promise<void>) => Promise<string>;
  /** The merged view, read back through another driver so that the form on disk is what counts. */
  readonly view: (look: (root: string) => unknown) => Promise<unknown>;
  readonly lowers: () => readonly string[];
  readonly snapshotter: Snapshotter;
  readonly place: () => string;
}

function make(driver: SnapshotterName, directory: string): Snapshotter {
  if (driver === 'overlay') return new OverlaySnapshotter();
  if (driver === 'fuse-overlayfs') return new FuseOverlaySnapshotter('/usr/bin/fuse-overlayfs');
  return new CopySnapshotter(mkdtempSync(join(directory, 'kept-')));
}

function bench({ driver, directory }: DriverPayload): Bench {
  const snapshotter = make(driver, directory);
  let lowers: string[] = [];
  let count = 0;
  const place = (): string => {
    const path = join(directory, `s${count++}`);
    mkdirSync(path);
    return path;
  };
  return {
    snapshotter,
    place,
    lowers: () => lowers,
    step: async (change) => {
      const directoryOfStep = place();
      const mounted = await snapshotter.prepare(directoryOfStep, lowers);
      await change(mounted.rootfs);
      const upper = await mounted.commit();
      const left = readdirSync(directoryOfStep).join();
      if (left !== 'fs') throw new Error(`left behind: ${left}`);
      lowers = [upper, ...lowers];
      return upper;
    },
    view: async (look) => {
      const mounted = await new OverlaySnapshotter().prepare(place(), lowers);
      try {
        return look(mounted.rootfs);
      } finally {
        await mounted.discard();
      }
    },
  };
}

/** One line an entry: type, mode, owner, mtime, size or target. */
function describeTree(root: string, at = ''): string[] {
  const directory = Buffer.from(root + at, 'latin1');
  return readdirSync(directory, 'buffer')
    .map((name) => `${at}/${name.toString('latin1')}`)
    .sort()
    .flatMap((path) => {
      const bytes = Buffer.from(root + path, 'latin1');
      const stat = lstatSync(bytes, { bigint: true });
      const type = stat.isDirectory()
        ? 'd'
        : stat.isSymbolicLink()
          ? 'l'
          : stat.isFile()
            ? 'f'
            : stat.isFIFO()
              ? 'p'
              : 'c';
      const rest =
        type === 'l'
          ? readlinkSync(bytes)
          : type === 'f'
            ? `${stat.size} n${stat.nlink}`
            : type === 'c'
              ? String(stat.rdev)
              : '';
      const line =
        `${path} ${type} ${(stat.mode & 0o7777n).toString(8)} ${stat.uid}:${stat.gid} ${rest}`.trimEnd();
      return type === 'd' ? [line, ...describeTree(root, path)] : [line];
    });
}

const OLD = 1_000_000_000;

const scenarios = {
  /** No lowers; then deletion, replacement, and a directory made again. */
  changes: async ({ step, view }: Bench) => {
    await step((root) => {
      for (const name of ['keep', 'gone', 'again', 'becomes-file']) {
        mkdirSync(join(root, name));
        writeFileSync(join(root, name, 'a'), name);
        writeFileSync(join(root, name, 'b'), name);
      }
      writeFileSync(join(root, 'becomes-dir'), 'x');
      writeFileSync(join(root, 'deleted'), 'x');
      writeFileSync(join(root, 'edited'), 'x');
      symlinkSync('keep', join(root, 'link'));
    });
    const upper = await step((root) => {
      unlinkSync(join(root, 'deleted'));
      rmSync(join(root, 'gone'), { recursive: true });
      rmSync(join(root, 'again'), { recursive: true });
      mkdirSync(join(root, 'again'));
      writeFileSync(join(root, 'again', 'new'), 'n');
      rmSync(join(root, 'becomes-file'), { recursive: true });
      writeFileSync(join(root, 'becomes-file'), 'f');
      unlinkSync(join(root, 'becomes-dir'));
      mkdirSync(join(root, 'becomes-dir'));
      writeFileSync(join(root, 'becomes-dir', 'in'), 'i');
      appendFileSync(join(root, 'edited'), 'yy');
      unlinkSync(join(root, 'link'));
      symlinkSync('elsewhere', join(root, 'link'));
    });
    const whiteouts = ['deleted', 'gone'].map((name) => {
      const stat = lstatSync(join(upper, name));
      return stat.isCharacterDevice() && stat.rdev === 0;
    });
    const untouched = existsSync(join(upper, 'keep'));
    const stray = execFileSync('find', [upper, '-name', '.wh.*'], { encoding: 'utf8' });
    return { tree: await view(describeTree as (root: string) => unknown), whiteouts, untouched, stray };
  },
  metadata: async ({ step, view }: Bench) => {
    await step((root) => {
      writeFileSync(join(root, 'su'), 'x');
      chownSync(join(root, 'su'), 33, 34);
      chmodSync(join(root, 'su'), 0o4755);
      mkdirSync(join(root, 'sticky'));
      chmodSync(join(root, 'sticky'), 0o1777);
      mkdirSync(join(root, 'sgid'));
      chownSync(join(root, 'sgid'), 5, 6);
      chmodSync(join(root, 'sgid'), 0o2750);
      setXattr(join(root, 'su'), 'user.note', 'hello');
      setXattr(join(root, 'sticky'), 'user.note', 'dir');
      makeNode(join(root, 'fifo'), 0o010644, 0, 0);
      writeFileSync(join(root, 'cap'), 'x');
      execFileSync('setcap', ['cap_net_raw=ep', join(root, 'cap')]);
      writeFileSync(Buffer.from(`${root}/\xff\xfe odd`, 'latin1'), 'bytes');
      writeFileSync(join(root, 'old'), 'x');
      utimesSync(join(root, 'old'), OLD, OLD);
      utimesSync(join(root, 'sgid'), OLD, OLD);
    });
    await step((root) => {
      chmodSync(join(root, 'old'), 0o600);
      writeFileSync(join(root, 'sgid', 'inner'), 'x');
      setXattr(join(root, 'sticky'), 'user.more', 'yes');
    });
    return view((root) => ({
      tree: describeTree(root),
      xattrs: [
        getXattr(join(root, 'su'), 'user.note'),
        getXattr(join(root, 'sticky'), 'user.note'),
        getXattr(join(root, 'sticky'), 'user.more'),
      ],
      capability: execFileSync('getcap', [join(root, 'cap')], { encoding: 'utf8' })
        .trim()
        .endsWith('cap_net_raw=ep'),
      oldTime: statSync(join(root, 'old')).mtimeMs / 1000,
    }));
  },
  links: async ({ step, view }: Bench) => {
    await step((root) => {
      writeFileSync(join(root, 'one'), '1');
      linkSync(join(root, 'one'), join(root, 'two'));
    });
    const upper = await step((root) => {
      writeFileSync(join(root, 'x'), 'x');
      linkSync(join(root, 'x'), join(root, 'y'));
    });
    const same = statSync(join(upper, 'x')).ino === statSync(join(upper, 'y')).ino;
    await step((root) => {
      mkdirSync(join(root, 'from'));
      writeFileSync(join(root, 'from', 'f'), 'f');
    });
    let rename = 'renamed';
    await step((root) => {
      try {
        renameSync(join(root, 'from'), join(root, 'to'));
      } catch (error) {
        // What mv(1) and apt do then: overlayfs without redirect_dir leaves renaming a lower directory to the program.
        rename = (error as NodeJS.ErrnoException).code ?? '';
        mkdirSync(join(root, 'to'));
        writeFileSync(join(root, 'to', 'f'), readFileSync(join(root, 'from', 'f')));
        unlinkSync(join(root, 'from', 'f'));
        rmdirSync(join(root, 'from'));
      }
    });
    return { same, rename, tree: await view(describeTree as (root: string) => unknown) };
  },
  /** Many layers, each adding one file and deleting the one of two steps before. */
  many: async ({ step, view }: Bench) => {
    const begin = performance.now();
    for (let i = 0; i < 210; i++) {
      await step((root) => {
        writeFileSync(join(root, `f${i}`), '');
        if (i >= 2) unlinkSync(join(root, `f${i - 2}`));
      });
    }
    return {
      milliseconds: performance.now() - begin,
      tree: await view(describeTree as (root: string) => unknown),
    };
  },
  /** An opaque directory of another origin, as unpacking a layer makes it. */
  opaque: async ({ snapshotter, place }: Bench) => {
    const [low, high] = [place(), place()];
    mkdirSync(join(low, 'd'));
    writeFileSync(join(low, 'd', 'hidden'), '');
    writeFileSync(join(low, 'gone'), '');
    mkdirSync(join(high, 'd'));
    writeFileSync(join(high, 'd', 'seen'), '');
    setXattr(join(high, 'd'), 'user.overlay.opaque', 'y');
    makeNode(join(high, 'gone'), 0o020000, 0, 0);
    const mounted = await snapshotter.prepare(place(), [high, low]);
    const tree = describeTree(mounted.rootfs);
    await mounted.discard();
    await mounted.discard();
    return tree;
  },
  discard: async ({ snapshotter, place }: Bench) => {
    const directory = place();
    const mounted = await snapshotter.prepare(directory, []);
    writeFileSync(join(mounted.rootfs, 'x'), '');
    await mounted.discard();
    return {
      left: readdirSync(directory),
      mounts: readFileSync('/proc/self/mounts', 'utf8').includes(directory),
    };
  },
};

serveNamespace<DriverPayload, unknown>((payload) =>
  Promise.resolve(scenarios[payload.scenario](bench(payload))),
);
