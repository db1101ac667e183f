/** One registry host: its address, its trust and its authorization. Everything the client sends goes through here. */
import { Authenticator } from './auth.ts';
import type { CredentialFinder, Login } from './credentials.ts';
import { networkError, type RegistryError, responseError } from './registry-error.ts';
import { backoff, type Clock, type RetryPolicy } from './retry.ts';
import { discard, type HttpRequest, type HttpResponse, type Transport } from './transport.ts';
import { TransportError } from './transport-error.ts';
import type { TlsSettings, TrustStore } from './trust.ts';

/** What all endpoints of a program share. */
export interface NetworkContext {
  readonly transport: Transport;
  readonly trust: TrustStore;
  readonly finder: CredentialFinder;
  readonly clock: Clock;
  readonly retry: RetryPolicy;
}

export interface EndpointRequest
  extends Pick<HttpRequest, 'method' | 'headers' | 'body' | 'bodySize' | 'attempts' | 'checks' | 'signal'> {
  /** Path below the registry's address, or a whole URL the registry gave us (an upload's Location). */
  readonly target: string | URL;
  /** Repository whose login is used; empty for none. */
  readonly repository: string;
  readonly scopes: readonly string[];
  /** For errors: "manifest 3.20". */
  readonly what: string;
}

/** How unencrypted or unverified a host may be. */
export type Security = 'verified' | 'insecure';

/** After the first 401 a token is fetched; after a second, one with the scopes it named. Then it is an answer. */
const MAX_RENEWALS = 2;

export class Endpoint {
  /** Host as in references, such as "docker.io". */
  readonly registry: string;
  readonly context: NetworkContext;
  readonly #tls: TlsSettings;
  readonly #host: string;
  readonly #auth: Authenticator;
  #base: Promise<URL> | undefined;

  constructor(registry: string, security: Security, context: NetworkContext) {
    this.registry = registry;
    this.context = context;
    this.#host = registry === 'docker.io' ? 'registry-1.docker.io' : registry;
    this.#tls = context.trust.settingsFor(registry, security === 'insecure');
    this.#auth = new Authenticator({ registry, tls: this.#tls, ...context });
  }

  /** Address for messages; the scheme may still turn out to be another. */
  url(path: string): URL {
    return new URL(path, `https://${this.#host}`);
  }

  /** What networkError needs to know. */
  get trust(): { registry: string; tls: TlsSettings } {
    return { registry: this.registry, tls: this.#tls };
  }

  /** The login that a repository's requests use. */
  login(repository: string): Promise<Login> {
    return this.#auth.login(repository);
  }

  /**
   * Sends a request with authorization, renewing it after a 401. Any other status is a result.
   * Rejects with BuildError REGISTRY_UNREACHABLE, REGISTRY_TLS, REGISTRY_UNAUTHORIZED.
   */
  async request(request: EndpointRequest): Promise<HttpResponse> {
    try {
      return await this.#authorized(request, await this.#address());
    } catch (error) {
      throw error instanceof TransportError ? networkError(error, this.trust) : error;
    }
  }

  /** Like request, but rejects with a RegistryError for a status that is not one of `expected`. */
  async expect(request: EndpointRequest, expected: readonly number[]): Promise<HttpResponse> {
    const response = await this.request(request);
    if (expected.includes(response.status)) return response;
    throw await this.error(response, request);
  }

  /** The error of an answer that was not expected. */
  async error(response: HttpResponse, request: EndpointRequest): Promise<RegistryError> {
    const { repository, what, scopes } = request;
    const login = await this.login(repository);
    const refused = request.method === 'HEAD' && (response.status === 401 || response.status === 403);
    const told = refused ? await this.#inWords(response, request) : response;
    return responseError(told, { registry: this.registry, repository, what, scopes, login });
  }

  /** The answer to HEAD has no body; the same question as GET is answered with the registry's reason. */
  async #inWords(response: HttpResponse, request: EndpointRequest): Promise<HttpResponse> {
    const again = await this.request({ ...request, method: 'GET', attempts: 1 }).catch(() => response);
    if (again.status === response.status) return again;
    await discard(again.body);
    return response;
  }

  /** Waits before attempt number `next` (2 is the first repetition). */
  async pause(next: number, signal?: AbortSignal): Promise<void> {
    const { clock, retry } = this.context;
    await clock.sleep(backoff(next, retry, clock.random), signal);
  }

  async #authorized(request: EndpointRequest, base: URL): Promise<HttpResponse> {
    const { target, repository, scopes, what: _, ...rest } = request;
    const url = typeof target === 'string' ? new URL(target, base) : keepEncrypted(target, base);
    // Elsewhere than at the registry, neither its login nor its client key has any business.
    const ours = url.origin === base.origin;
    const tls = ours ? this.#tls : this.context.trust.forwarded(url.host, this.#tls);
    let authorization = ours ? await this.#auth.header({ repository, scopes }, request.signal) : undefined;
    for (let renewals = 0; ; renewals++) {
      const response = await this.context.transport.request({ ...rest, url, tls, authorization });
      if (response.status !== 401 || renewals === MAX_RENEWALS || !ours) return response;
      const access = { repository, scopes, used: authorization, signal: request.signal };
      const renewed = await this.#auth.renew(response, access);
      if (renewed === undefined) return response;
      await discard(response.body);
      authorization = renewed;
    }
  }

  #address(): Promise<URL> {
    this.#base ??= this.#findAddress().catch((error: unknown) => {
      this.#base = undefined;
      throw error;
    });
    return this.#base;
  }

  /** An insecure registry may speak TLS or plain HTTP: TLS is tried first, as docker does. */
  async #findAddress(): Promise<URL> {
    const secure = new URL(`https://${this.#host}`);
    if (!this.#tls.insecure) return secure;
    const plain = new URL(`http://${this.#host}`);
    for (let attempt = 1; ; attempt++) {
      const failure = await this.#probe(secure);
      if (failure === undefined) return secure;
      if (failure.kind === 'dns') throw failure;
      const second = await this.#probe(plain);
      if (second === undefined) return plain;
      if (attempt >= this.context.retry.connectAttempts) throw failure.kind === 'not-tls' ? second : failure;
      await this.pause(attempt + 1);
    }
  }

  async #probe(base: URL): Promise<TransportError | undefined> {
    try {
      const url = new URL('/v2/', base);
      const response = await this.context.transport.request({
        method: 'GET',
        url,
        tls: this.#tls,
        attempts: 1,
      });
      await discard(response.body);
      return undefined;
    } catch (error) {
      if (error instanceof TransportError) return error;
      throw error;
    }
  }
}

/** A registry behind a TLS proxy often names itself with http://; what was encrypted stays so. */
function keepEncrypted(url: URL, base: URL): URL {
  if (url.protocol !== 'http:' || base.protocol !== 'https:' || url.hostname !== base.hostname) return url;
  const upgraded = new URL(url);
  upgraded.protocol = 'https:';
  upgraded.port = base.port;
  return upgraded;
}
