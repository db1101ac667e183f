import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { pathWithout } from '../helpers/path-without.ts';
import { ROOTLESS, VARIANTS, Workspace } from '../helpers/workspace.ts';

/** Dockerfile, code, exit status, words the message must have. */
const CASES: readonly (readonly [string, string, string, number, readonly string[]])[] = [
  [
    'an unknown instruction',
    'FROM scratch\nCOPPY a b\n',
    'DOCKERFILE_UNKNOWN_INSTRUCTION',
    2,
    ['COPPY', 'COPY', ':2'],
  ],
  ['no FROM', 'RUN true\n', 'DOCKERFILE_', 2, ['FROM']],
  ['an empty Dockerfile', '', 'DOCKERFILE_EMPTY', 2, []],
  [
    'an unknown flag',
    'FROM scratch\nCOPY --form=x a b\n',
    'DOCKERFILE_UNKNOWN_FLAG',
    2,
    ['--form', '--from'],
  ],
  [
    'a missing source',
    'FROM scratch\nLABEL a=b\nCOPY nowhere.txt /x\n',
    'COPY_SOURCE_NOT_FOUND',
    1,
    ['nowhere.txt', ':3'],
  ],
  [
    'a source outside the context',
    'FROM scratch\nCOPY ../../etc/shadow /x\n',
    'COPY_SOURCE_NOT_FOUND',
    1,
    ['etc/shadow'],
  ],
  ['a missing base', 'FROM oci:/nowhere/at/all:x\n', 'BASE_IMAGE_', 1, ['/nowhere/at/all', ':1']],
  ['a bad variable', 'FROM scratch\nENV A=${B:?must be set}\n', 'DOCKERFILE_', 2, ['must be set', ':2']],
  ['a stage that does not exist', 'FROM scratch\nCOPY --from=99 a b\n', 'DOCKERFILE_', 2, ['99']],
];

describe('errors', () => {
  test.each(CASES)('%s', async (_, dockerfile, code, status, words) => {
    const work = new Workspace(ROOTLESS);
    const result = await work.tryBuild(dockerfile);
    expect(result.exitCode, result.stderr).toBe(status);
    expect(result.stderr).toContain(code);
    for (const word of words) expect(result.stderr).toContain(word);
    expect(result.stderr).not.toMatch(/^\s+at .*\.cjs:/m);
    expect(result.stdout).toBe('');
  });

  test('an unknown target names what there is', async () => {
    const work = new Workspace(ROOTLESS);
    const result = await work.tryBuild('FROM scratch AS builder\nFROM scratch\n', {
      args: ['--target', 'bulder'],
    });
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain('USAGE_UNKNOWN_TARGET');
    expect(result.stderr).toContain('builder');
  });

  test('a source that is nearly there is suggested', async () => {
    const work = new Workspace(ROOTLESS);
    work.write('package.json', '{}');
    const result = await work.tryBuild('FROM scratch\nCOPY pakage.json /\n');
    expect(result.stderr).toContain('package.json');
  });

  test.each([
    ['an unknown flag', ['build', '--nonsense', '.'], '--nonsense'],
    ['a bad output', ['build', '--output', 'type=ooci,dest=x', '.'], 'ooci'],
    ['no such context', ['build', '/nowhere/at/all'], '/nowhere/at/all'],
    ['no such Dockerfile', ['build', '-f', 'Absent', '.'], 'Absent'],
    ['an unknown command', ['biuld', '.'], 'biuld'],
  ])('wrong usage: %s', async (_, args, word) => {
    const work = new Workspace(ROOTLESS);
    work.write('Dockerfile', 'FROM scratch\nLABEL a=b\n');
    const result = await work.kiln(args);
    expect([1, 2]).toContain(result.exitCode);
    expect(result.stderr).toContain(word);
    expect(result.stderr).not.toMatch(/^\s+at .*\.cjs:/m);
  });
});

describe.each(VARIANTS)('a failing RUN as $user over $snapshotter', (variant) => {
  test('shows the command, its exit code, its last output and the line', async () => {
    const work = new Workspace(variant);
    const result = await work.tryBuild(
      'ARG BASE\nFROM $BASE\nRUN echo first\n\nRUN echo the-reason >&2; \\\n    exit 42\n',
    );
    expect(result.exitCode).toBe(1);
    for (const word of ['RUN_FAILED', '42', 'the-reason', 'exit 42', ':5'])
      expect(result.stderr).toContain(word);
  });

  test('a command that is not there, and one killed by a signal', async () => {
    const work = new Workspace(variant);
    const absent = await work.tryBuild('ARG BASE\nFROM $BASE\nRUN ["/no/such/program"]\n');
    expect(absent.exitCode).toBe(1);
    expect(absent.stderr).toContain('/no/such/program');
    const killed = await work.tryBuild("ARG BASE\nFROM $BASE\nRUN sh -c 'kill -9 $$'; exit $?\n");
    expect(killed.exitCode).toBe(1);
    expect(killed.stderr).toMatch(/137|SIGKILL|signal 9/);
  });
});

