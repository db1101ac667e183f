import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  type Fault,
  type FaultProxy,
  type FaultProxyOptions,
  type SeenRequest,
  startFaultProxy,
} from './fault-proxy.ts';
import {
  buildErrorOf,
  bytesOf,
  freshBytes,
  makeClient,
  makeImage,
  memoryBlob,
  pushImage,
  randomName,
  type TestClient,
  textOf,
} from './fixtures.ts';
import { type RegistryServer, startRegistry } from './registry-server.ts';

let server: RegistryServer;
const cleanups: (() => Promise<void>)[] = [];

beforeAll(async () => {
  server = await startRegistry();
});
afterAll(() => server.stop());
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function proxied(
  options: Omit<FaultProxyOptions, 'target'>,
  clientOptions: Parameters<typeof makeClient>[0] = {},
) {
  const proxy = await startFaultProxy({ target: server.port, ...options });
  const client = makeClient(clientOptions);
  cleanups.push(client.close, proxy.stop);
  return { proxy, client, repository: await client.repository(proxy.host, randomName()) };
}

/** Breaks the first `times` requests that match; the probe of /v2/ is left alone. */
function first(times: number, matches: (request: SeenRequest) => boolean, fault: Fault) {
  let left = times;
  return (request: SeenRequest) =>
    request.url !== '/v2/' && matches(request) && left-- > 0 ? fault : undefined;
}

const isUpload = ({ method }: SeenRequest) => method === 'PUT' || method === 'PATCH';

describe('a registry that fails now and then', () => {
  test('at 30 % of all requests, by errors and resets, takes and gives ten images unharmed', {
    timeout: 120_000,
  }, async () => {
    let seed = 7;
    const chance = () => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed / 2147483648;
    };
    const kinds: Fault[] = [
      { kind: 'status', status: 503 },
      { kind: 'status', status: 500, body: '{"errors":[{"code":"UNKNOWN"}]}' },
      { kind: 'status', status: 429 },
      { kind: 'reset' },
      { kind: 'lose-answer' },
    ];
    const { proxy, repository } = await proxied({
      fault: () => (chance() < 0.3 ? kinds[Math.floor(chance() * kinds.length)] : undefined),
    });
    for (let number = 0; number < 10; number++) {
      const image = makeImage();
      await pushImage(repository, image, `v${number}`);
      expect(await repository.resolve(`v${number}`)).toEqual(image.manifest);
      expect((await repository.fetchDocument(image.manifest)).equals(image.content)).toBe(true);
      for (const { descriptor, open } of image.layers) {
        expect((await bytesOf(await repository.fetchBlob(descriptor))).equals(await bytesOf(open(0)))).toBe(
          true,
        );
      }
    }
    expect(proxy.requests.filter(({ fault }) => fault !== undefined).length).toBeGreaterThan(20);
  });

  test('with 503 is asked again after growing waits', async () => {
    const { client, repository } = await proxied({
      fault: first(3, () => true, { kind: 'status', status: 503 }),
    });
    const image = makeImage();
    await pushImage(repository, image, 'v1');
    const waits = client.sleeps.slice(0, 3);
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect(client.sleeps.length).toBeGreaterThanOrEqual(3);
  });

  test('with 429 and Retry-After is left alone for as long as it asks', async () => {
    const fault = first(1, ({ method }) => method === 'HEAD', {
      kind: 'status',
      status: 429,
      headers: { 'retry-after': '17' },
    });
    const { client, repository } = await proxied({ fault });
    await repository.hasBlob(memoryBlob(freshBytes(10)).descriptor);
    expect(client.sleeps).toEqual([17_000]);
  });

  test('with 429 and a Retry-After in the middle of an upload too', async () => {
    const fault = first(1, isUpload, { kind: 'status', status: 429, headers: { 'retry-after': '11' } });
    const { client, repository } = await proxied({ fault });
    expect(await repository.pushBlob(memoryBlob(freshBytes(1000)))).toBe('uploaded');
    expect(client.sleeps).toEqual([11_000]);
  });

  test('with 429 and hours of Retry-After ends at once: REGISTRY_RATE_LIMIT names the limit and that we are anonymous', async () => {
    const headers = {
      'retry-after': '21600',
      'ratelimit-limit': '100;w=21600',
      'ratelimit-remaining': '0;w=21600',
    };
    const { client, repository } = await proxied({
      fault: first(99, () => true, { kind: 'status', status: 429, headers }),
    });
    const error = await buildErrorOf(repository.resolve('latest'));
    expect(error.code).toBe('REGISTRY_RATE_LIMIT');
    expect(error.message).toMatch(/anonymous, limit 100 requests in 6 h, retry after 21600/);
    expect(client.sleeps).toEqual([]);
  });

  test('for good is REGISTRY_UNAVAILABLE after the attempts of the policy, with its own words', async () => {
    const fault = first(99, () => true, {
      kind: 'status',
      status: 503,
      body: '<html><style>a{}</style><h1>Backend fetch failed</h1></html>',
    });
    const { proxy, repository } = await proxied({ fault }, { retry: { attempts: 4 } });
    const error = await buildErrorOf(repository.fetchDocument(memoryBlob(freshBytes(10)).descriptor));
    expect(error.code).toBe('REGISTRY_UNAVAILABLE');
    expect(error.message).toContain('HTTP 503, Backend fetch failed');
    expect(proxy.seen('GET', '/blobs/').length).toBe(4);
  });

  test('that resets every connection is REGISTRY_UNREACHABLE', async () => {
    const { repository } = await proxied(
      { fault: first(99, () => true, { kind: 'reset' }) },
      { retry: { attempts: 3 } },
    );
    expect((await buildErrorOf(repository.resolve('latest'))).code).toBe('REGISTRY_UNREACHABLE');
  });

  test('that never answers is given up after the timeout', async () => {
    const { createServer } = await import('node:net');
    const silent = createServer((socket) => socket.on('error', () => {}));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const client = makeClient({
      timeouts: { headers: 300, connect: 300 },
      retry: { attempts: 2, connectAttempts: 1 },
    });
    const error = await buildErrorOf((await client.repository(`127.0.0.1:${port}`, 'a/b')).resolve('latest'));
    expect(error.code).toBe('REGISTRY_UNREACHABLE');
    await client.close();
    silent.close();
  });
});

