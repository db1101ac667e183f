/** The door to registries: configuration, connections and tokens that all repositories of a program share. */
import { BuildError } from '../errors.ts';
import type { ImageReference } from '../image/reference.ts';
import { HttpRepository, type RegistryRepository } from './client.ts';
import { CredentialFinder, type Credentials, type ExplicitLogin, type HelperRunner } from './credentials.ts';
import { Endpoint, type NetworkContext } from './endpoint.ts';
import { type Environment, isLoopback } from './proxy.ts';
import { redactUrl } from './redact.ts';
import {
  type MirrorOption,
  type PullSource,
  type RegistriesConf,
  readRegistriesConf,
} from './registries-conf.ts';
import { networkError } from './registry-error.ts';
import { type Clock, DEFAULT_RETRY, type RetryPolicy, systemClock } from './retry.ts';
import { discard, type HttpResponse, type Timeouts, Transport } from './transport.ts';
import { TransportError } from './transport-error.ts';
import { TrustStore } from './trust.ts';

export interface RegistryOptions {
  readonly env: Environment;
  /** The user's home directory. */
  readonly home: string;
  readonly runHelper: HelperRunner;
  /** "kiln/0.1.0". */
  readonly userAgent: string;
  readonly clock?: Clock;
  readonly retry?: Partial<RetryPolicy>;
  readonly timeouts?: Partial<Timeouts>;
  /** Logins given by flags or the environment; asked before any file. */
  readonly logins?: readonly ExplicitLogin[];
  /** Mirrors given by flags or the environment; asked before those of registries.conf. */
  readonly mirrors?: readonly MirrorOption[];
  /** Registries to reach without checking certificates, or without TLS; "*" for all. */
  readonly insecure?: readonly string[];
  /** Bytes a request of a blob's upload; undefined sends a blob in one request. */
  readonly pushChunkSize?: number;
}

/** All registries, as this machine and user reach them. */
export interface Registry {
  /** The repository of a reference; its tag and digest play no part. One object a repository. */
  repository(reference: Pick<ImageReference, 'registry' | 'repository'>): Promise<RegistryRepository>;
  /** Rejects with REGISTRY_UNAUTHORIZED when the registry does not take this login; for `kiln login`. */
  checkLogin(registry: string, credentials: Credentials): Promise<void>;
  /**
   * GET of any address with this machine's proxies, CAs and retries; for ADD. Any status is a result. The body may
   * still fail with the network's own error; it is not asked for again.
   */
  download(
    url: string,
    request?: { headers?: Readonly<Record<string, string>>; signal?: AbortSignal },
  ): Promise<HttpResponse>;
  /** The same registries and logins for what can be done without: a host that goes silent is not waited for. */
  impatient(): Registry;
  /** Ends every connection. */
  close(): Promise<void>;
}

/** A host that says nothing for this long is taken for gone; milliseconds. */
const SILENCE = 10_000;

/** Nothing is read or connected before the first repository is asked for. */
export function createRegistry(options: RegistryOptions): Registry {
  return new SharedRegistry(options);
}

class SharedRegistry implements Registry {
  readonly #options: RegistryOptions;
  readonly #context: NetworkContext;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #repositories = new Map<string, Promise<RegistryRepository>>();
  #configuration: Promise<RegistriesConf> | undefined;
  #impatient: Registry | undefined;

  constructor(options: RegistryOptions, logins?: CredentialFinder) {
    this.#options = options;
    const { env, home, runHelper, userAgent, timeouts = {} } = options;
    const clock = options.clock ?? systemClock;
    const retry = { ...DEFAULT_RETRY, ...options.retry };
    const trust = new TrustStore(env, home);
    const transport = new Transport({ env, trust, clock, retry, userAgent, timeouts });
    const explicit = options.logins ?? [];
    const finder = logins ?? new CredentialFinder({ env, home, runHelper, explicit });
    this.#context = { transport, trust, finder, clock, retry };
  }