test.each([
  ['', []],
  [' with --no-cache', ['--no-cache']],
])('a file of the context that nobody may read is named, with its line%s', async (_name, args) => {
  const work = new Workspace(ROOTLESS);
  // Not even the user's own namespace may read what belongs to root.
  const path = work.write('secret', 'x', 0);
  chownSync(path, 0, 0);
  const result = await work.tryBuild('ARG BASE\nFROM $BASE\nCOPY . /all\nRUN true\n', { args });
  expect(result.exitCode).toBe(1);
  expect(result.stderr).toContain('[CONTEXT_NO_ACCESS]');
  expect(result.stderr).toMatch(/:3\n(.*\n)+.*>>> COPY \. \/all/);
  expect(result.stderr).toContain('name it in .dockerignore: secret');
});

describe('the machine', () => {
  test('without newuidmap: says so and how to get it', async () => {
    const work = new Workspace(ROOTLESS);
    const env = { PATH: pathWithout(work, 'newuidmap', 'newgidmap') };
    const result = await work.tryBuild('ARG BASE\nFROM $BASE\nRUN true\n', { env });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('HOST_NO_NEWUIDMAP');
    expect(result.stderr).toContain('uidmap');
  });

  test('without crun and runc: never a weaker sandbox in silence, and an error where oci is asked for', async () => {
    const work = new Workspace(ROOTLESS);
    const env = { PATH: pathWithout(work, 'crun', 'runc') };
    const dockerfile = 'ARG BASE\nFROM $BASE\nRUN true\n';
    const forced = await work.tryBuild(dockerfile, { env, args: ['--isolation=oci'] });
    expect(forced.exitCode).toBe(1);
    expect(forced.stderr).toContain('HOST_NO_RUNTIME');
    expect(forced.stderr).toContain('crun');
    const chosen = await work.tryBuild(dockerfile, { env });
    expect(chosen.stderr).toMatch(/chroot|HOST_NO_RUNTIME/);
  });

  test('without fuse-overlayfs, when it was asked for', async () => {
    const work = new Workspace({ user: 'kilntest', snapshotter: 'fuse-overlayfs' });
    const result = await work.tryBuild('ARG BASE\nFROM $BASE\nRUN true\n', {
      env: { PATH: pathWithout(work, 'fuse-overlayfs') },
    });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('fuse-overlayfs');
  });

  test('a store that cannot be written', async () => {
    const work = new Workspace(ROOTLESS);
    const result = await work.tryBuild('FROM scratch\nLABEL a=b\n', { env: { KILN_HOME: '/proc/kiln' } });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('/proc/kiln');
  });

  test('a context that cannot be read', async () => {
    const work = new Workspace(ROOTLESS);
    const path = work.write('locked', 'x');
    chmodSync(path, 0);
    const result = await work.tryBuild('FROM scratch\nCOPY . /\n');
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('locked');
    chmodSync(path, 0o644);
  });

  test('a full disk: the build fails, is named, and the store goes on working', async () => {
    const work = new Workspace(ROOTLESS);
    work.shell(
      'mkdir -p ../home && mount -t tmpfs -o size=24m,mode=777 none ../home; mkdir ../path-holder; dd if=/dev/urandom of=big bs=1M count=40 2> /dev/null',
    );
    try {
      const result = await work.tryBuild('FROM scratch\nCOPY big /\n');
      expect(result.exitCode).toBe(1);
      expect(result.stderr).toMatch(/DISK_FULL|full|space/i);
      writeFileSync(`${work.context}/big`, 'small now');
      const second = await work.tryBuild('FROM scratch\nCOPY big /\n');
      expect(second.exitCode, second.stderr).toBe(0);
    } finally {
      work.shell('umount ../home');
    }
  });

  test('a user without subordinate IDs', async () => {
    const work = new Workspace(ROOTLESS);
    const wrapper = [
      'unshare',
      '--map-root-user',
      '--mount',
      'sh',
      '-c',
      'mount -t tmpfs none /mnt; : > /mnt/empty; mount --bind /mnt/empty /etc/subuid && mount --bind /mnt/empty /etc/subgid && exec unshare --map-user=1000 --map-group=1000 -- "$@"',
      'sh',
    ];
    const result = await work.tryBuild('ARG BASE\nFROM $BASE\nRUN true\n', { wrapper });
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toMatch(/subordinate|\/etc\/subuid/);
  });
});
