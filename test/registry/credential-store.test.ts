import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { eraseLogin, storeLogin } from '../../src/registry/credential-store.ts';
import type { HelperRunner } from '../../src/registry/credentials.ts';
import { basicEntry, buildErrorOf, makeClient, skopeo, textOf } from './fixtures.ts';
import { makeHelpers } from './helper-programs.ts';

const directory = mkdtempSync(join(tmpdir(), 'kiln-logins-'));
const { runHelper, makeHelper } = makeHelpers(directory);
const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function client() {
  const made = makeClient();
  cleanups.push(made.close);
  return made;
}

describe('login and logout', () => {
  const password = { kind: 'password', username: 'robot', password: 'pw-pw-pw' } as const;

  test('keep other settings, write mode 0600 and leave a file skopeo can read', async () => {
    const made = client();
    const path = made.login({ psFormat: 'table', auths: { 'other.test': basicEntry('a', 'b') } });
    chmodSync(path, 0o644);
    const options = { env: {}, home: made.home, runHelper };
    expect(await storeLogin('ghcr.io', password, options)).toEqual({ place: path, plain: true });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const json = JSON.parse(readFileSync(path, 'utf8'));
    expect(json).toEqual({
      psFormat: 'table',
      auths: { 'other.test': basicEntry('a', 'b'), 'ghcr.io': basicEntry('robot', 'pw-pw-pw') },
    });
    expect(await skopeo('login', '--get-login', '--authfile', path, 'ghcr.io')).toBe('robot\n');
    expect(await eraseLogin('ghcr.io', options)).toEqual([{ place: path, plain: true }]);
    expect(JSON.parse(readFileSync(path, 'utf8')).auths).toEqual({ 'other.test': basicEntry('a', 'b') });
    expect(await eraseLogin('ghcr.io', options)).toEqual([]);
  });

  test('for Docker Hub use the key docker looks for, and replace its other spellings', async () => {
    const made = client();
    const path = made.login({ auths: { 'docker.io': basicEntry('old', 'old') } });
    await storeLogin('docker.io', password, { env: {}, home: made.home, runHelper });
    expect(Object.keys(JSON.parse(readFileSync(path, 'utf8')).auths)).toEqual([
      'https://index.docker.io/v1/',
    ]);
  });

  test('write to $REGISTRY_AUTH_FILE where it is set, making its directory', async () => {
    const made = client();
    const path = join(made.home, 'new/dir/auth.json');
    await storeLogin(
      'ghcr.io',
      { kind: 'identity-token', token: 'refresh' },
      { env: { REGISTRY_AUTH_FILE: path }, home: made.home, runHelper },
    );
    expect(JSON.parse(readFileSync(path, 'utf8')).auths['ghcr.io'].identitytoken).toBe('refresh');
  });

  test('go through the helper that the file names, and leave no secret in the file', async () => {
    const made = client();
    const state = makeHelper('keeper', {});
    const path = made.login({ credsStore: 'keeper' });
    const options = { env: {}, home: made.home, runHelper };
    expect(await storeLogin('ghcr.io', password, options)).toEqual({
      place: 'docker-credential-keeper',
      plain: false,
    });
    expect(readFileSync(path, 'utf8')).not.toContain('ghcr');
    expect(JSON.parse(readFileSync(state, 'utf8'))).toEqual({
      'ghcr.io': { Username: 'robot', Secret: 'pw-pw-pw' },
    });
    expect(await eraseLogin('ghcr.io', options)).toEqual([
      { place: 'docker-credential-keeper', plain: false },
    ]);
    expect(JSON.parse(readFileSync(state, 'utf8'))).toEqual({});
  });

  test('report a failing helper without the secret', async () => {
    const made = client();
    made.login({ credsStore: 'broken' });
    const failing: HelperRunner = async (_program, _args, input) => ({
      exitCode: 1,
      stdout: `cannot store ${input}`,
      stderr: '',
    });
    const error = await buildErrorOf(
      storeLogin('ghcr.io', password, { env: {}, home: made.home, runHelper: failing }),
    );
    expect(error.code).toBe('REGISTRY_HELPER');
    expect(textOf(error)).not.toContain('pw-pw-pw');
  });
});
