import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { digestOf, MEDIA_TYPE } from '../../src/image/descriptor.ts';
import { encodeDocument, makeIndex, parseManifest } from '../../src/image/manifest.ts';
import {
  buildErrorOf,
  bytesOf,
  freshBytes,
  makeClient,
  makeImage,
  memoryBlob,
  pushImage,
  randomName,
  skopeo,
  type TestClient,
  textOf,
} from './fixtures.ts';
import { type RegistryServer, startRegistry } from './registry-server.ts';

let server: RegistryServer;
let client: TestClient;

beforeAll(async () => {
  server = await startRegistry();
});
afterAll(() => server.stop());
beforeEach(() => {
  client = makeClient();
});
afterEach(() => client.close());

describe('an image pushed to docker-registry', () => {
  test.each(['oci', 'docker'] as const)('is read back whole by skopeo (%s media types)', async (format) => {
    const name = randomName();
    const image = makeImage(format);
    await pushImage(await client.repository(server.host, name), image, 'v1');
    const directory = mkdtempSync(join(tmpdir(), 'kiln-skopeo-'));
    try {
      await skopeo(
        '--insecure-policy',
        'copy',
        '--src-tls-verify=false',
        `docker://${server.host}/${name}:v1`,
        `dir:${directory}`,
      );
      expect(digestOf(readFileSync(join(directory, 'manifest.json')))).toBe(image.manifest.digest);
      const layer = image.layers[0]?.descriptor.digest.slice(7) ?? '';
      expect(digestOf(readFileSync(join(directory, layer)))).toBe(`sha256:${layer}`);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test('is resolved, listed and read back by the client itself', async () => {
    const repository = await client.repository(server.host, randomName());
    const image = makeImage();
    await pushImage(repository, image, 'v1');
    await repository.pushManifest(image.manifest, image.content, 'v2');
    expect(await repository.resolve('v1')).toEqual(image.manifest);
    expect(await repository.resolve(image.manifest.digest)).toEqual(image.manifest);
    expect((await repository.tags()).sort()).toEqual(['v1', 'v2']);
    const manifest = parseManifest(await repository.fetchDocument(image.manifest));
    expect(JSON.parse(String(await repository.fetchDocument(manifest.config)))).toMatchObject({
      os: 'linux',
    });
    const layer = image.layers[0];
    if (layer === undefined) throw new Error('no layer');
    expect(digestOf(await bytesOf(await repository.fetchBlob(layer.descriptor)))).toBe(
      layer.descriptor.digest,
    );
  });

  test('pushed by digest has no tag until it is given one', async () => {
    const repository = await client.repository(server.host, randomName());
    const image = makeImage();
    await Promise.all([image.config, ...image.layers].map((blob) => repository.pushBlob(blob)));
    await repository.pushManifest(image.manifest, image.content, image.manifest.digest);
    expect((await buildErrorOf(repository.tags())).code).toBe('REGISTRY_NOT_FOUND');
    expect(await repository.resolve(image.manifest.digest)).toEqual(image.manifest);
  });

  test('can be listed in an index and deleted again', async () => {
    const repository = await client.repository(server.host, randomName());
    const image = makeImage();
    await pushImage(repository, image, 'amd64');
    const platform = { os: 'linux', architecture: 'amd64' };
    const index = encodeDocument(makeIndex({ manifests: [{ ...image.manifest, platform }] }));
    await repository.pushManifest(index.descriptor, index.content, 'all');
    expect(await repository.resolve('all')).toEqual(index.descriptor);
    expect(index.descriptor.mediaType).toBe(MEDIA_TYPE.ociIndex);
    await repository.deleteManifest(index.descriptor.digest);
    expect((await buildErrorOf(repository.resolve('all'))).code).toBe('BASE_IMAGE_NOT_FOUND');
    expect(await repository.resolve('amd64')).toEqual(image.manifest);
  });
});

describe('a blob', () => {
  test('is sent once: a second push only looks', async () => {
    const repository = await client.repository(server.host, randomName());
    const content = freshBytes(300_000);
    expect(await repository.pushBlob(memoryBlob(content))).toBe('uploaded');
    const again = memoryBlob(content);
    expect(await repository.pushBlob(again)).toBe('exists');
    expect(again.opens).toEqual([]);
  });

  test('that a sibling repository holds is mounted without being read', async () => {
    const [from, to] = [randomName(), randomName()];
    const content = freshBytes(300_000);
    await (await client.repository(server.host, from)).pushBlob(memoryBlob(content));
    const target = await client.repository(server.host, to);
    const blob = { ...memoryBlob(content), mountFrom: [randomName(), to, from] };
    expect(await target.pushBlob(blob)).toBe('mounted');
    expect(await target.hasBlob(blob.descriptor)).toBe(true);
    expect((await bytesOf(await target.fetchBlob(blob.descriptor))).equals(content)).toBe(true);
  });

  test('can be mounted by someone who has not got its bytes', async () => {
    const [from, to] = [randomName(), randomName()];
    const blob = memoryBlob(freshBytes(5000));
    await (await client.repository(server.host, from)).pushBlob(blob);
    const target = await client.repository(server.host, to);
    expect(await target.mountBlob(blob.descriptor, ['team/nothing'])).toBe(false);
    expect(await target.hasBlob(blob.descriptor)).toBe(false);
    expect(await target.mountBlob(blob.descriptor, ['team/nothing', from])).toBe(true);
    expect(await target.hasBlob(blob.descriptor)).toBe(true);
  });

  test('that no sibling holds is uploaded although mounts were tried', async () => {
    const repository = await client.repository(server.host, randomName());
    const blob = memoryBlob(freshBytes(1000));
    expect(await repository.pushBlob({ ...blob, mountFrom: ['team/nothing', 'team/neither'] })).toBe(
      'uploaded',
    );
    expect(await repository.hasBlob(blob.descriptor)).toBe(true);
  });

  test.each([0, 1, 1000, 3_000_000])('of %i bytes goes up whole and comes down again', async (size) => {
    const repository = await client.repository(server.host, randomName());
    const content = freshBytes(size);
    const blob = memoryBlob(content);
    expect(await repository.pushBlob(blob)).toBe('uploaded');
    expect((await bytesOf(await repository.fetchBlob(blob.descriptor))).equals(content)).toBe(true);
  });

  test.each([1, 999_999, 1_000_000, 1_000_001, 2_500_000])(
    'of %i bytes goes up in chunks of a million',
    async (size) => {
      const chunked = makeClient({ pushChunkSize: 1_000_000 });
      const repository = await chunked.repository(server.host, randomName());
      const content = freshBytes(size);
      const blob = memoryBlob(content);
      expect(await repository.pushBlob(blob)).toBe('uploaded');
      expect(blob.opens).toEqual(
        Array.from({ length: Math.ceil(size / 1_000_000) }, (_, number) => number * 1_000_000),
      );
      expect((await bytesOf(await repository.fetchBlob(blob.descriptor))).equals(content)).toBe(true);
      await chunked.close();
    },
  );

  test('whose bytes are not those of its digest is refused and not kept', async () => {
    const repository = await client.repository(server.host, randomName());
    const good = memoryBlob(freshBytes(5000));
    const wrong = { ...good, open: () => Readable.from([freshBytes(5000)]) };
    const error = await buildErrorOf(repository.pushBlob(wrong));
    expect(error.code).toBe('REGISTRY_DIGEST_MISMATCH');
    expect(await repository.hasBlob(good.descriptor)).toBe(false);
  });

  test('that is shorter than its descriptor, or cannot be read, fails without being tried again', async () => {
    const repository = await client.repository(server.host, randomName());
    const blob = memoryBlob(freshBytes(500_000));
    let opens = 0;
    const short = await buildErrorOf(
      repository.pushBlob({
        ...blob,
        open: () => {
          opens++;
          return Readable.from([freshBytes(100_000)]);
        },
      }),
    );
    expect(short.code).toBe('REGISTRY_UPLOAD_FAILED');
    expect(short.message).toContain('400000 bytes shorter');
    expect(opens).toBe(1);
    const broken = await buildErrorOf(
      repository.pushBlob({
        ...blob,
        open: () =>
          new Readable({
            read() {
              this.destroy(new Error('EIO: disk gone'));
            },
          }),
      }),
    );
    expect(broken.code).toBe('REGISTRY_UPLOAD_FAILED');
    expect(broken.message).toContain('EIO: disk gone');
    expect(client.sleeps).toEqual([]);
  });

  test('is not read further once the reader goes away or gives up', async () => {
    const repository = await client.repository(server.host, randomName());
    const blob = memoryBlob(freshBytes(8_000_000));
    await repository.pushBlob(blob);
    const abandoned = await repository.fetchBlob(blob.descriptor);
    abandoned.destroy();
    const controller = new AbortController();
    const stream = await repository.fetchBlob(blob.descriptor, controller.signal);
    stream.once('data', () => controller.abort(new Error('stopped by the user')));
    await expect(bytesOf(stream)).rejects.toThrow();
    // The connections are free again: the registry still answers at once.
    expect(await repository.hasBlob(blob.descriptor)).toBe(true);
  });

  test('stops going up when the push is aborted, with the reason of the abort', async () => {
    const repository = await client.repository(server.host, randomName());
    const controller = new AbortController();
    const blob = memoryBlob(freshBytes(1_000_000));
    const aborting = {
      ...blob,
      open: (offset: number) => {
        controller.abort(new Error('stopped by the user'));
        return blob.open(offset);
      },
    };
    await expect(repository.pushBlob(aborting, controller.signal)).rejects.toThrow('stopped by the user');
    expect(await repository.hasBlob(blob.descriptor)).toBe(false);
  });
});

describe('what is not there', () => {
  test('a tag that does not exist is BASE_IMAGE_NOT_FOUND and names tags like it', async () => {
    const name = randomName();
    const repository = await client.repository(server.host, name);
    const image = makeImage();
    await pushImage(repository, image, '3.20-slim');
    await repository.pushManifest(image.manifest, image.content, 'latest');
    const error = await buildErrorOf(repository.resolve('3.2-slim'));
    expect(error.code).toBe('BASE_IMAGE_NOT_FOUND');
    expect(error.message).toContain(`${server.host}/${name}:3.2-slim`);
    expect(textOf(error)).toContain('2 tags, such as 3.20-slim');
  });

  test('a repository that does not exist says so and offers to log in', async () => {
    const error = await buildErrorOf(
      (await client.repository(server.host, 'team/nothing')).resolve('latest'),
    );
    expect(error.code).toBe('BASE_IMAGE_NOT_FOUND');
    expect(textOf(error)).toContain('team/nothing does not exist there');
    expect(textOf(error)).toContain(`kiln login ${server.host}`);
    expect(error.message).toMatch(/HTTP 404/);
  });

  test('a blob that does not exist rejects before any byte is read', async () => {
    const repository = await client.repository(server.host, randomName());
    const error = await buildErrorOf(repository.fetchBlob(memoryBlob(Buffer.from('x')).descriptor));
    expect(error.code).toBe('REGISTRY_NOT_FOUND');
  });

  test('a manifest whose blobs are missing is refused in the words of the registry', async () => {
    const repository = await client.repository(server.host, randomName());
    const image = makeImage();
    const error = await buildErrorOf(repository.pushManifest(image.manifest, image.content, 'v1'));
    expect(error.message).toContain('MANIFEST_BLOB_UNKNOWN');
  });

  test('a registry that does not run is REGISTRY_UNREACHABLE after few attempts', async () => {
    const gone = await startRegistry();
    await gone.stop();
    const error = await buildErrorOf((await client.repository(gone.host, 'team/app')).resolve('latest'));
    expect(error.code).toBe('REGISTRY_UNREACHABLE');
    expect(textOf(error)).toContain(`listens at ${gone.host}`);
    expect(client.sleeps.length).toBeLessThan(3);
  });

  test('a host name that does not exist is REGISTRY_UNREACHABLE and speaks of DNS', async () => {
    const error = await buildErrorOf(
      (await client.repository('registry.invalid', 'team/app')).resolve('latest'),
    );
    expect(error.code).toBe('REGISTRY_UNREACHABLE');
    expect(textOf(error)).toContain('cannot be resolved');
  });
});
