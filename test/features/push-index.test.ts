import { readFileSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VARIANTS, Workspace } from '../helpers/workspace.ts';
import { type RegistryServer, startRegistry } from '../registry/registry-server.ts';
import { run } from '../setup/run.ts';

interface Entry {
  readonly digest: string;
  readonly mediaType: string;
  readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string };
}

interface Document {
  readonly mediaType: string;
  readonly manifests?: readonly Entry[];
  readonly layers?: readonly Entry[];
}

let registry: RegistryServer;

beforeAll(async () => {
  registry = await startRegistry();
});

afterAll(() => registry.stop());

const PLATFORMS = ['--platform', 'linux/amd64,linux/s390x', '--platform', 'linux/arm/v7'];
const DOCKERFILE = 'FROM scratch\nARG TARGETARCH\nCOPY f /f\nCOPY <<EOF /arch\n$TARGETARCH\nEOF\n';
const INDEX = 'application/vnd.oci.image.index.v1+json';

/** What a registry has under a name, byte for byte. */
function raw(name: string): string {
  return run('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${name}`]);
}

function platformsOf(document: Document): (string | undefined)[] | undefined {
  return document.manifests?.map(({ platform }) => platform?.architecture);
}

/** Copies all of an index, checks every blob by that, and reads /arch of each image. */
function readAll(work: Workspace, name: string): string[] {
  const directory = work.fresh('copied');
  run('skopeo', [
    ...['copy', '--quiet', '--insecure-policy', '--all', '--preserve-digests', '--src-tls-verify=false'],
    ...[`docker://${name}`, `oci:${directory}:all`],
  ]);
  const index = JSON.parse(raw(name)) as Document;
  return (index.manifests ?? []).map(({ digest }) => {
    const manifest = JSON.parse(
      readFileSync(`${directory}/blobs/sha256/${digest.slice(7)}`, 'utf8'),
    ) as Document;
    const layers = manifest.layers ?? [];
    return layers
      .map((layer) => {
        const blob = `${directory}/blobs/sha256/${layer.digest.slice(7)}`;
        const script = 'tar -xOf "$1" arch 2>/dev/null || zstd -dqc "$1" | tar -xO arch 2>/dev/null || true';
        return run('sh', ['-c', script, 'sh', blob]).trim();
      })
      .join('');
  });
}

async function buildAll(work: Workspace, ...args: string[]): Promise<string> {
  work.write('f', 'f');
  const { exitCode, stderr, stdout } = await work.tryBuild(DOCKERFILE, { args: [...PLATFORMS, ...args] });
  expect(exitCode, stderr).toBe(0);
  return stdout.trim();
}

async function ok(work: Workspace, ...args: string[]): Promise<string> {
  const { exitCode, stderr, stdout } = await work.kiln(args);
  expect(exitCode, stderr).toBe(0);
  return stdout.trim();
}

describe.each(VARIANTS.filter(({ snapshotter }) => snapshotter === 'overlay'))(
  'an image for several platforms as $user',
  (variant) => {
    test('build --push: the index and every image under it, under every name', async () => {
      const work = new Workspace(variant);
      const names = ['1', '2'].map((tag) => `${registry.host}/built/${variant.user}:${tag}`);
      const digest = await buildAll(work, '--push', ...names.flatMap((name) => ['-t', name]));
      for (const name of names) {
        const index = JSON.parse(raw(name)) as Document;
        expect(index.mediaType).toBe(INDEX);
        expect(index.manifests?.map(({ platform }) => platform)).toEqual([
          { os: 'linux', architecture: 'amd64' },
          { os: 'linux', architecture: 's390x' },
          { os: 'linux', architecture: 'arm', variant: 'v7' },
        ]);
        expect(readAll(work, name)).toEqual(['amd64', 's390x', 'arm']);
        expect(
          run('skopeo', ['inspect', '--tls-verify=false', '--format={{.Digest}}', `docker://${name}`]),
        ).toBe(`${digest}\n`);
      }
    });

    test('kiln push: all of the stored index; the second time nothing is sent; pull takes one again', async () => {
      const work = new Workspace(variant);
      await buildAll(work, '-t', 'many');
      const name = `${registry.host}/pushed/${variant.user}:1`;
      const digest = await ok(work, 'push', 'many', name);
      expect(platformsOf(JSON.parse(raw(name)) as Document)).toEqual(['amd64', 's390x', 'arm']);
      expect(readAll(work, name)).toEqual(['amd64', 's390x', 'arm']);
      const sent = (): number =>
        registry.log.filter((line) => /"(?:PATCH|POST) \/v2\/pushed\//.test(line)).length;
      const before = sent();
      expect(before).toBeGreaterThan(0);
      expect(await ok(work, 'push', 'many', name)).toBe(digest);
      expect(sent()).toBe(before);

      const other = new Workspace(variant);
      await ok(other, 'pull', '--platform', 'linux/s390x', name);
      const { config } = other.open(`oci:${other.home}:${name}`);
      expect(config.architecture).toBe('s390x');
      const built = await other.build(
        `FROM --platform=linux/arm/v7 ${name}\nCOPY --from=${name} /arch /own\n`,
      );
      expect(built.image.text('arch')).toBe('arm\n');
    });
  },
);

test('--platform pushes one of them as an image of its own', async () => {
  const work = new Workspace();
  await buildAll(work, '-t', 'many');
  const name = `${registry.host}/one/app:1`;
  const digest = await ok(work, 'push', '--platform', 'linux/s390x', 'many', name);
  const image = work.open(`docker://${name}`, ['--src-tls-verify=false', '--preserve-digests']);
  expect(image.digest).toBe(digest);
  expect(image.config.architecture).toBe('s390x');
  expect(image.text('arch')).toBe('s390x\n');
  const missing = await work.kiln(['push', '--platform', 'linux/riscv64', 'many', name]);
  expect(missing.exitCode).toBe(1);
  expect(missing.stderr).toContain(
    'has no variant for linux/riscv64; it has linux/amd64, linux/s390x, linux/arm/v7',
  );
  expect(missing.stderr).toContain('[BASE_IMAGE_PLATFORM_NOT_FOUND]');
  const wrong = await work.kiln(['push', '--platform', 'nothing/at/all/here', 'many', name]);
  expect(wrong.stderr).toContain('[IMAGE_INVALID_PLATFORM]');
});

test('an image for another platform than this machine’s is pushed as any other', async () => {
  const work = new Workspace();
  work.write('f', 'f');
  const built = await work.tryBuild(DOCKERFILE, { args: ['--platform', 'linux/s390x', '-t', 'foreign'] });
  expect(built.exitCode, built.stderr).toBe(0);
  const name = `${registry.host}/foreign/app:1`;
  await ok(work, 'push', 'foreign', name);
  expect((JSON.parse(raw(name)) as Document).layers).toHaveLength(2);
  const other = await work.kiln(['push', '--platform', 'linux/amd64', 'foreign', name]);
  expect(other.stderr).toContain('it has linux/s390x [BASE_IMAGE_PLATFORM_NOT_FOUND]');
});

test('layers in another form; what is stored compressed goes as it is, byte for byte', async () => {
  const work = new Workspace();
  await buildAll(work, '-t', 'many');
  const zstd = `${registry.host}/forms/zstd:1`;
  await ok(work, 'push', '--compression', 'zstd', 'many', zstd);
  expect(readAll(work, zstd)).toEqual(['amd64', 's390x', 'arm']);
  const plain = `${registry.host}/forms/plain:1`;
  const digest = await ok(work, 'push', '--compression', 'uncompressed', 'many', plain);
  expect(run('sha256sum', [], { input: raw(plain) })).toContain(digest.slice(7));
  expect(readAll(work, plain)).toEqual(['amd64', 's390x', 'arm']);

  // Docker's own format, and a config that another program has written.
  const gzip = `${registry.host}/forms/gzip:1`;
  await ok(work, 'push', 'many', gzip);
  const docker = `${registry.host}/forms/docker:1`;
  run('skopeo', [
    ...['copy', '--quiet', '--insecure-policy', '--format', 'v2s2', '--src-tls-verify=false'],
    ...['--dest-tls-verify=false', `docker://${gzip}`, `docker://${docker}`],
  ]);
  await ok(work, 'pull', docker);
  const again = `${registry.host}/forms/again:1`;
  await ok(work, 'push', docker, again);
  expect(raw(again)).toBe(raw(docker));
});

test('an index that the store holds in part is told, and the rest can be pushed', async () => {
  const work = new Workspace();
  await buildAll(work, '-t', 'many');
  const index = JSON.parse(readFileSync(`${work.home}/index.json`, 'utf8')) as Document;
  const blob = (digest = ''): string => `${work.home}/blobs/sha256/${digest.slice(7)}`;
  const { manifests } = JSON.parse(readFileSync(blob(index.manifests?.[0]?.digest), 'utf8')) as Document;
  const [, s390x] = manifests ?? [];
  const { layers } = JSON.parse(readFileSync(blob(s390x?.digest), 'utf8')) as Document;
  rmSync(blob(layers?.[1]?.digest));
  const name = `${registry.host}/part/app:1`;
  const { exitCode, stderr } = await work.kiln(['push', 'many', name]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('does not hold the image for linux/s390x of many [STORE_NO_IMAGE]');
  await ok(work, 'push', '--platform', 'linux/amd64', 'many', name);
  expect(work.open(`docker://${name}`, ['--src-tls-verify=false']).text('arch')).toBe('amd64\n');
});
