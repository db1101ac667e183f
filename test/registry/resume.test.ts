/** A registry that keeps every byte of a broken upload, as the specification allows and docker-registry does not always. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { freshBytes, makeClient, memoryBlob } from './fixtures.ts';
import { close, listen } from './registry-server.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

interface Upload {
  readonly pieces: Buffer[];
  size: number;
}

/** Resets the connection once after `breakAt` bytes of a body; answers strictly by the specification. */
async function startKeepingRegistry({
  breakAt = 0,
  minimumChunk = 0,
  absolute = '',
}: {
  breakAt?: number;
  minimumChunk?: number;
  absolute?: string;
}) {
  const log: string[] = [];
  const stored = new Map<string, Buffer>();
  const upload: Upload = { pieces: [], size: 0 };
  let broken = breakAt === 0;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    if (url.pathname === '/v2/') return void response.writeHead(200).end();
    log.push(
      [request.method, request.headers['content-range'], request.headers['content-length']]
        .filter(Boolean)
        .join(' '),
    );
    const location = `${absolute.replace('PORT', String(port))}/v2/a/b/blobs/uploads/1?_state=a%2Bb%2F%3D`;
    const headers = { location, range: `0-${Math.max(0, upload.size - 1)}` };
    const blob = stored.get(url.pathname.split('/').at(-1) ?? '');
    if (request.method === 'HEAD')
      return void response.writeHead(blob ? 200 : 404, { 'content-length': blob?.length ?? 0 }).end();
    if (request.method === 'POST') {
      const chunk: Record<string, string> =
        minimumChunk > 0 ? { 'oci-chunk-min-length': String(minimumChunk) } : {};
      return void response.writeHead(202, { ...headers, ...chunk }).end();
    }
    if (!url.search.startsWith('?_state=a%2Bb%2F%3D'))
      return void response.writeHead(400).end('state was changed');
    if (request.method === 'GET') return void response.writeHead(204, headers).end();
    const start = /^(\d+)-/.exec(request.headers['content-range'] ?? '')?.[1];
    if (start !== undefined && Number(start) !== upload.size)
      return void response.writeHead(416, headers).end();
    request.on('error', () => {});
    for await (const piece of request as AsyncIterable<Buffer>) {
      upload.pieces.push(piece);
      upload.size += piece.length;
      if (!broken && upload.size >= breakAt) {
        broken = true;
        return void request.socket.resetAndDestroy();
      }
    }
    if (request.method === 'PATCH') {
      return void response.writeHead(202, { location, range: `0-${upload.size - 1}` }).end();
    }
    const content = Buffer.concat(upload.pieces);
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    if (url.searchParams.get('digest') !== digest)
      return void response.writeHead(400).end('{"errors":[{"code":"DIGEST_INVALID"}]}');
    stored.set(digest, content);
    response.writeHead(201, { 'docker-content-digest': digest }).end();
  });
  const port = await listen(server);
  cleanups.push(() => close(server));
  return { host: `127.0.0.1:${port}`, log, stored };
}

async function push(host: string, size: number, pushChunkSize?: number) {
  const client = makeClient(pushChunkSize === undefined ? {} : { pushChunkSize });
  cleanups.push(client.close);
  const content = freshBytes(size);
  const blob = memoryBlob(content);
  const result = await (await client.repository(host, 'a/b')).pushBlob(blob);
  return { blob, result, content };
}

test('an upload cut in its body goes on from the very byte the registry has, without a new session', async () => {
  const registry = await startKeepingRegistry({ breakAt: 1_500_000 });
  const { blob, content } = await push(registry.host, 4_000_000);
  expect(registry.stored.get(blob.descriptor.digest)?.equals(content)).toBe(true);
  expect(registry.log.filter((line) => line.startsWith('POST'))).toHaveLength(1);
  const resumed = blob.opens[1] ?? 0;
  expect(blob.opens).toEqual([0, resumed]);
  expect(resumed).toBeGreaterThanOrEqual(1_500_000);
  expect(registry.log).toContain(`PATCH ${resumed}-3999999 ${4_000_000 - resumed}`);
});

test('a chunk cut in its body is completed by the next, and the state in the address is not rewritten', async () => {
  const registry = await startKeepingRegistry({ breakAt: 1_500_000 });
  const { blob, content } = await push(registry.host, 3_000_000, 1_000_000);
  expect(registry.stored.get(blob.descriptor.digest)?.equals(content)).toBe(true);
  expect(registry.log.filter((line) => line.startsWith('POST'))).toHaveLength(1);
});

test('chunks are never shorter than the registry asks for, except the last', async () => {
  const registry = await startKeepingRegistry({ minimumChunk: 700_000 });
  await push(registry.host, 1_500_000, 100_000);
  expect(registry.log.filter((line) => line.startsWith('PATCH'))).toEqual([
    'PATCH 0-699999 700000',
    'PATCH 700000-1399999 700000',
    'PATCH 1400000-1499999 100000',
  ]);
});

test('an absolute upload address on the same host keeps working', async () => {
  const registry = await startKeepingRegistry({ absolute: 'http://127.0.0.1:PORT' });
  const { blob, result } = await push(registry.host, 1000);
  expect(result).toBe('uploaded');
  expect(registry.stored.has(blob.descriptor.digest)).toBe(true);
});
