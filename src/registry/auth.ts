/**
 * Authorization headers: Basic, and Bearer tokens from the registry's token server
 * (distribution, spec/auth/token.md, oauth.md and scope.md).
 */
import { BuildError } from '../errors.ts';
import { type Challenge, coversScopes, parseChallenge, unionScopes } from './challenge.ts';
import type { CredentialFinder, Credentials, Login } from './credentials.ts';
import { redactText, redactUrl } from './redact.ts';
import { networkError, responseError, secretsOf } from './registry-error.ts';
import type { Clock } from './retry.ts';
import { type HttpRequest, type HttpResponse, readBody, type Transport } from './transport.ts';
import { TransportError } from './transport-error.ts';
import type { TlsSettings, TrustStore } from './trust.ts';

type Bearer = Extract<Challenge, { scheme: 'bearer' }>;

/** What a request needs: the repository whose login is used, and the scopes of its token. */
export interface Access {
  readonly repository: string;
  readonly scopes: readonly string[];
}

export interface AuthenticatorOptions {
  /** Host as in references: the name of its logins. */
  readonly registry: string;
  readonly transport: Transport;
  readonly trust: TrustStore;
  readonly tls: TlsSettings;
  readonly finder: CredentialFinder;
  readonly clock: Clock;
}

interface Token {
  readonly header: string;
  readonly scopes: readonly string[];
  /** Which login it was made for: logins may differ between repositories. */
  readonly origin: string;
  /** Milliseconds since the epoch. */
  readonly expires: number;
}

/** A token server that says nothing means a minute (token.md, "expires_in"). */
const DEFAULT_LIFETIME = 60;
/** A token is renewed this long before its end, so that it outlives the request it is sent with. Milliseconds. */
const MARGIN = 10_000;
const MAX_TOKEN_BODY = 1024 * 1024;

