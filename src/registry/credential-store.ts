/** Logins written and removed: an entry in the configuration file, or the credential helper it names. */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BuildError } from '../errors.ts';
import { makeDirectories, writeFileAtomic } from '../system/files.ts';
import {
  authFilePaths,
  type Credentials,
  canonicalHost,
  entryName,
  type HelperRunner,
  HUB_KEY,
  objectAt,
  readAuthFile,
} from './credentials.ts';
import type { Environment } from './proxy.ts';
import { redactText } from './redact.ts';

export interface CredentialStoreOptions {
  readonly env: Environment;
  readonly home: string;
  readonly runHelper: HelperRunner;
}

/** What `login` and `logout` report: where the login now is, or was. */
export interface StoredLogin {
  /** The file, or the helper's program name. */
  readonly place: string;
  /** True when the secret lies readable (base64) in a file. */
  readonly plain: boolean;
}

/**
 * Keeps a login for a registry: by the helper that the configuration file names for it, else in the file itself
 * (mode 0600, atomically). The file is $REGISTRY_AUTH_FILE, else docker's config.json.
 * Throws BuildError REGISTRY_AUTH_FILE or REGISTRY_HELPER.
 */
export async function storeLogin(
  registry: string,
  credentials: Credentials,
  options: CredentialStoreOptions,
): Promise<StoredLogin> {
  const path = writtenFile(options);
  const json = readAuthFile(path)?.json ?? {};
  const helper = helperOf(json, registry);
  if (helper !== undefined) {
    await runHelper(
      helper,
      { action: 'store', input: helperEntry(registry, credentials), secret: secretOf(credentials) },
      options,
    );
    return { place: `docker-credential-${helper}`, plain: false };
  }
  const auths = {
    ...withoutEntry(objectAt(json, 'auths'), registry),
    [serverKey(registry)]: fileEntry(credentials),
  };
  writeAuthFile(path, { ...json, auths });
  return { place: path, plain: true };
}

/**
 * Removes the login of a registry from every file that holds one, and from the helpers they name. The result lists
 * where there was one; it is empty when there was none.
 */
export async function eraseLogin(registry: string, options: CredentialStoreOptions): Promise<StoredLogin[]> {
  const removed: StoredLogin[] = [];
  for (const path of authFilePaths(options.env, options.home)) {
    const json = readAuthFile(path)?.json;
    if (json === undefined) continue;
    const helper = helperOf(json, registry);
    if (helper !== undefined && (await eraseFromHelper(helper, registry, options))) {
      removed.push({ place: `docker-credential-${helper}`, plain: false });
    }
    const auths = objectAt(json, 'auths');
    const rest = withoutEntry(auths, registry);
    if (Object.keys(rest).length === Object.keys(auths).length) continue;
    writeAuthFile(path, { ...json, auths: rest });
    removed.push({ place: path, plain: true });
  }
  return removed;
}

function writtenFile({ env, home }: CredentialStoreOptions): string {
  return env['REGISTRY_AUTH_FILE'] || join(env['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json');
}

function helperOf(json: Readonly<Record<string, unknown>>, registry: string): string | undefined {
  const name = entryName(registry);
  const own = Object.entries(objectAt(json, 'credHelpers')).find(([key]) => entryName(key) === name)?.[1];
  const helper = own ?? json['credsStore'];
  return typeof helper === 'string' && /^[A-Za-z0-9._-]+$/.test(helper) ? helper : undefined;
}

/** The key docker and podman look for. */
function serverKey(registry: string): string {
  return canonicalHost(registry) === 'docker.io' ? HUB_KEY : registry;
}

function withoutEntry(auths: Readonly<Record<string, unknown>>, registry: string): Record<string, unknown> {
  const name = entryName(registry);
  return Object.fromEntries(Object.entries(auths).filter(([key]) => entryName(key) !== name));
}

function secretOf(credentials: Credentials): string {
  return credentials.kind === 'password' ? credentials.password : credentials.token;
}

function fileEntry(credentials: Credentials): Record<string, string> {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  switch (credentials.kind) {
    case 'password':
      return { auth: base64(`${credentials.username}:${credentials.password}`) };
    case 'identity-token':
      return {
        auth: base64(`${credentials.username ?? '00000000-0000-0000-0000-000000000000'}:`),
        identitytoken: credentials.token,
      };
    case 'registry-token':
      return { registrytoken: credentials.token };
  }
}

function helperEntry(registry: string, credentials: Credentials): string {
  const username = credentials.kind === 'password' ? credentials.username : '<token>';
  return JSON.stringify({
    ServerURL: serverKey(registry),
    Username: username,
    Secret: secretOf(credentials),
  });
}

async function runHelper(
  helper: string,
  call: { action: 'store' | 'erase'; input: string; secret?: string },
  options: CredentialStoreOptions,
): Promise<void> {
  const program = `docker-credential-${helper}`;
  const { exitCode, stdout, stderr } = await options.runHelper(program, [call.action], call.input);
  if (exitCode === 0) return;
  const answer = redactText(stderr || stdout, call.secret === undefined ? [] : [call.secret]);
  throw new BuildError(
    'REGISTRY_HELPER',
    `${program} ${call.action} failed: ${answer || `exit status ${exitCode}`}`,
    {
      suggestions: [
        `Check that ${program} works, or remove credsStore and credHelpers from the configuration file.`,
      ],
    },
  );
}

async function eraseFromHelper(
  helper: string,
  registry: string,
  options: CredentialStoreOptions,
): Promise<boolean> {
  const server = serverKey(registry);
  const { exitCode } = await options.runHelper(`docker-credential-${helper}`, ['get'], `${server}\n`);
  if (exitCode !== 0) return false;
  await runHelper(helper, { action: 'erase', input: `${server}\n` }, options);
  return true;
}

/** Writes through a symbolic link to the file it names, so that the link (a dotfiles checkout) survives. */
function writeAuthFile(path: string, json: unknown): void {
  const target = existsSync(path) ? realpathSync(path) : path;
  makeDirectories(dirname(target), 0o700);
  writeFileAtomic(target, `${JSON.stringify(json, undefined, '\t')}\n`, {
    temporary: dirname(target),
    mode: 0o600,
  });
}
