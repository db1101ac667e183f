import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request as send } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RegistryOptions } from '../../src/registry/registry.ts';
import {
  buildErrorOf,
  bytesOf,
  freshBytes,
  makeClient,
  makeImage,
  memoryBlob,
  pushImage,
  randomName,
  textOf,
} from './fixtures.ts';
import {
  type Certificate,
  close,
  listen,
  makeCertificate,
  type RegistryServer,
  startRegistry,
} from './registry-server.ts';

const directory = mkdtempSync(join(tmpdir(), 'kiln-config-'));
const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function client(options: Partial<RegistryOptions> = {}) {
  const made = makeClient({ retry: { attempts: 3, connectAttempts: 2 }, ...options });
  cleanups.push(made.close);
  return made;
}

const CONF = '.config/containers/registries.conf';

describe('a registry with a certificate of its own', () => {
  let server: RegistryServer;
  let certificate: Certificate;
  beforeAll(async () => {
    certificate = makeCertificate(directory);
    server = await startRegistry({ tls: certificate });
  });
  afterAll(() => server.stop());

  const certsd = () => `.config/containers/certs.d/${server.host}/ca.crt`;

  async function expectPush(made: ReturnType<typeof makeClient>) {
    const image = makeImage();
    const repository = await made.repository(server.host, randomName());
    await pushImage(repository, image, 'v1');
    expect(await repository.resolve('v1')).toEqual(image.manifest);
  }

  test('is trusted by the CA in certs.d', async () => {
    const made = client();
    made.write(certsd(), readFileSync(certificate.certificate, 'utf8'));
    await expectPush(made);
  });

  test('is refused when certs.d has another CA: REGISTRY_TLS names the directory and the ways out', async () => {
    const made = client();
    const other = makeCertificate(directory, 'other');
    made.write(certsd(), readFileSync(other.certificate, 'utf8'));
    const error = await buildErrorOf((await made.repository(server.host, 'a/b')).resolve('v1'));
    expect(error.code).toBe('REGISTRY_TLS');
    expect(error.message).toContain(`certs.d/${server.host}`);
    expect(textOf(error)).toContain(`insecure = true for location = "${server.host}"`);
    expect(made.sleeps).toEqual([]);
  });

  test('is refused without its CA where the check is asked for, and trusted by $SSL_CERT_FILE', async () => {
    const conf = `[[registry]]\nlocation = "${server.host}"\ninsecure = false\n`;
    const made = client();
    made.write(CONF, conf);
    expect((await buildErrorOf((await made.repository(server.host, 'a/b')).resolve('v1'))).code).toBe(
      'REGISTRY_TLS',
    );
    const trusting = client({ env: { SSL_CERT_FILE: certificate.certificate } });
    trusting.write(CONF, conf);
    await expectPush(trusting);
  });

  test('is taken unchecked when insecure, and on this machine by default', async () => {
    await expectPush(client());
    const made = client();
    made.write(CONF, `[[registry]]\nlocation = "${server.host}"\ninsecure = true\n`);
    made.write(certsd(), readFileSync(makeCertificate(directory, 'third').certificate, 'utf8'));
    await expectPush(made);
  });

  test('that asks for a client certificate gets the pair from certs.d, and only there', async () => {
    const { createServer: createTlsServer } = await import('node:https');
    const own = makeCertificate(directory, 'client');
    const seen: (string | undefined)[] = [];
    const front = createTlsServer(
      {
        cert: readFileSync(certificate.certificate),
        key: readFileSync(certificate.key),
        ca: readFileSync(own.certificate),
        requestCert: true,
        rejectUnauthorized: false,
      },
      (request, response) => {
        const socket = request.socket as import('node:tls').TLSSocket;
        seen.push(socket.authorized ? String(socket.getPeerCertificate().subject.CN) : undefined);
        response.writeHead(404).end();
      },
    );
    const port = await listen(front as never);
    const host = `127.0.0.1:${port}`;
    const made = client();
    const base = `.config/containers/certs.d/${host}`;
    made.write(`${base}/ca.crt`, readFileSync(certificate.certificate, 'utf8'));
    made.write(`${base}/client.cert`, readFileSync(own.certificate, 'utf8'));
    made.write(`${base}/client.key`, readFileSync(own.key, 'utf8'));
    expect(await (await made.repository(host, 'a/b')).hasBlob(memoryBlob(freshBytes(1)).descriptor)).toBe(
      false,
    );
    expect(seen).toEqual(['client.kiln.test']);
    await close(front as never);
  });

  test('that was declared secure is never spoken to in plain HTTP', async () => {
    const plain = await startRegistry();
    cleanups.push(plain.stop);
    const made = client();
    made.write(CONF, `[[registry]]\nlocation = "${plain.host}"\ninsecure = false\n`);
    const error = await buildErrorOf((await made.repository(plain.host, 'a/b')).resolve('v1'));
    expect(error.code).toBe('REGISTRY_TLS');
    expect(error.message).toContain('does not speak TLS');
    expect(plain.log.join('\n')).not.toContain('/v2/');
  });
});

