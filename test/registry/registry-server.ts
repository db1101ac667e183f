/** Real registries for tests: Debian's docker-registry with every kind of login, and helpers to talk about images. */
import { execFileSync, spawn } from 'node:child_process';
import { createSign, randomBytes } from 'node:crypto';
import { accessSync, constants, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Absolute path of a program the tests need; throws, so that a missing one fails the test with its reason. */
export function requireProgram(name: string): string {
  for (const directory of ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/bin']) {
    const path = join(directory, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Next directory.
    }
  }
  throw new Error(`this test needs the program "${name}", which is not installed`);
}

export interface RegistryServerOptions {
  /** Turns on password logins. */
  readonly htpasswd?: { readonly username: string; readonly password: string };
  /** Turns on token logins: tokens must be signed by this key and come from this realm. */
  readonly token?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    readonly certificate: string;
  };
  /** Turns on TLS with these PEM files. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Fixed port, for a registry that is started again; default a free one. */
  readonly port?: number;
  /** Directory of the blobs, for a registry that is started again; default a new one. */
  readonly storage?: string;
}

export interface RegistryServer {
  /** "127.0.0.1:PORT". */
  readonly host: string;
  readonly port: number;
  readonly storage: string;
  /** Lines of its log, newest last; with the access log. */
  readonly log: readonly string[];
  stop(): Promise<void>;
}

/** Starts docker-registry on 127.0.0.1 with storage in a temporary directory; rejects with its log if it does not come up. */
export async function startRegistry(options: RegistryServerOptions = {}): Promise<RegistryServer> {
  const program = requireProgram('docker-registry');
  const directory = mkdtempSync(join(tmpdir(), 'kiln-registry-'));
  const storage = options.storage ?? join(directory, 'storage');
  mkdirSync(storage, { recursive: true });
  const config = join(directory, 'config.yml');
  writeFileSync(config, configuration(options, directory, storage));
  const child = spawn(program, ['serve', config], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], OTEL_TRACES_EXPORTER: 'none' },
  });
  const log: string[] = [];
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        log.push(line);
        const found = /listening on [^ "]*:(\d+)/.exec(line)?.[1];
        if (found !== undefined) resolve(Number(found));
      });
    }
    child.once('error', reject);
    child.once('close', () => reject(new Error(`docker-registry did not start:\n${log.join('\n')}`)));
  });
  return {
    host: `127.0.0.1:${port}`,
    port,
    storage,
    log,
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function configuration(options: RegistryServerOptions, directory: string, storage: string): string {
  const lines = [
    'version: 0.1',
    'log: {level: info, accesslog: {disabled: false}}',
    `storage: {filesystem: {rootdirectory: ${JSON.stringify(storage)}}, delete: {enabled: true}}`,
    'http:',
    `  addr: 127.0.0.1:${options.port ?? 0}`,
    `  secret: ${randomBytes(16).toString('hex')}`,
  ];
  if (options.tls !== undefined) {
    lines.push('  tls:', `    certificate: ${options.tls.certificate}`, `    key: ${options.tls.key}`);
  }
  if (options.htpasswd !== undefined) {
    const { username, password } = options.htpasswd;
    const file = join(directory, 'htpasswd');
    writeFileSync(file, execFileSync(requireProgram('htpasswd'), ['-Bbn', username, password]));
    lines.push('auth:', '  htpasswd:', '    realm: kiln-test', `    path: ${file}`);
  }
  if (options.token !== undefined) {
    const { realm, service, issuer, certificate } = options.token;
    lines.push(
      'auth:',
      '  token:',
      `    realm: ${realm}`,
      `    service: ${service}`,
      `    issuer: ${issuer}`,
    );
    lines.push(`    rootcertbundle: ${certificate}`);
  }
  return `${lines.join('\n')}\n`;
}

export interface Certificate {
  /** Paths of PEM files. */
  readonly certificate: string;
  readonly key: string;
}

/** Makes a self-signed certificate for 127.0.0.1 and localhost with openssl. */
export function makeCertificate(directory: string, name = 'server'): Certificate {
  const certificate = join(directory, `${name}.crt`);
  const key = join(directory, `${name}.key`);
  execFileSync(
    requireProgram('openssl'),
    [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      key,
      '-out',
      certificate,
    ].concat([
      '-subj',
      `/CN=${name}.kiln.test`,
      '-addext',
      'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:registry.test',
    ]),
    { stdio: 'pipe' },
  );
  return { certificate, key };
}

interface TokenRequest {
  readonly method: string;
  readonly authorization: string | undefined;
  readonly scopes: readonly string[];
  readonly service: string | undefined;
  /** Fields of a POST. */
  readonly form: Readonly<Record<string, string>>;
}

export interface TokenServer {
  readonly realm: string;
  readonly service: string;
  readonly issuer: string;
  readonly certificate: string;
  /** Every request so far. */
  readonly requests: readonly TokenRequest[];
  stop(): Promise<void>;
}

export interface TokenServerOptions {
  readonly directory: string;
  readonly username?: string;
  readonly password?: string;
  /** Refresh token that the POST of oauth2 takes. */
  readonly identityToken?: string;
  /** Scopes an anonymous client gets; default none. */
  readonly anonymousScopes?: readonly string[];
  /** Real lifetime of the tokens in seconds. */
  readonly lifetime?: number;
  /** The lifetime it tells, when it lies. */
  readonly toldLifetime?: number;
}

/** A token server whose tokens docker-registry accepts: real JWTs, signed with a key made by openssl. */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const { certificate, key } = makeCertificate(options.directory, 'token');
  const requests: TokenRequest[] = [];
  const issuer = 'kiln-test-issuer';
  const service = 'kiln-test-registry';
  const server = createServer(async (request, response) => {
    const asked = await readTokenRequest(request);
    requests.push(asked);
    const granted = grant(asked, options);
    if (granted === undefined) return answer(response, 401, { details: 'incorrect username or password' });
    const token = signToken(
      { granted, issuer, audience: asked.service ?? '', lifetime: options.lifetime ?? 300 },
      { certificate, key },
    );
    return answer(response, 200, {
      [asked.method === 'POST' ? 'access_token' : 'token']: token,
      expires_in: options.toldLifetime ?? options.lifetime ?? 300,
    });
  });
  const port = await listen(server);
  return {
    realm: `http://127.0.0.1:${port}/token`,
    service,
    issuer,
    certificate,
    requests,
    stop: () => close(server),
  };
}

