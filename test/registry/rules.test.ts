/** The small rules of the network code: challenges, scopes, proxies, waits, redaction. */
import { describe, expect, test } from 'vitest';
import { coversScopes, parseChallenge, unionScopes } from '../../src/registry/challenge.ts';
import { isLoopback, proxyFor } from '../../src/registry/proxy.ts';
import { redactText, redactUrl } from '../../src/registry/redact.ts';
import { backoff, DEFAULT_RETRY, isTransientStatus, parseRetryAfter } from '../../src/registry/retry.ts';
import { closestNames } from '../../src/registry/similar.ts';

describe('a challenge', () => {
  test('of Docker Hub is read', () => {
    const header =
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull,push",error="insufficient_scope"';
    expect(parseChallenge(header)).toEqual({
      scheme: 'bearer',
      realm: 'https://auth.docker.io/token',
      service: 'registry.docker.io',
      scopes: ['repository:library/alpine:pull,push'],
      error: 'insufficient_scope',
    });
  });

  test('Bearer is preferred to Basic in one header, whatever the order', () => {
    expect(parseChallenge('Basic realm="a, b", Bearer realm="https://x/t"')).toMatchObject({
      scheme: 'bearer',
      realm: 'https://x/t',
    });
    expect(parseChallenge('BEARER realm="https://x/t" , basic realm=plain')).toMatchObject({
      scheme: 'bearer',
    });
  });

  test('with quotes inside, without parameters, or of a kind we do not speak', () => {
    expect(parseChallenge('Basic realm="the \\"inner\\" one"')).toEqual({
      scheme: 'basic',
      realm: 'the "inner" one',
    });
    expect(parseChallenge('Basic')).toEqual({ scheme: 'basic', realm: '' });
    expect(parseChallenge('Bearer service="x"')).toBeUndefined();
    expect(parseChallenge('Negotiate abc123==')).toBeUndefined();
    expect(parseChallenge(undefined)).toBeUndefined();
  });

  test('of hostile length is read in time', () => {
    const started = performance.now();
    parseChallenge(`Bearer ${'a='.repeat(500_000)}`);
    parseChallenge(`Bearer realm="${'\\'.repeat(500_000)}`);
    expect(performance.now() - started).toBeLessThan(5000);
  });
});

describe('scopes', () => {
  test('of one repository are merged, those of others kept', () => {
    expect(unionScopes(['repository:a/b:pull'], ['repository:a/b:push,pull', 'repository:c:pull'])).toEqual([
      'repository:a/b:pull,push',
      'repository:c:pull',
    ]);
  });

  test('granted for writing serve reading, not the reverse', () => {
    expect(coversScopes(['repository:a:pull,push'], ['repository:a:pull'])).toBe(true);
    expect(coversScopes(['repository:a:pull'], ['repository:a:pull,push'])).toBe(false);
    expect(coversScopes(['repository:a:pull'], ['repository:b:pull'])).toBe(false);
    expect(coversScopes([], [])).toBe(true);
  });
});

