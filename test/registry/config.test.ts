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
import { type RegistryServer, startRegistry } from './registry-server.ts';

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

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
