import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { emulatedArchitectures } from '../../src/executor/foreign-platform.ts';
import { busyboxBase } from '../helpers/bases.ts';
import { Workspace } from '../helpers/workspace.ts';

interface Index {
  readonly manifests: readonly {
    readonly digest: string;
    readonly mediaType: string;
    readonly platform?: { readonly architecture: string; readonly variant?: string };
  }[];
}

const hasEmulator = emulatedArchitectures().includes('s390x');

describe('--platform', () => {
  test('several give an index, with RUN on this machine’s platform only', async () => {
    const work = new Workspace();
    work.write('hello', 'hello');
    work.write(
      'Dockerfile',
      `FROM --platform=$BUILDPLATFORM ${busyboxBase()} AS make
      ARG TARGETARCH TARGETVARIANT
      RUN echo $TARGETARCH $TARGETVARIANT > /arch
      FROM scratch
      COPY --from=make /arch /
      COPY hello /
      `,
    );
    const layout = work.fresh('layout');
    const platforms = ['--platform', 'linux/amd64,linux/s390x', '--platform', 'linux/arm/v7'];
    const { exitCode, stderr, stdout } = await work.kiln([
      ...['build', ...platforms, '-t', 'many', '--load'],
      ...['-o', `type=oci,tar=false,dest=${layout}`, '.'],
    ]);
    expect(exitCode, stderr).toBe(0);
    const read = (digest: string): Index =>
      JSON.parse(readFileSync(`${layout}/blobs/sha256/${digest.slice(7)}`, 'utf8')) as Index;
    const top = JSON.parse(readFileSync(`${layout}/index.json`, 'utf8')) as Index;
    expect(top.manifests).toHaveLength(1);
    expect(stdout.trim()).toBe(top.manifests[0]?.digest);
    const { manifests } = read(top.manifests[0]?.digest ?? '');
    expect(manifests.map(({ platform }) => platform)).toEqual([
      { os: 'linux', architecture: 'amd64' },
      { os: 'linux', architecture: 's390x' },
      { os: 'linux', architecture: 'arm', variant: 'v7' },
    ]);
    const directory = work.fresh('local');
    const local = await work.kiln(['build', ...platforms, '-o', directory, '.']);
    expect(local.exitCode, local.stderr).toBe(0);
    expect(readFileSync(`${directory}/linux_arm_v7/arch`, 'utf8')).toBe('arm v7\n');
    expect(readFileSync(`${directory}/linux_s390x/hello`, 'utf8')).toBe('hello');
    const images = await work.kiln(['images']);
    expect(images.stdout).toMatch(/^many +latest/m);
    const single = await work.kiln(['build', ...platforms, '-o', 'type=docker,dest=x', '.']);
    expect(single.exitCode).toBe(2);
    expect(single.stderr).toContain('[USAGE_PLATFORM]');
  });

  test.skipIf(hasEmulator)('a RUN for a foreign platform is refused, naming the cure', async () => {
    const work = new Workspace();
    for (const args of [[], ['--no-cache']]) {
      const { exitCode, stderr } = await work.tryBuild('ARG BASE\nFROM $BASE\nRUN true\n', {
        args: ['--platform', 'linux/s390x', ...args],
      });
      expect(exitCode).toBe(1);
      expect(stderr).toContain('[HOST_FOREIGN_PLATFORM]');
      expect(stderr).toContain('>>> RUN true');
      expect(stderr).toContain('qemu-user-static');
    }
  });

  test('a base image for another platform is warned about', async () => {
    const work = new Workspace();
    const { stderr, exitCode } = await work.tryBuild('ARG BASE\nFROM $BASE\nCOPY <<EOF /f\nx\nEOF\n', {
      args: ['--platform', 'linux/s390x'],
    });
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toContain('InvalidBaseImagePlatform');
  });
});

describe('--squash', () => {
  test('one layer on top of the base, with the same files', async () => {
    const work = new Workspace();
    work.write('hello', 'hello');
    const dockerfile = `
      ARG BASE
      FROM $BASE
      RUN mkdir /d && echo 1 > /d/1 && chmod 700 /d
      COPY hello /d/2
      RUN rm /d/1 && echo 3 > /d/3 && ln /d/3 /d/4 && rm /etc/passwd && ln -s 3 /d/5
      WORKDIR /w
    `;
    const { image: plain } = await work.build(dockerfile);
    const { image } = await work.build(dockerfile, { args: ['--squash'] });
    const base = work.open(busyboxBase());
    expect(image.layersAbove(base)).toBe(1);
    expect([...image.tree.keys()].sort()).toEqual([...plain.tree.keys()].sort());
    expect(image.tree.get('d/3')).toMatchObject({ mode: '644' });
    expect(image.tree.get('d')).toMatchObject({ mode: '700' });
    expect(image.tree.get('d/4')?.sameAs).toBe(plain.tree.get('d/4')?.sameAs);
    expect(image.tree.has('etc/passwd')).toBe(false);
    expect(image.namesInLayer(-1)).not.toContain('d/1');
    image.validate();
  });
});

describe('--no-cache-filter', () => {
  test('runs the steps of the stages named, and takes the rest from the cache', async () => {
    const work = new Workspace();
    const dockerfile = `
      ARG BASE
      FROM $BASE AS one
      RUN echo one
      FROM $BASE AS two
      RUN echo two
      COPY --from=one /etc/passwd /p
    `;
    await work.build(dockerfile);
    const { result } = await work.build(dockerfile, { args: ['--no-cache-filter', 'TWO'] });
    expect(result.stderr).toMatch(/\[one 2\/2\] RUN echo one\n#\d+ CACHED/);
    expect(result.stderr).toMatch(/\[two 2\/3\] RUN echo two\n(?:#\d+ [\d.]+ two\n)?#\d+ DONE/);
  });
});
