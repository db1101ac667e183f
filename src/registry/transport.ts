/** The only place with sockets: one HTTP request with its proxy, TLS, timeouts, retries and redirects. */
import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { type Environment, proxyFor } from './proxy.ts';
import { redactUrl } from './redact.ts';
import {
  attemptsAfter,
  backoff,
  type Clock,
  isTransientStatus,
  parseRetryAfter,
  type RetryPolicy,
} from './retry.ts';
import { LocalReadError, TransportError, transportError } from './transport-error.ts';
import type { TlsSettings, TrustStore } from './trust.ts';

/**
 * Milliseconds. `headers` runs from the last byte sent to the answer, `body` between two pieces of it; `check` is what a
 * registry may need to read a whole blob again before it answers, beside a time for its size.
 */
export interface Timeouts {
  readonly connect: number;
  readonly headers: number;
  readonly body: number;
  readonly check: number;
}

const DEFAULT_TIMEOUTS: Timeouts = { connect: 20_000, headers: 60_000, body: 60_000, check: 300_000 };

export interface TransportOptions {
  readonly env: Environment;
  readonly trust: TrustStore;
  readonly clock: Clock;
  readonly retry: RetryPolicy;
  readonly userAgent: string;
  readonly timeouts?: Partial<Timeouts>;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent only to the origin of `url`, never to where a redirect leads. */
  readonly authorization?: string | undefined;
  /** Bytes, or a function that opens them again for each attempt; then `bodySize` tells their number. */
  readonly body?: Buffer | (() => Readable);
  readonly bodySize?: number;
  readonly tls: TlsSettings;
  readonly signal?: AbortSignal | undefined;
  /** Attempts in all; 1 where the caller must look before it repeats (a half-sent upload). Default: the policy's. */
  readonly attempts?: number;
  /** Bytes of a blob that the registry checks before it answers. */
  readonly checks?: number;
}

export interface HttpResponse {
  readonly status: number;
  /** Lower-case names; repeated headers are joined by ", ". */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Where the answer came from after redirects. */
  readonly url: URL;
  /** Must be read or destroyed, else its connection is lost. */
  readonly body: Readable;
}