/** The authorization of one registry host; remembers its challenge and its tokens. */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #pending = new Map<string, Promise<Token>>();
  #challenge: Challenge | undefined;
  #tokens: readonly Token[] = [];

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /** The login that requests for a repository use. */
  login(repository: string): Promise<Login> {
    return this.#options.finder.find(this.#options.registry, repository);
  }

  /** The header to send, undefined as long as the registry has not asked for one. May fetch a token. */
  async header(access: Access, signal?: AbortSignal): Promise<string | undefined> {
    if (this.#challenge === undefined) return undefined;
    return this.#answer(this.#challenge, access, signal);
  }

  /**
   * The header to try after a 401 whose request carried `used`; undefined when there is nothing better to send.
   * Throws BuildError REGISTRY_UNAUTHORIZED and the like when the token server refuses.
   */
  async renew(
    response: HttpResponse,
    access: Access & { used: string | undefined; signal?: AbortSignal | undefined },
  ): Promise<string | undefined> {
    const challenge = parseChallenge(response.headers['www-authenticate']);
    if (challenge === undefined) return undefined;
    this.#challenge = challenge;
    this.#tokens = this.#tokens.filter((token) => token.header !== access.used);
    const wanted =
      challenge.scheme === 'bearer' ? unionScopes(access.scopes, challenge.scopes) : access.scopes;
    const header = await this.#answer(
      challenge,
      { repository: access.repository, scopes: wanted },
      access.signal,
    );
    return header === access.used ? undefined : header;
  }

  async #answer(
    challenge: Challenge,
    access: Access,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const login = await this.login(access.repository);
    const { credentials } = login;
    if (credentials?.kind === 'registry-token') return `Bearer ${credentials.token}`;
    if (challenge.scheme === 'basic')
      return credentials?.kind === 'password' ? basic(credentials) : undefined;
    return (await this.#token(challenge, { access, login, signal })).header;
  }

  /** A token that covers the scopes, from memory or from the token server; asked for once at a time. */
  async #token(
    challenge: Bearer,
    to: { access: Access; login: Login; signal: AbortSignal | undefined },
  ): Promise<Token> {
    const scopes = unionScopes(to.access.scopes);
    const soon = this.#options.clock.now() + MARGIN;
    const { origin } = to.login;
    const known = this.#tokens.find(
      (token) => token.expires > soon && token.origin === origin && coversScopes(token.scopes, scopes),
    );
    if (known !== undefined) return known;
    const key = JSON.stringify([origin, scopes]);
    const pending =
      this.#pending.get(key) ??
      this.#fetchToken(challenge, { scopes, ...to }).finally(() => this.#pending.delete(key));
    this.#pending.set(key, pending);
    const token = await pending;
    this.#tokens = [...this.#tokens.filter((other) => other !== token && other.expires > soon), token];
    return token;
  }

  async #fetchToken(
    challenge: Bearer,
    to: { access: Access; login: Login; scopes: readonly string[]; signal: AbortSignal | undefined },
  ): Promise<Token> {
    const { registry, transport, clock } = this.#options;
    const { login, scopes } = to;
    const request = this.#tokenRequest(challenge, to);
    const asked = {
      registry,
      repository: to.access.repository,
      what: `token from ${redactUrl(request.url)}`,
      scopes,
      login,
    };
    const response = await transport.request(request).catch((error: unknown) => {
      throw error instanceof TransportError
        ? networkError(error, { registry: request.url.host, tls: request.tls })
        : error;
    });
    if (response.status !== 200) {
      const error = await responseError(response, asked);
      // Some token servers answer a wrong password with 400 (oauth.md, "Error response").
      throw response.status === 400 && login.credentials
        ? error.with({ code: 'REGISTRY_UNAUTHORIZED' })
        : error;
    }
    const { token, lifetime } = await readToken(response, login);
    return {
      header: `Bearer ${token}`,
      scopes,
      origin: login.origin,
      expires: clock.now() + lifetime * 1000,
    };
  }

  #tokenRequest(
    challenge: Bearer,
    to: { login: Login; scopes: readonly string[]; signal: AbortSignal | undefined },
  ): HttpRequest {
    const { credentials } = to.login;
    const url = this.#realmUrl(challenge.realm, credentials);
    const tls = this.#options.trust.forwarded(url.host, this.#options.tls);
    const service = challenge.service ?? this.#options.registry;
    const common = { url, tls, signal: to.signal };
    if (credentials?.kind === 'identity-token') {
      const form = new URLSearchParams({
        grant_type: 'refresh_token',
        service,
        client_id: 'kiln',
        refresh_token: credentials.token,
        scope: to.scopes.join(' '),
      });
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      return { ...common, method: 'POST', headers, body: Buffer.from(form.toString()) };
    }
    url.searchParams.set('service', service);
    for (const scope of to.scopes) url.searchParams.append('scope', scope);
    if (credentials?.kind !== 'password') return { ...common, method: 'GET' };
    url.searchParams.set('account', credentials.username);
    return { ...common, method: 'GET', authorization: basic(credentials) };
  }

  /** Where the registry sends us for a token. A password never travels there in the clear unless the registry is insecure. */
  #realmUrl(realm: string, credentials: Credentials | undefined): URL {
    const { registry, tls } = this.#options;
    let url: URL;
    try {
      url = new URL(realm);
    } catch {
      throw badRealm(registry, `names the invalid token server "${redactText(realm)}"`);
    }
    if (
      url.protocol === 'https:' ||
      (url.protocol === 'http:' && (tls.insecure || credentials === undefined))
    )
      return url;
    throw badRealm(registry, `wants the login sent unencrypted to ${redactUrl(url)}`);
  }
}

function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

async function readToken(response: HttpResponse, login: Login): Promise<{ token: string; lifetime: number }> {
  const text = (await readBody(response, MAX_TOKEN_BODY)).toString();
  let json: Record<string, unknown> = {};
  try {
    json = (JSON.parse(text) ?? {}) as Record<string, unknown>;
  } catch {
    // Said below: there is no token in it.
  }
  const token = json['token'] || json['access_token'];
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
    throw badRealm(
      redactUrl(response.url),
      `answered without a token: ${redactText(text, secretsOf(login)).slice(0, 100)}`,
    );
  }
  const seconds = json['expires_in'];
  return {
    token,
    lifetime: typeof seconds === 'number' && seconds > DEFAULT_LIFETIME ? seconds : DEFAULT_LIFETIME,
  };
}

function badRealm(who: string, what: string): BuildError {
  return new BuildError('REGISTRY_UNAUTHORIZED', `${who} ${what}`, {
    suggestions: ['Ask who runs the registry; its token service is set up wrongly.'],
  });
}
