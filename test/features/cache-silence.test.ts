/** Places of a cache that take the connection and say nothing, or stop in the middle: a build goes on without them. */
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { ROOTLESS, Workspace } from '../helpers/workspace.ts';

const DOCKERFILE = 'ARG BASE\nFROM $BASE\nCOPY f /f\nRUN echo ran > /x\n';
/** One silence, and what a build takes under load. */
const SOON_MS = 18_000;

/** Listens for one test; gives "127.0.0.1:PORT". */
async function listening(server: Server): Promise<string> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Takes everything and never answers. */
const silent = () => listening(createServer((socket) => void socket.resume()));

const DIGEST = `sha256:${'a'.repeat(64)}`;
const HEADERS = {
  'content-type': 'application/vnd.oci.image.manifest.v1+json',
  'docker-content-digest': DIGEST,
  'content-length': '500',
};

function stall(response: ServerResponse): void {
  response.writeHead(200, HEADERS);
  response.write('{"schemaVersion":2,');
}

/** Has a manifest, and stops in the middle of it. */
const stallsInBody = () =>
  listening(
    createHttpServer(({ method, url }, response) => {
      if (url?.includes('/manifests/') !== true) return void response.end('{}');
      if (method === 'HEAD') return void response.writeHead(200, HEADERS).end();
      stall(response);
    }),
  );

/** Has nothing yet, lets an upload begin, and reads nothing of it. */
const stallsInUpload = () =>
  listening(
    createHttpServer(({ method, url }, response) => {
      if (method === 'POST') {
        return void response.writeHead(202, { location: `${url ?? ''}session?state=1` }).end();
      }
      if (method === 'GET' || method === 'HEAD') {
        if (url === '/v2/') return void response.end('{}');
        response.writeHead(404, { 'content-type': 'application/json' });
        return void response.end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
      }
    }),
  );

test('registries that say nothing, or stop in the middle of a document, are given up after one silence', async () => {
  const caches = [`${await silent()}/c:1`, `${await stallsInBody()}/c:1`];
  const work = new Workspace(ROOTLESS);
  work.write('f', 'f');
  const args = caches.flatMap((cache) => ['--cache-from', cache, '--cache-to', cache]);
  const result = await work.tryBuild(DOCKERFILE, { args });
  expect(result.exitCode, result.stderr).toBe(0);
  const warnings = result.stderr.split('\n').filter((line) => line.startsWith('WARNING: cache'));
  expect(warnings, result.stderr).toHaveLength(4);
  for (const cache of caches) {
    const own = warnings.filter((line) => line.includes(cache)).join('\n');
    expect(own).toMatch(/cache .* is not used: .*no answer/);
    expect(own).toMatch(/cache .* was not exported: .*no answer/);
  }
  // One silence for all that is read, one for all that is written.
  expect(result.durationMs).toBeLessThan(2 * SOON_MS);
}, 60_000);

test('an upload that nobody reads costs the export and no more, nor do cache mounts of a silent place', async () => {
  const cache = `${await stallsInUpload()}/c:1`;
  const mounts = `type=registry,ref=${await silent()}/m:1`;
  const work = new Workspace(ROOTLESS);
  work.write('f', 'f');
  const dockerfile = `ARG BASE
FROM $BASE
RUN head -c 30000000 /dev/urandom > /big
RUN --mount=type=cache,target=/c echo x > /c/x
`;
  const args = ['--cache-to', cache, '--cache-mount-from', mounts, '--cache-mount-to', mounts];
  const result = await work.tryBuild(dockerfile, { args, timeout: 90_000 });
  expect(result.exitCode, result.stderr).toBe(0);
  const warnings = result.stderr.split('\n').filter((line) => line.startsWith('WARNING: cache'));
  expect(warnings, result.stderr).toHaveLength(3);
  expect(warnings[0]).toMatch(/cache mounts of .* are not used: .*no answer/);
  expect(warnings[1]).toMatch(/cache .* was not exported: .*no answer/);
  expect(warnings[2]).toMatch(/cache mounts were not saved to .*: .*no answer/);
  expect(result.durationMs).toBeLessThan(70_000);
}, 100_000);