const MAX_REDIRECTS = 10;
/** Bytes a millisecond at which a slow registry reads a blob again: 20 MB/s. */
const CHECK_SPEED = 20_000;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** Sends requests. Rejects with TransportError only; an answer of any status is a result. */
export class Transport {
  readonly #options: TransportOptions;
  readonly #timeouts: Timeouts;
  readonly #agents = new Map<TlsSettings, Map<string, Promise<Dispatcher>>>();

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
  }

  /** One request, repeated after transient failures (DNS, reset, end of stream, timeout, 408, 429, 5xx). */
  async request(request: HttpRequest): Promise<HttpResponse> {
    const { retry, clock } = this.#options;
    const attempts = request.attempts ?? retry.attempts;
    for (let attempt = 1; ; attempt++) {
      request.signal?.throwIfAborted();
      let delay: number;
      try {
        const response = await this.#followRedirects(request);
        const pause = attempt < attempts ? this.pauseAfter(response, attempt) : undefined;
        if (pause === undefined) return response;
        await discard(response.body);
        delay = pause;
      } catch (error) {
        request.signal?.throwIfAborted();
        if (!(error instanceof TransportError) || !error.transient) throw error;
        if (attempt >= attemptsAfter(error.kind, { ...retry, attempts })) throw error;
        delay = backoff(attempt + 1, retry, clock.random);
      }
      await clock.sleep(delay, request.signal);
    }
  }

  /** Ends every connection; for the end of the program. */
  async close(): Promise<void> {
    const agents = [...this.#agents.values()].flatMap((byProxy) => [...byProxy.values()]);
    this.#agents.clear();
    await Promise.all(agents.map(async (agent) => (await agent).destroy()));
  }

  /**
   * Milliseconds until the request of an answer should be repeated after attempt number `attempt`; undefined when
   * the answer is final, or asks for more patience than the policy has.
   */
  pauseAfter(response: HttpResponse, attempt: number): number | undefined {
    const { retry, clock } = this.#options;
    if (!isTransientStatus(response.status)) return undefined;
    const asked = parseRetryAfter(response.headers['retry-after'], clock.now());
    if (asked !== undefined && asked > retry.maxRetryAfter) return undefined;
    return Math.max(asked ?? 0, backoff(attempt + 1, retry, clock.random));
  }

  async #followRedirects(request: HttpRequest): Promise<HttpResponse> {
    let current = request;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const response = await this.#send(current);
      const location = response.headers['location'];
      if (!REDIRECTS.has(response.status) || location === undefined) return response;
      const next = this.#redirected(current, { status: response.status, location });
      if (next === undefined) return response;
      await discard(response.body);
      current = next;
    }
    throw new TransportError(
      'protocol',
      `${redactUrl(request.url)} redirects more than ${MAX_REDIRECTS} times`,
    );
  }

  /** The request that follows a redirect; undefined when it may not be followed. Credentials stay with their origin. */
  #redirected(request: HttpRequest, to: { status: number; location: string }): HttpRequest | undefined {
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (!reads && to.status !== 307 && to.status !== 308) return undefined;
    const url = parseUrl(to.location, request.url);
    if (url === undefined)
      throw new TransportError('protocol', `${redactUrl(request.url)} redirects to an invalid address`);
    const { authorization, ...rest } = request;
    if (url.origin === request.url.origin)
      return { ...rest, url, ...(authorization ? { authorization } : {}) };
    if (url.protocol !== 'https:' && request.url.protocol === 'https:' && !request.tls.insecure) {
      throw new TransportError(
        'protocol',
        `${redactUrl(request.url)} redirects to an unencrypted address, ${redactUrl(url)}`,
      );
    }
    return { ...rest, url, tls: this.#options.trust.forwarded(url.host, request.tls) };
  }

  async #send(request: HttpRequest): Promise<HttpResponse> {
    const { method, url, tls, signal } = request;
    const proxy = proxyFor(url, this.#options.env);
    const body = openBody(request.body);
    try {
      const agent = await this.#agent(tls, proxy);
      const response = await agent.request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: this.#headers(request),
        body: body?.stream ?? null,
        signal: signal ?? null,
        headersTimeout: this.#patience(request),
        bodyTimeout: this.#timeouts.body,
      });
      // A body that is never read may fail later; that failure has no listener of its own.
      response.body.on('error', () => {});
      return {
        status: response.statusCode,
        headers: joinHeaders(response.headers),
        url,
        body: response.body,
      };
    } catch (error) {
      // The blob's own failure (a full disk, a lost file) must not be taken for the network's.
      throw body?.failure() ?? transportError(error, { url, proxy });
    }
  }

  #patience({ checks }: HttpRequest): number {
    const { headers, check } = this.#timeouts;
    return checks === undefined ? headers : check + checks / CHECK_SPEED;
  }

  #headers(request: HttpRequest): Record<string, string> {
    const { body, bodySize, authorization } = request;
    const size = Buffer.isBuffer(body) ? body.length : bodySize;
    return {
      'user-agent': this.#options.userAgent,
      ...request.headers,
      ...(authorization === undefined ? {} : { authorization }),
      ...(body === undefined || size === undefined ? {} : { 'content-length': String(size) }),
    };
  }

  #agent(tls: TlsSettings, proxy: URL | undefined): Promise<Dispatcher> {
    const byProxy = this.#agents.get(tls) ?? new Map<string, Promise<Dispatcher>>();
    this.#agents.set(tls, byProxy);
    const key = proxy?.href ?? '';
    const agent = byProxy.get(key) ?? this.#makeAgent(tls, proxy);
    byProxy.set(key, agent);
    return agent;
  }

  /** HTTP/1.1 only: several connections carry several blobs faster than one, and proxies understand it. */
  async #makeAgent(tls: TlsSettings, proxy: URL | undefined): Promise<Dispatcher> {
    const { Agent, ProxyAgent } = await import('undici');
    const { trust } = this.#options;
    const timeout = this.#timeouts.connect;
    const secure = {
      secureContext: trust.context(tls),
      rejectUnauthorized: !tls.insecure,
      timeout,
      allowH2: false,
    };
    const common = { allowH2: false, connectTimeout: timeout, keepAliveTimeout: 15_000 };
    if (proxy === undefined) return new Agent({ ...common, connect: secure });
    const toProxy = {
      secureContext: trust.context(trust.settingsFor(proxy.host, false)),
      timeout,
      allowH2: false,
    };
    return new ProxyAgent({ ...common, uri: proxy.href, requestTls: secure, proxyTls: toProxy });
  }
}

/** Reads a body to its end, at most `limit` bytes. Rejects with TransportError when it is cut or longer. */
export async function readBody(response: HttpResponse, limit: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of response.body as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > limit)
        throw new TransportError('protocol', `${redactUrl(response.url)} sent more than ${limit} bytes`);
      pieces.push(piece);
    }
  } catch (error) {
    throw error instanceof TransportError
      ? error
      : transportError(error, { url: response.url, proxy: undefined });
  }
  return Buffer.concat(pieces);
}

/** Lets go of a body nobody wants: a short one is read so that its connection lives on, a long or slow one is cut. */
export async function discard(body: Readable): Promise<void> {
  let size = 0;
  const timer = setTimeout(() => body.destroy(), 1000).unref();
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > 64 * 1024) break;
    }
  } catch {
    // Its failure means nothing: the answer has been understood already.
  }
  clearTimeout(timer);
  body.destroy();
}

/** Opens a body for one attempt and remembers whether it, and not the network, was what failed. */
function openBody(body: HttpRequest['body']) {
  if (body === undefined) return undefined;
  if (Buffer.isBuffer(body)) return { stream: body, failure: () => undefined };
  let failure: unknown;
  const source = body();
  source.once('error', (error) => {
    if (error instanceof LocalReadError) failure = error;
  });
  return { stream: source, failure: () => failure };
}

function joinHeaders(
  headers: Record<string, string | string[] | undefined>,
): Record<string, string | undefined> {
  const joined = Object.entries(headers).map(([name, value]) => [
    name.toLowerCase(),
    Array.isArray(value) ? value.join(', ') : value,
  ]);
  return Object.fromEntries(joined) as Record<string, string | undefined>;
}

function parseUrl(text: string, base: URL): URL | undefined {
  try {
    const url = new URL(text, base);
    return url.protocol === 'https:' || url.protocol === 'http:' ? url : undefined;
  } catch {
    return undefined;
  }
}
