import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request as send } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type RegistriesConf, readRegistriesConf } from '../../src/registry/registries-conf.ts';
import type { RegistryOptions } from '../../src/registry/registry.ts';
import { startFaultProxy } from './fault-proxy.ts';
import {
  basicEntry,
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

async function proxyTo(port: number, fault?: Parameters<typeof startFaultProxy>[0]['fault']) {
  const proxy = await startFaultProxy({ target: port, ...(fault === undefined ? {} : { fault }) });
  cleanups.push(proxy.stop);
  return proxy;
}

const CONF = '.config/containers/registries.conf';

describe('a mirror in registries.conf', () => {
  let server: RegistryServer;
  beforeAll(async () => {
    server = await startRegistry();
  });
  afterAll(() => server.stop());

  test('with a path prefix and dots serves another registry, its manifests and its blobs', async () => {
    const made = client();
    made.write(
      CONF,
      `[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "${server.host}/cache.v2/hub"\n`,
    );
    const image = makeImage();
    await pushImage(await made.repository(server.host, 'cache.v2/hub/library/alpine'), image, '3.20');
    const repository = await made.repository('docker.io', 'library/alpine');
    expect(await repository.resolve('3.20')).toEqual(image.manifest);
    expect((await repository.fetchDocument(image.manifest)).equals(image.content)).toBe(true);
    expect(repository.name).toBe('docker.io/library/alpine');
  });

  test('that lacks the image, or is down, is passed over for the next and then the registry', async () => {
    const down = await startRegistry();
    await down.stop();
    const [origin, empty, last] = [
      await proxyTo(server.port),
      await proxyTo(server.port),
      await proxyTo(server.port),
    ];
    const name = randomName();
    const made = client();
    const mirrors = [down.host, `${empty.host}/nothing`, last.host].map(
      (at) => `[[registry.mirror]]\nlocation = "${at}"\n`,
    );
    made.write(CONF, `[[registry]]\nlocation = "${origin.host}"\n${mirrors.join('')}`);
    const image = makeImage();
    await pushImage(await made.repository(origin.host, name), image, 'v1');
    const writes = origin.requests.length;
    const repository = await made.repository(origin.host, name);
    expect(await repository.resolve('v1')).toEqual(image.manifest);
    expect(empty.seen('HEAD', '/manifests/v1')).toHaveLength(1);
    expect(last.seen('HEAD', '/manifests/v1')).toHaveLength(1);
    expect(origin.requests.length).toBe(writes);
    // What the mirrors were told about pushes: nothing.
    expect(
      [...empty.requests, ...last.requests].filter(({ method }) => method === 'PUT' || method === 'POST'),
    ).toEqual([]);
  });

  test('that sends wrong bytes is caught; documents then come from the registry', async () => {
    const origin = await proxyTo(server.port);
    const liar = await proxyTo(server.port, ({ method, url }) =>
      method === 'GET' && url !== '/v2/' ? { kind: 'corrupt' } : undefined,
    );
    const made = client({ mirrors: [{ prefix: origin.host, location: liar.host }] });
    const repository = await made.repository(origin.host, randomName());
    const image = makeImage();
    await pushImage(repository, image, 'v1');
    expect((await repository.fetchDocument(image.manifest)).equals(image.content)).toBe(true);
    expect(liar.seen('GET', '/manifests/')).toHaveLength(1);
    const layer = image.layers[0];
    if (layer === undefined) throw new Error('no layer');
    expect(
      (await bytesOf(await repository.fetchBlob(layer.descriptor))).equals(await bytesOf(layer.open(0))),
    ).toBe(true);
    expect(liar.seen('GET', '/blobs/')).toHaveLength(0);
  });

  test('whose blob turns out wrong at its end is named and not asked again', async () => {
    const origin = await proxyTo(server.port);
    const liar = await proxyTo(server.port, ({ method, url }) =>
      method === 'GET' && url !== '/v2/' ? { kind: 'corrupt' } : undefined,
    );
    const made = client({ mirrors: [{ prefix: origin.host, location: liar.host }] });
    const repository = await made.repository(origin.host, randomName());
    const blob = memoryBlob(freshBytes(10_000));
    await repository.pushBlob(blob);
    const error = await buildErrorOf(repository.fetchBlob(blob.descriptor).then(bytesOf));
    expect(error.code).toBe('REGISTRY_DIGEST_MISMATCH');
    expect(error.message).toContain(liar.host);
    expect(await bytesOf(await repository.fetchBlob(blob.descriptor))).toHaveLength(10_000);
  });

  test('that breaks in the middle of a blob is replaced by the registry for the rest of it', async () => {
    const origin = await proxyTo(server.port);
    const breaking = await proxyTo(server.port, ({ url, method }) =>
      method === 'GET' && url.includes('/blobs/') ? { kind: 'cut-answer', bytes: 300_000 } : undefined,
    );
    const made = client({
      mirrors: [{ prefix: origin.host, location: breaking.host }],
      retry: { attempts: 7, connectAttempts: 2 },
    });
    const repository = await made.repository(origin.host, randomName());
    const content = freshBytes(1_000_000);
    const blob = memoryBlob(content);
    await repository.pushBlob(blob);
    expect((await bytesOf(await repository.fetchBlob(blob.descriptor))).equals(content)).toBe(true);
  });

  test('has its own login', async () => {
    const locked = await startRegistry({ htpasswd: { username: 'mirror', password: 'secret-secret' } });
    cleanups.push(locked.stop);
    const made = client({ mirrors: [{ prefix: 'docker.io', location: `${locked.host}/hub` }] });
    made.login({ auths: { [`${locked.host}/hub`]: basicEntry('mirror', 'secret-secret') } });
    const image = makeImage();
    await pushImage(await made.repository(locked.host, 'hub/library/alpine'), image, 'latest');
    expect(await (await made.repository('docker.io', 'library/alpine')).resolve('latest')).toEqual(
      image.manifest,
    );
  });

  test('that everything failed before is told with the error of the registry', async () => {
    const made = client({ mirrors: [{ prefix: server.host, location: `${server.host}/mirror` }] });
    const error = await buildErrorOf((await made.repository(server.host, 'team/nothing')).resolve('v1'));
    expect(error.code).toBe('BASE_IMAGE_NOT_FOUND');
    expect(textOf(error)).toContain(`The mirror ${server.host}/mirror/team/nothing was tried first`);
  });
});

describe('registries.conf', () => {
  const read = (made: ReturnType<typeof makeClient>, env: Record<string, string> = {}) =>
    readRegistriesConf({ env, home: made.home });
  const names = (conf: RegistriesConf, registry: string, repository: string) =>
    conf.pullSources(registry, repository).map((source) => `${source.registry}/${source.repository}`);

  test('chooses the longest prefix and rewrites it to its location', async () => {
    const made = client();
    made.write(
      CONF,
      `unqualified-search-registries = ["x.test"]
[[registry]]
location = "a.test"
[[registry]]
prefix = "a.test/team"
location = "b.test:5000/x/y"
insecure = true
[[registry]]
prefix = "*.wild.test"
[[registry.mirror]]
location = "m.test/w"
pull-from-mirror = "digest-only"
`,
    );
    const conf = await read(made);
    expect(names(conf, 'a.test', 'team/app')).toEqual(['b.test:5000/x/y/app']);
    expect(conf.pullSources('a.test', 'team/app')[0]?.insecure).toBe(true);
    expect(names(conf, 'a.test', 'teamwork/app')).toEqual(['a.test/teamwork/app']);
    expect(names(conf, 'sub.wild.test', 'x')).toEqual(['m.test/w/x', 'sub.wild.test/x']);
    expect(conf.pullSources('sub.wild.test', 'x')[0]?.serves).toBe('digest-only');
    expect(names(conf, 'wild.test', 'x')).toEqual(['wild.test/x']);
    expect(names(conf, 'docker.io', 'library/alpine')).toEqual(['docker.io/library/alpine']);
    expect(conf.pushTarget('a.test', 'team/app')).toMatchObject({
      registry: 'a.test',
      repository: 'team/app',
      insecure: true,
    });
  });

  test('is overwritten prefix by prefix by drop-in files in alphabetical order', async () => {
    const made = client();
    made.write(
      CONF,
      '[[registry]]\nprefix = "a.test"\nlocation = "one.test"\n[[registry]]\nprefix = "b.test"\nlocation = "two.test"\n',
    );
    made.write(`${CONF}.d/20.conf`, '[[registry]]\nprefix = "a.test"\nlocation = "three.test"\n');
    made.write(`${CONF}.d/10.conf`, '[[registry]]\nprefix = "a.test"\nlocation = "never.test"\n');
    made.write(`${CONF}.d/30.txt`, 'not toml at all [[[');
    const conf = await read(made);
    expect(names(conf, 'a.test', 'x')).toEqual(['three.test/x']);
    expect(names(conf, 'b.test', 'x')).toEqual(['two.test/x']);
  });

  test('is taken from $CONTAINERS_REGISTRIES_CONF alone where that is set', async () => {
    const made = client();
    made.write(CONF, '[[registry]]\nprefix = "a.test"\nlocation = "one.test"\n');
    const path = made.write('own.conf', '[[registry]]\nprefix = "b.test"\nlocation = "two.test"\n');
    const conf = await read(made, { CONTAINERS_REGISTRIES_CONF: path });
    expect(names(conf, 'a.test', 'x')).toEqual(['a.test/x']);
    expect(names(conf, 'b.test', 'x')).toEqual(['two.test/x']);
    const missing = read(made, { CONTAINERS_REGISTRIES_CONF: `${path}.gone` });
    expect((await buildErrorOf(missing)).code).toBe('REGISTRY_CONFIG');
  });

  test('blocks what it blocks', async () => {
    const made = client();
    made.write(CONF, '[[registry]]\nlocation = "docker.io"\nblocked = true\n');
    const error = await buildErrorOf(made.repository('docker.io', 'library/alpine'));
    expect(error.code).toBe('REGISTRY_BLOCKED');
    expect(error.message).toContain('registries.conf');
  });

  test.each([
    ['[[registry]\n', 'Invalid TOML'],
    ['[[registry]]\nlocation = 5\n', 'location is not a string'],
    ['[[registry]]\nprefix = "a.test"\n', 'has no location'],
    [
      '[[registry]]\nlocation = "a"\n[[registry.mirror]]\nlocation = "b"\npull-from-mirror = "often"\n',
      'pull-from-mirror is "often"',
    ],
    ['registry = "a"\n', 'must be written as [[registry]]'],
  ])('that is wrong is REGISTRY_CONFIG with the reason: %j', async (text, reason) => {
    const made = client();
    made.write(CONF, text);
    const error = await buildErrorOf(read(made));
    expect(error.code).toBe('REGISTRY_CONFIG');
    expect(error.message).toContain(reason);
  });

  test('in version 1 still says which registries are insecure or blocked', async () => {
    const made = client();
    made.write(
      CONF,
      "[registries.insecure]\nregistries = ['old.test']\n[registries.block]\nregistries = ['bad.test']\n",
    );
    const conf = await read(made);
    expect(conf.pullSources('old.test', 'x')[0]?.insecure).toBe(true);
    expect(() => conf.pullSources('bad.test', 'x')).toThrow(/blocked/);
  });

  test('sends a mirror only the kind of reference it is for', async () => {
    const server = await startRegistry();
    cleanups.push(server.stop);
    const [tags, digests] = [await proxyTo(server.port), await proxyTo(server.port)];
    const made = client();
    made.write(
      CONF,
      `[[registry]]\nlocation = "${server.host}"
[[registry.mirror]]\nlocation = "${digests.host}"\npull-from-mirror = "digest-only"
[[registry.mirror]]\nlocation = "${tags.host}"\npull-from-mirror = "tag-only"\n`,
    );
    const repository = await made.repository(server.host, randomName());
    const image = makeImage();
    await pushImage(repository, image, 'v1');
    await repository.resolve('v1');
    expect(digests.seen('HEAD', '/manifests/')).toHaveLength(0);
    expect(tags.seen('HEAD', '/manifests/')).toHaveLength(1);
    await repository.resolve(image.manifest.digest);
    expect(digests.seen('HEAD', '/manifests/')).toHaveLength(1);
  });
});

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

  test('spoken to by a name that is not this machine is never fallen back to plain HTTP', async () => {
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
