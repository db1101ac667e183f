/** Builds that write one cache at the same time: it stays whole, and has what each of them made. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOTLESS, Workspace } from '../helpers/workspace.ts';
import { type RegistryServer, startRegistry } from '../registry/registry-server.ts';

let registry: RegistryServer;

beforeAll(async () => {
  registry = await startRegistry();
});

afterAll(async () => {
  await registry.stop();
});

const WRITERS = [1, 2, 3, 4];

/** The same first step for all, then one of its own. */
const dockerfile = (writer: number) =>
  `ARG BASE\nFROM $BASE\nRUN echo shared > /shared\nRUN echo ${writer} && head -c 2000 /dev/urandom | base64 > /own\n`;

async function writeAtOnce(to: string): Promise<string[]> {
  return Promise.all(
    WRITERS.map(async (writer) => {
      const { result, image } = await new Workspace(ROOTLESS).build(dockerfile(writer), {
        args: ['--cache-to', to],
      });
      expect(result.stderr).not.toContain('was not exported');
      return image.text('own');
    }),
  );
}

async function expectEveryWriter(from: string, made: readonly string[]): Promise<void> {
  const empty = new Workspace(ROOTLESS);
  for (const [index, writer] of WRITERS.entries()) {
    const { result, image } = await empty.build(dockerfile(writer), { args: ['--cache-from', from] });
    expect(result.stderr).not.toContain('is not used');
    expect(result.stderr).not.toMatch(/^#\d+ [\d.]+ \d$/m);
    expect(image.text('own')).toBe(made[index]);
    expect(image.checkDiffIds()).toEqual(image.config.rootfs.diff_ids);
  }
}

test('in a registry', async () => {
  const cache = `${registry.host}/shared/cache:main`;
  await expectEveryWriter(cache, await writeAtOnce(`type=registry,ref=${cache},mode=max`));
}, 120_000);

test('in a directory, with no blob that nothing names and none that is missing', async () => {
  const place = new Workspace(ROOTLESS).fresh('cache');
  const made = await writeAtOnce(`type=local,dest=${place},mode=max`);
  await expectEveryWriter(`type=local,src=${place}`, made);
  const read = (digest: string) =>
    JSON.parse(readFileSync(join(place, 'blobs/sha256', digest.slice(7)), 'utf8')) as {
      config: { digest: string };
      layers: { digest: string }[];
    };
  const index = JSON.parse(readFileSync(join(place, 'index.json'), 'utf8')) as {
    manifests: { digest: string }[];
  };
  expect(index.manifests).toHaveLength(1);
  const { config, layers } = read(index.manifests[0]?.digest ?? '');
  for (const { digest } of [config, ...layers]) {
    expect(existsSync(join(place, 'blobs/sha256', digest.slice(7))), digest).toBe(true);
  }
}, 120_000);

test('mounts of two builds that end at once are both kept', async () => {
  const place = `type=registry,ref=${registry.host}/shared/mounts:main`;
  const build = (writer: number, flag: string, command: string) =>
    new Workspace(ROOTLESS).build(
      `ARG BASE\nFROM $BASE\nRUN --mount=type=cache,id=m${writer},target=/c ${command}\n`,
      { args: [flag, place] },
    );
  await Promise.all(WRITERS.map((writer) => build(writer, '--cache-mount-to', `echo ${writer} > /c/own`)));
  for (const writer of WRITERS) {
    const { image } = await build(writer, '--cache-mount-from', 'cp /c/own /own');
    expect(image.text('own')).toBe(`${writer}\n`);
  }
}, 120_000);
