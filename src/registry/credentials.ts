/**
 * Where a login comes from: explicit ones, then the files of podman and docker with their credential helpers
 * (containers-auth.json(5), docker's config.json, the docker-credential-helpers protocol).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import type { Environment } from './proxy.ts';
import { redactText } from './redact.ts';

/** What proves who we are. An identity token is exchanged for access tokens; a registry token is sent as it is. */
export type Credentials =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  | { readonly kind: 'identity-token'; readonly token: string; readonly username?: string }
  | { readonly kind: 'registry-token'; readonly token: string };

/** A login that was found, or the finding that there is none. */
export interface Login {
  readonly credentials: Credentials | undefined;
  /** For messages: the file and entry, or "anonymous". Never a secret. */
  readonly origin: string;
  /** What went wrong on the way, such as a helper that is not installed. */
  readonly notes: readonly string[];
}

/** A login given on the command line or through the environment, for a registry or a path below it ("ghcr.io/team"). */
export interface ExplicitLogin {
  readonly scope: string;
  readonly credentials: Credentials;
  /** For messages, such as "--creds". */
  readonly origin: string;
}

/**
 * Starts a helper program with text on its standard input and waits for its end. Rejects only when it cannot be
 * started. `program` is a bare name such as docker-credential-pass.
 */
export type HelperRunner = (
  program: string,
  args: readonly string[],
  input: string,
) => Promise<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }>;

/** A parsed docker or podman configuration file; unknown fields are kept for writing it back. */
export interface AuthFile {
  readonly path: string;
  readonly json: Readonly<Record<string, unknown>>;
}

const HUB_HOSTS = new Set([
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
  'registry.hub.docker.com',
]);
/** The key under which docker has always kept Docker Hub's login. */
export const HUB_KEY = 'https://index.docker.io/v1/';

/** The files that may hold logins, in the order they are asked. */
export function authFilePaths(env: Environment, home: string): string[] {
  const config = env['XDG_CONFIG_HOME'] || join(home, '.config');
  const paths = [
    env['REGISTRY_AUTH_FILE'],
    env['XDG_RUNTIME_DIR'] ? join(env['XDG_RUNTIME_DIR'], 'containers/auth.json') : undefined,
    join(config, 'containers/auth.json'),
    join(env['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json'),
  ];
  return [...new Set(paths.filter((path) => path !== undefined && path !== ''))] as string[];
}

/** Reads one file; undefined when there is none. Throws BuildError REGISTRY_AUTH_FILE when it is no JSON object. */
export function readAuthFile(path: string): AuthFile | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw broken(path, messageOf(error), error);
  }
  if (text.trim() === '') return { path, json: {} };
  try {
    const json: unknown = JSON.parse(text);
    if (isObject(json)) return { path, json };
  } catch {
    // The parser's message quotes the text, which may be a secret.
    throw broken(path, 'it is not valid JSON');
  }
  throw broken(path, 'it does not hold a JSON object');
}

export interface CredentialFinderOptions {
  readonly env: Environment;
  readonly home: string;
  readonly runHelper: HelperRunner;
  readonly explicit?: readonly ExplicitLogin[];
}

/** Finds logins; each file is read once and each helper asked once a registry. */
export class CredentialFinder {
  readonly #options: CredentialFinderOptions;
  readonly #logins = new Map<string, Promise<Login>>();
  #files: readonly AuthFile[] | undefined;

  constructor(options: CredentialFinderOptions) {
    this.#options = options;
  }

  /** The login for a repository of a registry; the most specific entry wins within each source. */
  find(registry: string, repository: string): Promise<Login> {
    const key = `${registry}/${repository}`;
    const login = this.#logins.get(key) ?? this.#search(registry, repository);
    this.#logins.set(key, login);
    return login;
  }

  async #search(registry: string, repository: string): Promise<Login> {
    const names = lookupNames(registry, repository);
    for (const name of names) {
      const login = this.#options.explicit?.find(({ scope }) => entryName(scope) === name);
      if (login) return { credentials: login.credentials, origin: login.origin, notes: [] };
    }
    this.#files ??= authFilePaths(this.#options.env, this.#options.home).flatMap(
      (path) => readAuthFile(path) ?? [],
    );
    const notes: string[] = [];
    for (const file of this.#files) {
      const login = await this.#searchFile(file, names, notes);
      if (login !== undefined) return { ...login, notes };
    }
    return { credentials: undefined, origin: 'anonymous', notes };
  }

  /** Helper for the registry, then the store of everything, then the plain entries, as docker does. */
  async #searchFile(file: AuthFile, names: readonly string[], notes: string[]) {
    const registry = names.at(-1) ?? '';
    const helpers = Object.entries(objectAt(file.json, 'credHelpers'));
    for (const name of names) {
      const [key, helper] = helpers.find(([key]) => entryName(key) === name) ?? [];
      if (key === undefined || typeof helper !== 'string' || helper === '') continue;
      const origin = `helper docker-credential-${helper} (credHelpers entry "${key}" in ${file.path})`;
      const credentials = await this.#askHelper(helper, helperServer(key, registry), { origin, notes });
      if (credentials) return { credentials, origin };
    }
    const store = file.json['credsStore'];
    if (typeof store === 'string' && store !== '') {
      const origin = `helper docker-credential-${store} (credsStore in ${file.path})`;
      const credentials = await this.#askHelper(store, registry === 'docker.io' ? HUB_KEY : registry, {
        origin,
        notes,
      });
      if (credentials) return { credentials, origin };
    }
    return plainEntry(file, names, notes);
  }

  async #askHelper(
    helper: string,
    server: string,
    to: { origin: string; notes: string[] },
  ): Promise<Credentials | undefined> {
    if (!/^[A-Za-z0-9._-]+$/.test(helper)) {
      to.notes.push(`${to.origin}: not a valid helper name`);
      return undefined;
    }
    try {
      const { exitCode, stdout, stderr } = await this.#options.runHelper(
        `docker-credential-${helper}`,
        ['get'],
        `${server}\n`,
      );
      if (exitCode === 0) return parseHelperAnswer(stdout);
      // The protocol reports a missing entry as a failure with this text on standard output.
      if (/credentials not found/i.test(stdout)) return undefined;
      to.notes.push(`${to.origin} failed: ${redactText(stderr || stdout) || `exit status ${exitCode}`}`);
    } catch (error) {
      to.notes.push(`${to.origin} failed: ${redactText(messageOf(error))}`);
    }
    return undefined;
  }
}