describe('a download', () => {
  test('cut in the middle goes on from where it broke', async () => {
    const { proxy, repository } = await proxied({
      fault: first(2, ({ method, url }) => method === 'GET' && url.includes('/blobs/'), {
        kind: 'cut-answer',
        bytes: 700_000,
      }),
    });
    const content = freshBytes(2_000_000);
    const blob = memoryBlob(content);
    await repository.pushBlob(blob);
    expect((await bytesOf(await repository.fetchBlob(blob.descriptor))).equals(content)).toBe(true);
    const ranges = proxy.seen('GET', '/blobs/sha256').map(({ headers }) => headers.range);
    expect(ranges).toHaveLength(3);
    expect(ranges[0]).toBeUndefined();
    const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1]));
    expect(starts[0]).toBeGreaterThan(0);
    expect(starts[1]).toBeGreaterThan(starts[0] ?? 0);
  });

  test('that is always cut at once fails as REGISTRY_UNREACHABLE instead of going on for ever', async () => {
    const { repository } = await proxied(
      {
        fault: first(99, ({ method, url }) => method === 'GET' && url.includes('/blobs/'), {
          kind: 'cut-answer',
          bytes: 0,
        }),
      },
      { retry: { attempts: 3 } },
    );
    const blob = memoryBlob(freshBytes(100_000));
    await repository.pushBlob(blob);
    const error = await buildErrorOf(repository.fetchBlob(blob.descriptor).then(bytesOf));
    expect(error.code).toBe('REGISTRY_UNREACHABLE');
  });

  test.each(['blob', 'document'])('with one changed bit is REGISTRY_DIGEST_MISMATCH (%s)', async (kind) => {
    const { repository } = await proxied({
      fault: ({ method, url }) =>
        method === 'GET' && url.includes('/blobs/') ? { kind: 'corrupt' } : undefined,
    });
    const blob = memoryBlob(freshBytes(100_000));
    await repository.pushBlob(blob);
    const read =
      kind === 'blob'
        ? repository.fetchBlob(blob.descriptor).then(bytesOf)
        : repository.fetchDocument(blob.descriptor);
    const error = await buildErrorOf(read);
    expect(error.code).toBe('REGISTRY_DIGEST_MISMATCH');
    expect(error.message).toContain(blob.descriptor.digest);
  });

  test.each([-1, 1])(
    'whose length is %i bytes off its descriptor is REGISTRY_DIGEST_MISMATCH',
    async (off) => {
      const { repository } = await proxied({}, { retry: { attempts: 2 } });
      const { descriptor, open } = memoryBlob(freshBytes(100_000));
      await repository.pushBlob({ descriptor, open });
      const wrong = { ...descriptor, size: descriptor.size + off };
      expect((await buildErrorOf(repository.fetchBlob(wrong).then(bytesOf))).code).toBe(
        'REGISTRY_DIGEST_MISMATCH',
      );
    },
  );

  test('redirected to a storage service takes no credentials along and its signed address is in no message', async () => {
    const storage = await startFaultProxy({
      target: server.port,
      fault: () => ({ kind: 'status', status: 403, body: 'AccessDenied' }),
    });
    cleanups.push(storage.stop);
    const client = makeClient();
    const location = `http://${storage.host}/bucket/blob?X-Amz-Signature=s3cr3t`;
    const proxy = await startFaultProxy({
      target: server.port,
      fault: ({ url, headers }) => {
        if (url.includes('/blobs/')) return { kind: 'redirect', location };
        return headers.authorization
          ? undefined
          : { kind: 'status', status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } };
      },
    });
    cleanups.push(client.close, proxy.stop);
    client.login({ auths: { [proxy.host]: { auth: Buffer.from('user:hunter2!').toString('base64') } } });
    const repository = await client.repository(proxy.host, 'team/app');
    await buildErrorOf(repository.resolve('latest'));
    const error = await buildErrorOf(repository.fetchBlob(memoryBlob(freshBytes(10)).descriptor));
    expect(proxy.seen('GET', '/blobs/').at(-1)?.headers.authorization).toMatch(/^Basic /);
    expect(storage.requests.length).toBeGreaterThan(0);
    for (const request of storage.requests) expect(request.headers.authorization).toBeUndefined();
    expect(textOf(error)).toContain('AccessDenied');
    expect(textOf(error)).not.toMatch(/s3cr3t|hunter2/);
  });
});

