import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RegistryOptions } from '../../src/registry/registry.ts';
import { startFaultProxy } from './fault-proxy.ts';
import {
  basicEntry,
  buildErrorOf,
  freshBytes,
  makeClient,
  makeImage,
  memoryBlob,
  pushImage,
  randomName,
  textOf,
} from './fixtures.ts';
import { makeHelpers } from './helper-programs.ts';
import {
  type RegistryServer,
  startRegistry,
  startTokenServer,
  type TokenServer,
  type TokenServerOptions,
} from './registry-server.ts';

const USER = { username: 'robot', password: 'pa:ss"w0rd' };
const directory = mkdtempSync(join(tmpdir(), 'kiln-auth-'));
const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function client(options: Partial<RegistryOptions> = {}) {
  const made = makeClient(options);
  cleanups.push(made.close);
  return made;
}

const { runHelper, makeHelper } = makeHelpers(directory);

describe('a registry with passwords (htpasswd)', () => {
  let server: RegistryServer;
  beforeAll(async () => {
    server = await startRegistry({ htpasswd: USER });
  });
  afterAll(() => server.stop());

  async function expectAccess(made: ReturnType<typeof makeClient>, name = randomName()) {
    const image = makeImage();
    const repository = await made.repository(server.host, name);
    await pushImage(repository, image, 'v1');
    expect(await repository.resolve('v1')).toEqual(image.manifest);
  }

  test('takes a login from ~/.docker/config.json', async () => {
    const made = client();
    made.login({ auths: { [server.host]: basicEntry(USER.username, USER.password) } });
    await expectAccess(made);
  });

  test.each([
    ['$REGISTRY_AUTH_FILE', 'REGISTRY_AUTH_FILE', 'auth.json', 'auth.json'],
    ['$XDG_RUNTIME_DIR/containers/auth.json', 'XDG_RUNTIME_DIR', 'run/containers/auth.json', 'run'],
    ['$DOCKER_CONFIG/config.json', 'DOCKER_CONFIG', 'docker/config.json', 'docker'],
  ])('takes a login from %s', async (_title, variable, file, value) => {
    const env: Record<string, string> = {};
    const made = client({ env });
    made.write(
      file,
      JSON.stringify({ auths: { [`https://${server.host}/v2/`]: basicEntry(USER.username, USER.password) } }),
    );
    env[variable] = join(made.home, value);
    await expectAccess(made);
  });

  test('takes an explicit login before any file', async () => {
    const credentials = { kind: 'password', ...USER } as const;
    const made = client({ logins: [{ scope: server.host, credentials, origin: '--creds' }] });
    made.login({ auths: { [server.host]: basicEntry('other', 'wrong') } });
    await expectAccess(made);
  });

  test('takes the entry of the repository before that of the registry', async () => {
    const made = client();
    made.login({
      auths: {
        [server.host]: basicEntry('other', 'wrong'),
        [`${server.host}/team`]: basicEntry(USER.username, USER.password),
        [`${server.host}/team/other`]: basicEntry('other', 'wrong'),
      },
    });
    await expectAccess(made, 'team/app');
    const error = await buildErrorOf((await made.repository(server.host, 'team/other')).resolve('v1'));
    expect(error.message).toContain(`"${server.host}/team/other"`);
  });

  test.each(['credHelpers', 'credsStore'])('takes a login from a helper program (%s)', async (field) => {
    makeHelper('kilntest', { [server.host]: { Username: USER.username, Secret: USER.password } });
    const made = client({ runHelper });
    made.login(
      field === 'credsStore' ? { credsStore: 'kilntest' } : { credHelpers: { [server.host]: 'kilntest' } },
    );
    await expectAccess(made);
  });

  test('without a login is REGISTRY_UNAUTHORIZED, which says anonymous, the scope and how to log in', async () => {
    const error = await buildErrorOf((await client().repository(server.host, 'team/app')).resolve('v1'));
    expect(error.code).toBe('REGISTRY_UNAUTHORIZED');
    expect(error.message).toContain('anonymous, scope repository:team/app:pull');
    expect(error.message).toContain('UNAUTHORIZED: authentication required');
    expect(textOf(error)).toContain(`kiln login ${server.host}`);
  });

  test('with a wrong login names the file and the entry, never the password', async () => {
    const made = client();
    const path = made.login({ auths: { [server.host]: basicEntry('robot', 'hunter2hunter2') } });
    const repository = await made.repository(server.host, 'team/app');
    const pull = () => repository.resolve('v1');
    const push = () => repository.pushBlob(memoryBlob(freshBytes(10)));
    for (const attempt of [pull, push]) {
      const error = await buildErrorOf(attempt());
      expect(error.code).toBe('REGISTRY_UNAUTHORIZED');
      expect(error.message).toContain(`auths entry "${server.host}" in ${path}`);
      // Also where the first request was a HEAD, whose answer has no words.
      expect(error.message).toContain('UNAUTHORIZED: authentication required');
      expect(textOf(error)).not.toMatch(/hunter2|aHVudGVyM|cm9ib3Q6/);
    }
  });

  test('with a helper that is not installed, or fails, says so', async () => {
    const made = client({ runHelper });
    made.login({ credsStore: 'desktop' });
    const missing = await buildErrorOf((await made.repository(server.host, 'team/app')).resolve('v1'));
    expect(missing.code).toBe('REGISTRY_UNAUTHORIZED');
    expect(textOf(missing)).toMatch(/docker-credential-desktop.*not installed/);
    const broken = client({
      runHelper: async () => ({ exitCode: 2, stdout: '', stderr: 'keychain is locked\n' }),
    });
    broken.login({ credHelpers: { [server.host]: 'osxkeychain' } });
    const failed = await buildErrorOf((await broken.repository(server.host, 'team/app')).resolve('v1'));
    expect(textOf(failed)).toContain('keychain is locked');
  });

  test('with a login file that is not JSON names the file and quotes nothing of it', async () => {
    const made = client();
    const path = made.write('.docker/config.json', '{"auths": {"x": {"auth": "c2VjcmV0OnNlY3JldA==" }');
    const error = await buildErrorOf((await made.repository(server.host, 'team/app')).resolve('v1'));
    expect(error.code).toBe('REGISTRY_AUTH_FILE');
    expect(error.message).toContain(path);
    expect(textOf(error)).not.toContain('c2VjcmV0');
  });

  test('checks a login for the login command, and access before a build', async () => {
    const made = client();
    await made.registry.checkLogin(server.host, { kind: 'password', ...USER });
    const wrong = made.registry.checkLogin(server.host, {
      kind: 'password',
      username: 'robot',
      password: 'nope-nope',
    });
    expect((await buildErrorOf(wrong)).code).toBe('REGISTRY_UNAUTHORIZED');
    const repository = await made.repository(server.host, 'team/app');
    expect((await buildErrorOf(repository.checkAccess('push'))).code).toBe('REGISTRY_UNAUTHORIZED');
    const other = client();
    other.login({ auths: { [server.host]: basicEntry(USER.username, USER.password) } });
    await (await other.repository(server.host, 'team/app')).checkAccess('push');
    await (await other.repository(server.host, 'team/app')).checkAccess('pull');
  });
});