describe('the proxy of an address', () => {
  const env = (no: string) => ({ HTTPS_PROXY: 'http://proxy:3128', NO_PROXY: no });
  const taken = (url: string, no: string) => proxyFor(new URL(url), env(no)) !== undefined;

  test.each([
    ['https://ghcr.io/', '', true],
    ['https://ghcr.io/', '*', false],
    ['https://ghcr.io/', 'ghcr.io', false],
    ['https://pkg.ghcr.io/', 'ghcr.io', false],
    ['https://myghcr.io/', 'ghcr.io', true],
    ['https://ghcr.io/', '.ghcr.io', true],
    ['https://pkg.ghcr.io/', '.ghcr.io', false],
    ['https://pkg.ghcr.io/', '*.ghcr.io', false],
    ['https://GHCR.io/', 'other.test, ghcr.IO ', false],
    ['https://ghcr.io:5000/', 'ghcr.io:5000', false],
    ['https://ghcr.io/', 'ghcr.io:5000', true],
    ['https://ghcr.io/', 'ghcr.io:443', false],
    ['https://10.1.2.3/', '10.0.0.0/8', false],
    ['https://11.1.2.3/', '10.0.0.0/8', true],
    ['https://10.1.2.3/', '10.1.2.3', false],
    ['https://[fd00::1]/', 'fd00::/8', false],
    ['https://[fd00::1]:5000/', '[fd00::1]:5000', false],
    ['https://10.1.2.3/', '10.0.0.0/99', true],
    ['https://localhost:5000/', '', false],
    ['https://127.9.9.9/', '', false],
    ['https://[::1]/', '', false],
  ])('%s with NO_PROXY=%j: through the proxy is %s', (url, no, through) => {
    expect(taken(url, no)).toBe(through);
  });

  test('follows the scheme, prefers lower case, and needs no scheme of its own', () => {
    const both = { http_proxy: 'low:1', HTTP_PROXY: 'http://up:2', HTTPS_PROXY: 'https://tls:3' };
    expect(proxyFor(new URL('http://x.test/'), both)?.href).toBe('http://low:1/');
    expect(proxyFor(new URL('https://x.test/'), both)?.href).toBe('https://tls:3/');
    expect(proxyFor(new URL('https://x.test/'), {})).toBeUndefined();
  });

  test('loopback is what never leaves this machine', () => {
    expect(['localhost', '127.0.0.1', '127.255.1.1', '[::1]', 'a.localhost'].every(isLoopback)).toBe(true);
    expect(['localhost.test', '128.0.0.1', '127.evil.test', '[::2]'].some(isLoopback)).toBe(false);
  });
});

describe('waits', () => {
  test('double up to the limit, at least half of them certain', () => {
    const waits = (random: number) =>
      [2, 3, 4, 5, 20].map((next) => backoff(next, DEFAULT_RETRY, () => random));
    expect(waits(0)).toEqual([100, 200, 400, 800, 7500]);
    expect(waits(1)).toEqual([200, 400, 800, 1600, 15000]);
  });

  test('asked for by Retry-After are seconds or a date', () => {
    const now = Date.parse('2026-01-01T00:00:00Z');
    expect(parseRetryAfter('30', now)).toBe(30_000);
    expect(parseRetryAfter('Thu, 01 Jan 2026 00:01:00 GMT', now)).toBe(60_000);
    expect(parseRetryAfter('Thu, 01 Jan 2020 00:01:00 GMT', now)).toBe(0);
    expect(parseRetryAfter('soon', now)).toBeUndefined();
    expect(parseRetryAfter(undefined, now)).toBeUndefined();
  });

  test('follow 408, 429 and 5xx that may pass', () => {
    expect([408, 429, 500, 502, 503, 504, 520].every(isTransientStatus)).toBe(true);
    expect([200, 400, 401, 403, 404, 413, 416, 501, 505].some(isTransientStatus)).toBe(false);
  });
});

describe('redaction', () => {
  test('leaves of an address its host and path', () => {
    expect(redactUrl('https://user:pw@x.test:5/a/b?X-Amz-Signature=s#f')).toBe('https://x.test:5/a/b');
    expect(redactUrl('not a url?sig=s')).toBe('not a url');
  });

  test('takes secrets, headers, tokens and control characters out of a text', () => {
    const token = `eyJhbGciOiJub25lIn0.${'e30'.repeat(10)}.c2ln`;
    const clean = redactText(
      `see https://u:p@x.test/a?sig=abc\nAuthorization: Bearer abcdefgh12 pass=s3cr3t \u001b[31m${token}`,
      ['s3cr3t'],
    );
    expect(clean).toBe('see https://x.test/a Authorization: Bearer *** pass=*** [31m***');
    expect(redactText('x'.repeat(10_000)).length).toBeLessThan(500);
  });
});

test('suggestions are the names nearest to what was typed', () => {
  expect(closestNames('3.2-slim', ['latest', '3.20-slim', '3.19-slim', '2'], 2)).toEqual([
    '3.20-slim',
    '3.19-slim',
  ]);
  expect(closestNames('3.20', ['1', '3.20-alpine', 'latest'], 1)).toEqual(['3.20-alpine']);
});