describe('an upload', () => {
  const SIZE = 3_000_000;

  async function upload(options: Omit<FaultProxyOptions, 'target'>, chunkSize?: number) {
    const set: {
      proxy: FaultProxy;
      client: TestClient;
      repository: Awaited<ReturnType<TestClient['repository']>>;
    } = await proxied(options, chunkSize === undefined ? {} : { pushChunkSize: chunkSize });
    const content = freshBytes(SIZE);
    const blob = memoryBlob(content);
    expect(await set.repository.pushBlob(blob)).toBe('uploaded');
    expect((await bytesOf(await set.repository.fetchBlob(blob.descriptor))).equals(content)).toBe(true);
    return { ...set, blob };
  }

  test('of one request is a POST and a streamed PUT', async () => {
    const { proxy } = await upload({});
    expect(proxy.seen('PUT').map(({ received }) => received)).toEqual([SIZE]);
    expect(proxy.seen('PATCH')).toEqual([]);
  });

  test('whose connection is cut in the body is completed', async () => {
    await upload({ fault: first(1, isUpload, { kind: 'cut-request', bytes: 1_000_000 }) });
  });

  test('in chunks that loses a request sends only the chunk again', async () => {
    const { proxy } = await upload(
      { fault: first(1, ({ method }) => method === 'PATCH', { kind: 'reset' }) },
      1_000_000,
    );
    expect(proxy.seen('POST').length).toBeLessThanOrEqual(2);
  });

  test('in chunks whose second request is reset goes on from the Range the registry reports', async () => {
    let patches = 0;
    const { proxy, blob } = await upload(
      { fault: ({ method }) => (method === 'PATCH' && ++patches === 2 ? { kind: 'reset' } : undefined) },
      1_000_000,
    );
    expect(proxy.seen('POST')).toHaveLength(1);
    expect(blob.opens.filter((offset) => offset === 0)).toHaveLength(1);
    expect(proxy.seen('PATCH').map(({ headers }) => headers['content-range'])).toEqual([
      '0-999999',
      '1000000-1999999',
      '1000000-1999999',
      '2000000-2999999',
    ]);
  });

  test('whose last answer was lost is found to be there instead of sent again', async () => {
    const { proxy, blob } = await upload({
      fault: first(1, ({ method }) => method === 'PUT', { kind: 'lose-answer' }),
    });
    expect(proxy.seen('PUT')).toHaveLength(1);
    expect(blob.opens).toEqual([0]);
  });

  test('refused with 413 goes on in chunks that pass', async () => {
    const { proxy } = await upload({ maxBody: 1_000_000 });
    const passed = proxy.seen('PATCH').filter(({ fault }) => fault === undefined);
    expect(passed.length).toBeGreaterThanOrEqual(3);
    expect(Math.max(...passed.map(({ received }) => received))).toBeLessThanOrEqual(1_000_000);
  });

  test('that no chunk size can pass is REGISTRY_UPLOAD_TOO_LARGE and names the option', async () => {
    const { repository } = await proxied({ maxBody: 1000 });
    const error = await buildErrorOf(repository.pushBlob(memoryBlob(freshBytes(300_000))));
    expect(error.code).toBe('REGISTRY_UPLOAD_TOO_LARGE');
    expect(textOf(error)).toContain('--push-chunk-size');
  });

  test('of a blob that is there already sends nothing, even after errors', async () => {
    const { proxy, repository, blob } = await upload({
      fault: first(2, ({ method }) => method === 'HEAD', { kind: 'status', status: 502 }),
    });
    const puts = proxy.seen('PUT').length;
    expect(await repository.pushBlob(blob)).toBe('exists');
    expect(proxy.seen('PUT')).toHaveLength(puts);
  });
});