  impatient(): Registry {
    const options = {
      ...this.#options,
      timeouts: { connect: SILENCE, headers: SILENCE, body: SILENCE, check: 3 * SILENCE },
      retry: { ...this.#options.retry, silentAttempts: 1 },
    };
    this.#impatient ??= new SharedRegistry(options, this.#context.finder);
    return this.#impatient;
  }

  repository({
    registry,
    repository,
  }: Pick<ImageReference, 'registry' | 'repository'>): Promise<RegistryRepository> {
    const name = `${registry}/${repository}`;
    const opened = this.#repositories.get(name) ?? this.#open(registry, repository);
    this.#repositories.set(name, opened);
    return opened;
  }

  async checkLogin(registry: string, credentials: Credentials): Promise<void> {
    const { env, home, runHelper } = this.#options;
    const explicit = [{ scope: registry, credentials, origin: 'the login given' }];
    const finder = new CredentialFinder({ env, home, runHelper, explicit });
    const target = (await this.#conf()).pushTarget(registry, '');
    const endpoint = new Endpoint(registry, this.#security(target), { ...this.#context, finder });
    const response = await endpoint.expect(
      { method: 'GET', target: '/v2/', repository: '', scopes: [], what: 'login' },
      [200],
    );
    await discard(response.body);
  }

  async download(
    url: string,
    request: { headers?: Readonly<Record<string, string>>; signal?: AbortSignal } = {},
  ): Promise<HttpResponse> {
    const { transport, trust } = this.#context;
    if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) {
      throw new BuildError('CONTEXT_INVALID_URL', `"${redactUrl(url)}" is not an http or https address`);
    }
    const parsed = new URL(url);
    const authorization = urlLogin(parsed);
    const tls = trust.settingsFor(parsed.host, this.#isInsecure(parsed.host));
    try {
      return await transport.request({ method: 'GET', url: parsed, tls, authorization, ...request });
    } catch (error) {
      throw error instanceof TransportError ? networkError(error, { registry: parsed.host, tls }) : error;
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.#context.transport.close(), this.#impatient?.close()]);
  }

  async #open(registry: string, repository: string): Promise<RegistryRepository> {
    const conf = await this.#conf();
    const sources = conf.pullSources(registry, repository);
    return new HttpRepository({
      registry,
      repository,
      origins: sources.map((source) => ({ source, endpoint: this.#endpoint(source) })),
      pushEndpoint: this.#endpoint(conf.pushTarget(registry, repository)),
      pushChunkSize: this.#options.pushChunkSize,
    });
  }

  #conf(): Promise<RegistriesConf> {
    const { env, home, mirrors = [] } = this.#options;
    this.#configuration ??= readRegistriesConf({ env, home, mirrors });
    return this.#configuration;
  }

  #endpoint(source: PullSource): Endpoint {
    const security = this.#security(source);
    const key = `${security} ${source.registry}`;
    const endpoint = this.#endpoints.get(key) ?? new Endpoint(source.registry, security, this.#context);
    this.#endpoints.set(key, endpoint);
    return endpoint;
  }

  /** What the configuration says; a registry on this machine needs no certificate unless certs.d has one for it. */
  #security(source: PullSource): 'verified' | 'insecure' {
    if (this.#isInsecure(source.registry)) return 'insecure';
    if (source.insecure !== undefined) return source.insecure ? 'insecure' : 'verified';
    const hostname = source.registry.replace(/:\d+$/, '');
    return isLoopback(hostname) && !this.#context.trust.isConfigured(source.registry)
      ? 'insecure'
      : 'verified';
  }

  #isInsecure(registry: string): boolean {
    return this.#options.insecure?.some((host) => host === '*' || host === registry) === true;
  }
}

/** A login in the address itself (https://user:password@host/…) becomes a header; the address loses it. */
function urlLogin(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined;
  const login = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = '';
  url.password = '';
  return `Basic ${Buffer.from(login).toString('base64')}`;
}