/** Scopes granted, or undefined for a wrong login. */
function grant(asked: TokenRequest, options: TokenServerOptions): readonly string[] | undefined {
  if (asked.method === 'POST')
    return asked.form['refresh_token'] === options.identityToken ? asked.scopes : undefined;
  if (asked.authorization === undefined)
    return asked.scopes.filter((scope) => options.anonymousScopes?.includes(scope));
  const expected = `Basic ${Buffer.from(`${options.username}:${options.password}`).toString('base64')}`;
  return asked.authorization === expected ? asked.scopes : undefined;
}

async function readTokenRequest(request: IncomingMessage): Promise<TokenRequest> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const form = Object.fromEntries(new URLSearchParams(Buffer.concat(pieces).toString()));
  const scopes =
    request.method === 'POST' ? (form['scope'] ?? '').split(' ') : url.searchParams.getAll('scope');
  return {
    method: request.method ?? '',
    authorization: request.headers.authorization,
    scopes: scopes.filter((scope) => scope !== ''),
    service: form['service'] ?? url.searchParams.get('service') ?? undefined,
    form,
  };
}

function signToken(
  claims: { granted: readonly string[]; issuer: string; audience: string; lifetime: number },
  files: Certificate,
): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const der = readFileSync(files.certificate, 'utf8').replace(/-----[A-Z ]+-----|\s/g, '');
  const access = claims.granted.map((scope) => {
    const [type = '', name = '', actions = ''] = scope.split(':');
    return { type, name, actions: actions.split(',') };
  });
  const body = `${part({ typ: 'JWT', alg: 'RS256', x5c: [der] })}.${part({
    iss: claims.issuer,
    sub: 'kiln',
    aud: claims.audience,
    exp: now + claims.lifetime,
    nbf: now - 60,
    iat: now,
    jti: randomBytes(8).toString('hex'),
    access,
  })}`;
  const signature = createSign('RSA-SHA256').update(body).sign(readFileSync(files.key)).toString('base64url');
  return `${body}.${signature}`;
}

/** Listens on a free port of 127.0.0.1 and tells it. */
export async function listen(server: ReturnType<typeof createServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** Ends a server and its connections. */
export async function close(server: ReturnType<typeof createServer>): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/** Answers with JSON. */
function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}
