/** The same Dockerfiles by Debian's buildah: same files, same config. What is ignored is in docs/differences.md. */
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { busyboxBase, debianBase } from '../helpers/bases.ts';
import { buildWithBuildah } from '../helpers/buildah.ts';
import type { ConfigFile, OciImage } from '../helpers/oci-image.ts';
import { compareTrees } from '../helpers/tree.ts';
import { ROOTLESS, Workspace } from '../helpers/workspace.ts';

const FIXTURES = join(dirname(dirname(import.meta.dirname)), 'fixtures');

/** buildah mounts these and may leave an empty file behind; the times of a package manager's logs differ. */
const IGNORED = [
  'etc/hosts',
  'etc/resolv.conf',
  'etc/hostname',
  'run',
  'var/log',
  'var/cache',
  'etc/passwd-',
  'etc/group-',
  'etc/shadow-',
  'etc/gshadow-',
  'var/lib/apt',
  'proc',
  'sys',
  'dev',
];

function comparable({ config }: ConfigFile) {
  const { 'io.buildah.version': _, ...labels } = config.Labels ?? {};
  return {
    User: config.User ?? '',
    Env: config.Env ?? [],
    Cmd: config.Cmd ?? [],
    Entrypoint: config.Entrypoint ?? [],
    WorkingDir: config.WorkingDir || '/',
    ExposedPorts: Object.keys(config.ExposedPorts ?? {}).sort(),
    Volumes: Object.keys(config.Volumes ?? {}).sort(),
    StopSignal: config.StopSignal ?? '',
    labels,
  };
}

function expectSame(ours: OciImage, theirs: OciImage): void {
  expect(comparable(ours.config)).toEqual(comparable(theirs.config));
  expect(compareTrees(ours.tree, theirs.tree, { ignore: IGNORED })).toEqual([]);
}

describe('the same as buildah', () => {
  test.each([
    ['app', debianBase],
    ['hello', busyboxBase],
  ])('fixtures/%s', async (name, base) => {
    const work = new Workspace(ROOTLESS);
    const context = join(FIXTURES, name);
    const dockerfile = join(context, 'Dockerfile');
    work.shell(`cp -a ${context}/. .`);
    const { readFileSync } = await import('node:fs');
    const { image } = await work.build(readFileSync(dockerfile, 'utf8'), { base: base(), timeout: 170_000 });
    const theirs = buildWithBuildah({
      dockerfile,
      context: work.context,
      scratch: work.fresh('buildah'),
      buildArgs: { BASE: base() },
    });
    expectSame(image, theirs);
  });

  test.each([
    [
      'files of many kinds',
      'ARG BASE\nFROM $BASE\nRUN mkdir -m 2750 /a && echo x > /a/x && ln /a/x /a/y && ln -s x /a/z && mkfifo /a/p && chown 12:34 /a/x && chmod 6755 /a/x && rm /bin/yes && mv /home /moved\n',
    ],
    [
      'copies',
      'ARG BASE\nFROM $BASE\nCOPY . /all/\nCOPY --chown=33:50 d /d\nADD --chown=1:2 f /f\nCOPY d/* /flat/\nADD t.tar.gz /t\n',
    ],
    [
      'stages',
      'ARG BASE\nFROM $BASE AS a\nRUN mkdir /o && echo 1 > /o/1 && chmod 4711 /o/1 && chown -h 5:6 /o/1\nFROM $BASE\nCOPY --from=a /o /o\nWORKDIR /w/x\nUSER 7:8\nENV A=1 B=$A\nVOLUME /v\nEXPOSE 1 2/udp\nCMD x y\n',
    ],
  ])('%s', async (_, text) => {
    const work = new Workspace(ROOTLESS);
    work.writeAll({ f: 'f', 'd/one': '1', 'd/two': '2', 'd/sub/three': '3' });
    work.shell('chmod 640 d/one; tar -czf t.tar.gz --owner=3 --group=4 d; ln -s f link');
    const { image } = await work.build(text);
    const dockerfile = work.write('../peer.Dockerfile', text);
    const theirs = buildWithBuildah({
      dockerfile,
      context: work.context,
      scratch: work.fresh('buildah'),
      buildArgs: { BASE: busyboxBase() },
    });
    expectSame(image, theirs);
  });
});