/** "ghcr.io/a/b", "ghcr.io/a", "ghcr.io": the names an entry may have, most specific first. */
function lookupNames(registry: string, repository: string): string[] {
  const host = canonicalHost(registry);
  const parts = repository === '' ? [] : repository.split('/');
  return [...parts.keys()].map((end) => [host, ...parts.slice(0, parts.length - end)].join('/')).concat(host);
}

/** A key of a file as lookupNames writes it: no scheme, no /v1/ or /v2/, one name for Docker Hub. */
export function entryName(key: string): string {
  const hadScheme = /^https?:\/\//.test(key);
  const [host = '', ...path] = key
    .replace(/^https?:\/\//, '')
    .replace(/\/+$/, '')
    .split('/');
  const isApiPath = path.length === 1 && /^v[12]$/.test(path[0] ?? '');
  return hadScheme || isApiPath ? canonicalHost(host) : [canonicalHost(host), ...path].join('/');
}

/** One name for the several hosts of Docker Hub. */
export function canonicalHost(host: string): string {
  return HUB_HOSTS.has(host) ? 'docker.io' : host;
}

/** What a helper is asked for: docker's own key for the Hub, else the key as it was configured. */
function helperServer(key: string, registry: string): string {
  return registry === 'docker.io' ? HUB_KEY : key.replace(/^https?:\/\//, '').replace(/\/+$/, '');
}

function plainEntry(file: AuthFile, names: readonly string[], notes: string[]) {
  const entries = Object.entries(objectAt(file.json, 'auths'));
  for (const name of names) {
    for (const [key, value] of entries) {
      if (entryName(key) !== name || !isObject(value)) continue;
      const credentials = readEntry(value);
      if (credentials === 'invalid') notes.push(`the auths entry "${key}" in ${file.path} cannot be decoded`);
      else if (credentials !== undefined)
        return { credentials, origin: `auths entry "${key}" in ${file.path}` };
    }
  }
  return undefined;
}

/** An `auths` value; an empty one only says that a helper holds the login. */
function readEntry(entry: Readonly<Record<string, unknown>>): Credentials | 'invalid' | undefined {
  const text = (name: string) => (typeof entry[name] === 'string' ? (entry[name] as string) : '');
  const decoded = Buffer.from(text('auth'), 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = decoded.indexOf(':');
  const username = colon > 0 ? decoded.slice(0, colon) : text('username');
  if (text('identitytoken') !== '') {
    return { kind: 'identity-token', token: text('identitytoken'), ...(username ? { username } : {}) };
  }
  if (text('registrytoken') !== '') return { kind: 'registry-token', token: text('registrytoken') };
  if (colon > 0) return { kind: 'password', username, password: decoded.slice(colon + 1) };
  if (username !== '') return { kind: 'password', username, password: text('password') };
  return text('auth') === '' ? undefined : 'invalid';
}

/** A helper's JSON; the user name "<token>" marks an identity token. Throws when it is something else. */
function parseHelperAnswer(stdout: string): Credentials | undefined {
  let json: unknown;
  try {
    json = JSON.parse(stdout);
  } catch {
    throw new Error('its answer is not JSON');
  }
  if (!isObject(json) || typeof json['Secret'] !== 'string') throw new Error('its answer has no Secret');
  const username = typeof json['Username'] === 'string' ? json['Username'] : '';
  if (username === '' && json['Secret'] === '') return undefined;
  if (username === '<token>') return { kind: 'identity-token', token: json['Secret'] };
  return { kind: 'password', username, password: json['Secret'] };
}

/** The object in a field, or an empty one. */
export function objectAt(json: Readonly<Record<string, unknown>>, field: string): Record<string, unknown> {
  const value = json[field];
  return isObject(value) ? value : {};
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function broken(path: string, why: string, cause?: unknown): BuildError {
  return new BuildError('REGISTRY_AUTH_FILE', `cannot read the login file ${path}: ${why}`, {
    suggestions: ['Repair or remove the file, or point REGISTRY_AUTH_FILE or DOCKER_CONFIG at another one.'],
    cause,
  });
}