describe('a registry with tokens', () => {
  let token: TokenServer;
  let server: RegistryServer;

  async function start(options: Omit<TokenServerOptions, 'directory'>) {
    token = await startTokenServer({ directory, ...options });
    server = await startRegistry({ token });
    cleanups.push(server.stop, token.stop);
  }

  test('gives one token for a repository, used for all of a push', async () => {
    await start(USER);
    const made = client();
    made.login({ auths: { [server.host]: basicEntry(USER.username, USER.password) } });
    const repository = await made.repository(server.host, 'team/app');
    const image = makeImage();
    await pushImage(repository, image, 'v1');
    expect(token.requests).toHaveLength(1);
    expect(token.requests[0]).toMatchObject({
      service: token.service,
      scopes: ['repository:team/app:pull,push'],
    });
    expect(await repository.resolve('v1')).toEqual(image.manifest);
  });

  test('is asked for both repositories in one token when a blob is mounted', async () => {
    await start(USER);
    const made = client();
    made.login({ auths: { [server.host]: basicEntry(USER.username, USER.password) } });
    const content = freshBytes(1000);
    await (await made.repository(server.host, 'team/base')).pushBlob(memoryBlob(content));
    const target = await made.repository(server.host, 'team/app');
    expect(await target.pushBlob({ ...memoryBlob(content), mountFrom: ['team/base'] })).toBe('mounted');
    expect(token.requests.at(-1)?.scopes).toEqual([
      'repository:team/app:pull,push',
      'repository:team/base:pull',
    ]);
  });

  test('serves anonymous readers and refuses them as writers, saying so', async () => {
    await start({ ...USER, anonymousScopes: ['repository:team/app:pull'] });
    const writer = client();
    writer.login({ auths: { [server.host]: basicEntry(USER.username, USER.password) } });
    const image = makeImage();
    await pushImage(await writer.repository(server.host, 'team/app'), image, 'v1');
    const reader = await client().repository(server.host, 'team/app');
    expect(await reader.resolve('v1')).toEqual(image.manifest);
    const error = await buildErrorOf(reader.pushBlob(memoryBlob(freshBytes(10))));
    expect(error.code).toMatch(/REGISTRY_(UNAUTHORIZED|DENIED)/);
    expect(error.message).toContain('anonymous, scope repository:team/app:pull,push');
  });

  test('refuses a wrong password in the words of the token server', async () => {
    await start(USER);
    const made = client();
    made.login({ auths: { [server.host]: basicEntry('robot', 'hunter2hunter2') } });
    const error = await buildErrorOf((await made.repository(server.host, 'team/app')).resolve('v1'));
    expect(error.code).toBe('REGISTRY_UNAUTHORIZED');
    expect(error.message).toContain('incorrect username or password');
    expect(error.message).toContain(`auths entry "${server.host}"`);
    expect(textOf(error)).not.toContain('hunter2');
  });

  test('exchanges an identity token by POST', async () => {
    await start({ identityToken: 'refresh-me-refresh-me' });
    const made = client();
    made.login({ auths: { [server.host]: { auth: 'MDAwOg==', identitytoken: 'refresh-me-refresh-me' } } });
    await pushImage(await made.repository(server.host, 'team/app'), makeImage(), 'v1');
    expect(token.requests[0]).toMatchObject({
      method: 'POST',
      form: { grant_type: 'refresh_token', client_id: 'kiln' },
    });
  });

  test('exchanges an identity token from a helper too', async () => {
    await start({ identityToken: 'refresh-me-refresh-me' });
    makeHelper('identity', { [server.host]: { Username: '<token>', Secret: 'refresh-me-refresh-me' } });
    const made = client({ runHelper });
    made.login({ credsStore: 'identity' });
    await pushImage(await made.repository(server.host, 'team/app'), makeImage(), 'v1');
    expect(token.requests[0]?.method).toBe('POST');
  });

  test('whose token is refused in the middle of an upload gets a new one and goes on', async () => {
    await start(USER);
    let patches = 0;
    const challenge = `Bearer realm="${token.realm}",service="${token.service}",scope="repository:team/app:pull,push",error="invalid_token"`;
    const proxy = await startFaultProxy({
      target: server.port,
      fault: ({ method }) =>
        method === 'PATCH' && ++patches === 2
          ? { kind: 'status', status: 401, headers: { 'www-authenticate': challenge } }
          : undefined,
    });
    const made = client({ pushChunkSize: 500_000 });
    cleanups.unshift(proxy.stop);
    made.login({ auths: { [proxy.host]: basicEntry(USER.username, USER.password) } });
    const blob = memoryBlob(freshBytes(1_500_000));
    expect(await (await made.repository(proxy.host, 'team/app')).pushBlob(blob)).toBe('uploaded');
    expect(token.requests).toHaveLength(2);
    const sent = proxy.seen('PATCH').map(({ headers }) => [headers['content-range'], headers.authorization]);
    expect(sent.map(([range]) => range)).toEqual([
      '0-499999',
      '500000-999999',
      '500000-999999',
      '1000000-1499999',
    ]);
    expect(sent[2]?.[1]).not.toBe(sent[1]?.[1]);
    expect(made.sleeps).toEqual([]);
  });

  test('keeps a token no longer than it says', async () => {
    await start({ ...USER, lifetime: 120 });
    let now = Date.now();
    const made = client({ clock: { now: () => now, sleep: async () => {}, random: () => 0 } });
    made.login({ auths: { [server.host]: basicEntry(USER.username, USER.password) } });
    const repository = await made.repository(server.host, 'team/app');
    const { descriptor } = memoryBlob(freshBytes(10));
    await repository.hasBlob(descriptor);
    now += 100_000;
    await repository.hasBlob(descriptor);
    expect(token.requests).toHaveLength(1);
    now += 15_000;
    await repository.hasBlob(descriptor);
    expect(token.requests).toHaveLength(2);
  });

  test('that wants a password sent to an unencrypted token server gets none when the registry itself is verified', async () => {
    const { Authenticator } = await import('../../src/registry/auth.ts');
    const { CredentialFinder } = await import('../../src/registry/credentials.ts');
    const { TrustStore } = await import('../../src/registry/trust.ts');
    const { systemClock } = await import('../../src/registry/retry.ts');
    const { Readable } = await import('node:stream');
    const made = client();
    made.login({ auths: { 'registry.test': basicEntry('robot', 'hunter2hunter2') } });
    const trust = new TrustStore({}, made.home);
    const authenticator = new Authenticator({
      registry: 'registry.test',
      trust,
      tls: trust.settingsFor('registry.test', false),
      transport: { request: () => Promise.reject(new Error('a request was sent')) } as never,
      finder: new CredentialFinder({ env: {}, home: made.home, runHelper }),
      clock: systemClock,
    });
    const headers = { 'www-authenticate': 'Bearer realm="http://evil.test/token",service="x"' };
    const response = {
      status: 401,
      headers,
      url: new URL('https://registry.test/v2/'),
      body: Readable.from([]),
    };
    const error = await buildErrorOf(
      authenticator.renew(response, { repository: 'a/b', scopes: [], used: undefined }),
    );
    expect(error.message).toContain('unencrypted');
  });
});