describe('behind a proxy', () => {
  /** A forward proxy for http:// addresses and CONNECT, which alone knows where registry.test is. */
  async function startForwardProxy(target: number, login?: string) {
    const seen: string[] = [];
    const allowed = (header: string | undefined) =>
      login === undefined || header === `Basic ${Buffer.from(login).toString('base64')}`;
    const server = createServer((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      if (!allowed(request.headers['proxy-authorization'])) return void response.writeHead(407).end();
      const url = new URL(request.url ?? '');
      const { 'proxy-authorization': _, ...headers } = request.headers;
      const upstream = send({
        host: '127.0.0.1',
        port: target,
        path: url.pathname + url.search,
        method: request.method,
        headers,
      });
      upstream.on('response', (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
      request.pipe(upstream);
    });
    server.on('connect', (request, socket) => {
      seen.push(`CONNECT ${request.url}`);
      socket.on('error', () => {});
      if (!allowed(request.headers['proxy-authorization'])) {
        return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      }
      const upstream = connect(target, '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
      upstream.on('error', () => socket.destroy());
      upstream.pipe(socket).pipe(upstream);
    });
    const port = await listen(server);
    cleanups.push(() => close(server));
    return { port, seen };
  }

  test('a TLS registry is reached by CONNECT, with the login of the proxy and the CA of the registry', async () => {
    const certificate = makeCertificate(directory, 'proxied');
    const server = await startRegistry({ tls: certificate });
    cleanups.push(server.stop);
    const proxy = await startForwardProxy(server.port, 'me:proxy-pass');
    const made = client({ env: { HTTPS_PROXY: `http://me:proxy-pass@127.0.0.1:${proxy.port}` } });
    made.write(
      '.config/containers/certs.d/registry.test/ca.crt',
      readFileSync(certificate.certificate, 'utf8'),
    );
    const image = makeImage();
    const repository = await made.repository('registry.test', 'team/app');
    await pushImage(repository, image, 'v1');
    expect(await repository.resolve('v1')).toEqual(image.manifest);
    expect(new Set(proxy.seen)).toEqual(new Set(['CONNECT registry.test:443']));
  });

  test('an insecure registry is reached through HTTP_PROXY', async () => {
    const server = await startRegistry();
    cleanups.push(server.stop);
    const proxy = await startForwardProxy(server.port);
    const url = `127.0.0.1:${proxy.port}`;
    const made = client({ env: { http_proxy: url, https_proxy: url }, insecure: ['registry.test'] });
    const repository = await made.repository('registry.test', 'team/app');
    const blob = memoryBlob(freshBytes(300_000));
    expect(await repository.pushBlob(blob)).toBe('uploaded');
    expect(await bytesOf(await repository.fetchBlob(blob.descriptor))).toHaveLength(300_000);
    expect(
      proxy.seen.some((line) => line.startsWith('PUT http://registry.test/v2/team/app/blobs/uploads/')),
    ).toBe(true);
  });

  test('Docker Hub is asked at its registry host', async () => {
    const proxy = await startForwardProxy(1, 'nobody:ever');
    const made = client({ env: { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` } });
    await buildErrorOf((await made.repository('docker.io', 'library/alpine')).resolve('latest'));
    expect(proxy.seen).toContain('CONNECT registry-1.docker.io:443');
  });

  test('a refused login of the proxy is REGISTRY_UNREACHABLE that names the proxy, not the password', async () => {
    const proxy = await startForwardProxy(1, 'me:right');
    const made = client({ env: { HTTPS_PROXY: `http://me:wrong-pass@127.0.0.1:${proxy.port}` } });
    const error = await buildErrorOf((await made.repository('registry.test', 'a/b')).resolve('v1'));
    expect(error.code).toBe('REGISTRY_UNREACHABLE');
    expect(error.message).toContain(`proxy http://127.0.0.1:${proxy.port}`);
    expect(error.message).toContain('407');
    expect(textOf(error)).not.toContain('wrong-pass');
  });
});
