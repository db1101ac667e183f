/**
 * One blob's way into a repository (distribution-spec, "Pushing Blobs"): one streamed PUT, or PATCHes in chunks.
 * After a failure the registry is asked how much it has, and only the rest is sent.
 */
import type { Readable } from 'node:stream';
import { BuildError } from '../errors.ts';
import type { Descriptor } from '../image/descriptor.ts';
import type { BlobUpload } from '../store/content-store.ts';
import type { Endpoint, EndpointRequest } from './endpoint.ts';
import { exactly } from './exact-bytes.ts';
import { networkError, RegistryError } from './registry-error.ts';
import { attemptsAfter, isTransientStatus, parseRetryAfter } from './retry.ts';
import { discard, type HttpResponse } from './transport.ts';
import { LocalReadError, TransportError } from './transport-error.ts';

/** Where a blob goes. */
export interface UploadTarget {
  readonly endpoint: Endpoint;
  readonly repository: string;
  readonly scopes: readonly string[];
  /** Bytes a request; undefined for the whole blob in one. */
  readonly chunkSize: number | undefined;
  /** HEAD: is the blob there already? */
  readonly exists: (descriptor: Descriptor) => Promise<boolean>;
}

/** An upload the registry has opened. */
export interface UploadSession {
  readonly location: URL;
  /** Bytes the registry has. */
  readonly offset: number;
  /** OCI-Chunk-Min-Length; every chunk but the last is at least this long. */
  readonly minimum: number;
}

/** The first chunk size after a refusal for length: below the usual 100 MB of proxies. */
const FALLBACK_CHUNK = 32 * 1024 * 1024;
/** Below this a refusal for length is about something else. */
const SMALLEST_CHUNK = 64 * 1024;

/** Sends a blob; `opened` is a session left by a mount that the registry did not make. */
export function uploadBlob(
  upload: BlobUpload,
  target: UploadTarget,
  by: { opened?: UploadSession | undefined; signal?: AbortSignal | undefined },
): Promise<void> {
  return new Uploader(upload, target, by).run();
}

/** Opens an upload (POST). `query` may ask for a mount; then the answer can be 201, which gives no session. */
export async function openSession(
  target: Pick<UploadTarget, 'endpoint' | 'repository' | 'scopes'>,
  how: { query?: string; what: string; signal?: AbortSignal | undefined },
): Promise<UploadSession | 'created'> {
  const response = await target.endpoint.expect(
    {
      method: 'POST',
      target: `/v2/${target.repository}/blobs/uploads/${how.query ?? ''}`,
      repository: target.repository,
      scopes: target.scopes,
      what: how.what,
      body: Buffer.alloc(0),
      signal: how.signal,
    },
    how.query === undefined ? [202] : [201, 202],
  );
  await discard(response.body);
  if (response.status === 201) return 'created';
  const location = locationOf(response);
  if (location === undefined)
    throw uploadFailed(target, how.what, 'the registry opened an upload without saying where');
  return { location, offset: 0, minimum: Number(response.headers['oci-chunk-min-length']) || 0 };
}

/** Gives up a session that is not needed (DELETE); the registry would end it in time anyway. */
export async function cancelSession(
  target: Pick<UploadTarget, 'endpoint' | 'repository' | 'scopes'>,
  session: UploadSession,
): Promise<void> {
  const { endpoint, repository, scopes } = target;
  const request = {
    method: 'DELETE',
    target: session.location,
    repository,
    scopes,
    what: 'upload',
    attempts: 1,
  } as const;
  await endpoint.request(request).then(
    ({ body }) => discard(body),
    () => undefined,
  );
}

class Uploader {
  readonly #upload: BlobUpload;
  readonly #target: UploadTarget;
  readonly #signal: AbortSignal | undefined;
  readonly #what: string;
  #session: UploadSession | undefined;
  #chunk: number | undefined;
  /** Failures since the registry last had more than ever before. */
  #failures = 0;
  #furthest = 0;
  #resumed = false;

  constructor(
    upload: BlobUpload,
    target: UploadTarget,
    by: { opened?: UploadSession | undefined; signal?: AbortSignal | undefined },
  ) {
    this.#upload = upload;
    this.#target = target;
    this.#signal = by.signal;
    this.#session = by.opened;
    this.#chunk = target.chunkSize;
    this.#what = `upload of ${upload.descriptor.digest}`;
  }

  async run(): Promise<void> {
    for (;;) {
      const sent = { bytes: 0 };
      try {
        this.#session ??= await this.#open();
        return await this.#send(this.#session, sent);
      } catch (error) {
        this.#signal?.throwIfAborted();
        if (await this.#recover(error, sent.bytes)) return;
      }
    }
  }

  /** The rest of the blob, and its end. `sent.bytes` is the length of the request that fails, if one does. */
  async #send(from: UploadSession, sent: { bytes: number }): Promise<void> {
    const { size } = this.#upload.descriptor;
    let session = from;
    while (session.offset < size) {
      const rest = size - session.offset;
      // A whole blob, or the rest after a break, goes with the closing PUT and saves a request.
      if (this.#chunk === undefined && session.offset === 0) break;
      const length = Math.min(rest, Math.max(this.#chunk ?? rest, session.minimum));
      sent.bytes = length;
      session = await this.#patch(session, length);
      this.#session = session;
      if (session.offset > this.#furthest) {
        this.#furthest = session.offset;
        this.#failures = 0;
      }
    }
    sent.bytes = size - session.offset;
    await this.#close(session);
  }

  #open(): Promise<UploadSession> {
    return openSession(this.#target, { what: this.#what, signal: this.#signal }) as Promise<UploadSession>;
  }

  async #patch(session: UploadSession, length: number): Promise<UploadSession> {
    const end = session.offset + length;
    const response = await this.#target.endpoint.expect(
      {
        ...this.#request('PATCH', session.location),
        headers: {
          'content-type': 'application/octet-stream',
          'content-range': `${session.offset}-${end - 1}`,
        },
        body: () => this.#read(session.offset, length),
        bodySize: length,
        attempts: 1,
      },
      [201, 202, 204],
    );
    await discard(response.body);
    const reported = rangeEnd(response);
    const offset = reported === undefined || reported > end || reported < session.offset ? end : reported;
    if (offset < end) this.#resumed = true;
    return { ...session, location: locationOf(response) ?? session.location, offset };
  }

  /** PUT with the digest, and with the whole blob when nothing was sent before. The registry checks what it has. */
  async #close(session: UploadSession): Promise<void> {
    const { digest, size } = this.#upload.descriptor;
    const whole = session.offset === 0 && size > 0;
    const response = await this.#target.endpoint.expect(
      {
        ...this.#request('PUT', withDigest(session.location, digest)),
        headers: { 'content-type': 'application/octet-stream' },
        body: whole ? () => this.#read(0, size) : Buffer.alloc(0),
        ...(whole ? { bodySize: size } : {}),
        attempts: 1,
        checks: size,
      },
      [200, 201, 204],
    );
    await discard(response.body);
    const stored = response.headers['docker-content-digest'];
    if (stored === undefined || stored === digest) return;
    throw new BuildError(
      'REGISTRY_DIGEST_MISMATCH',
      `${this.#name()}: ${this.#what}: the registry stored ${stored}`,
      {
        suggestions: ['A proxy on the way changes the bytes; try again, then ask who runs the registry.'],
      },
    );
  }

  /**
   * After a failure: decides what to do, waits, and finds out where to go on. True when the blob turned out to be
   * there. Throws when there is nothing left to try.
   */
  async #recover(error: unknown, length: number): Promise<boolean> {
    this.#failures++;
    const plan = this.#plan(error, length);
    const { endpoint, exists } = this.#target;
    const cause = error instanceof BuildError ? error.cause : error;
    const kind = cause instanceof TransportError ? cause.kind : undefined;
    const { retry } = endpoint.context;
    const attempts = kind === 'timeout' ? attemptsAfter(kind, retry) : retry.attempts;
    if (this.#failures >= attempts) throw this.#final(error);
    if (plan === 'wait') {
      await this.#pause(error);
      // The answer may have been lost, not the blob.
      if (await exists(this.#upload.descriptor).catch(() => false)) return true;
      // A connection that never carries the whole blob may carry a part of it.
      if (this.#chunk === undefined && this.#failures >= 3 && length > FALLBACK_CHUNK)
        this.#chunk = FALLBACK_CHUNK;
    }
    this.#session =
      plan === 'restart' || this.#session === undefined ? undefined : await this.#status(this.#session);
    this.#resumed = (this.#session?.offset ?? 0) > 0;
    return false;
  }

  #plan(error: unknown, length: number): 'wait' | 'continue' | 'restart' {
    const cause = error instanceof BuildError ? error.cause : error;
    if (cause instanceof TransportError && cause.transient) return 'wait';
    if (!(error instanceof RegistryError)) throw this.#final(error);
    if (isTransientStatus(error.status)) return 'wait';
    if (error.status === 413) return this.#shrink(error, length);
    if (error.status === 416) return 'continue';
    // The session is gone or in a state we did not expect: only a fresh one helps. Not when it was fresh already.
    const stale = error.status === 404 && this.#session !== undefined;
    const spoilt = error.status === 400 && this.#resumed;
    if (stale || spoilt) return 'restart';
    throw this.#final(error);
  }

  /** Waits as long as the registry asks, and at least as long as between other attempts. */
  async #pause(error: unknown): Promise<void> {
    const { endpoint } = this.#target;
    const { clock, retry } = endpoint.context;
    const asked = error instanceof RegistryError ? parseRetryAfter(error.retryAfter, clock.now()) : undefined;
    if (asked !== undefined && asked > retry.maxRetryAfter) throw this.#final(error);
    if (asked !== undefined) await clock.sleep(asked, this.#signal);
    else await endpoint.pause(this.#failures + 1, this.#signal);
  }

  /** Halves the chunks, starting below the length that was refused. Each is a step forward, not a failure. */
  #shrink(error: RegistryError, length: number): 'continue' {
    const next = Math.min(FALLBACK_CHUNK, Math.ceil(length / 2));
    if (next < Math.max(SMALLEST_CHUNK, this.#session?.minimum ?? 0)) throw error;
    this.#chunk = next;
    this.#failures--;
    return 'continue';
  }

  /** What the registry has of a session (GET); undefined when it has to be started again. */
  async #status(session: UploadSession): Promise<UploadSession | undefined> {
    try {
      const response = await this.#target.endpoint.request({
        ...this.#request('GET', session.location),
        attempts: 3,
      });
      await discard(response.body);
      const offset = rangeEnd(response);
      // "0-0" is said of one byte and, by many registries, of none: not worth telling apart.
      if (
        response.status !== 204 ||
        offset === undefined ||
        offset <= 1 ||
        offset > this.#upload.descriptor.size
      )
        return undefined;
      return { ...session, location: locationOf(response) ?? session.location, offset };
    } catch {
      this.#signal?.throwIfAborted();
      return undefined;
    }
  }

  #request(method: EndpointRequest['method'], target: URL) {
    const { repository, scopes } = this.#target;
    return { method, target, repository, scopes, what: this.#what, signal: this.#signal };
  }

  /** Exactly `length` bytes of the blob from `offset`; fewer are an error of ours, not of the network. */
  #read(offset: number, length: number): Readable {
    return exactly(() => this.#upload.open(offset), length);
  }

  #name(): string {
    return `${this.#target.endpoint.registry}/${this.#target.repository}`;
  }

  #final(error: unknown): unknown {
    if (error instanceof LocalReadError) return uploadFailed(this.#target, this.#what, error.message, error);
    if (error instanceof TransportError) return networkError(error, this.#target.endpoint.trust);
    if (error instanceof RegistryError && (error.says('DIGEST_INVALID') || error.says('SIZE_INVALID'))) {
      return new BuildError('REGISTRY_DIGEST_MISMATCH', error.message, {
        suggestions: [
          'The stored blob is damaged, or a proxy on the way changes it: build without cache, then ask who runs the proxy.',
        ],
        cause: error,
      });
    }
    return error;
  }
}

/** The number of bytes told by "Range: 0-<last>". */
function rangeEnd(response: HttpResponse): number | undefined {
  const last = /^(?:bytes=)?0-(\d+)$/.exec(response.headers['range']?.trim() ?? '')?.[1];
  return last === undefined ? undefined : Number(last) + 1;
}

function locationOf(response: HttpResponse): URL | undefined {
  const location = response.headers['location'];
  if (location === undefined || !URL.canParse(location, response.url.href)) return undefined;
  return new URL(location, response.url);
}

/** Adds the digest without writing the rest of the query anew: its escapes may be part of a signature. */
function withDigest(location: URL, digest: string): URL {
  const url = new URL(location);
  url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`;
  return url;
}

function uploadFailed(
  target: Pick<UploadTarget, 'endpoint' | 'repository'>,
  what: string,
  why: string,
  cause?: unknown,
): BuildError {
  return new BuildError(
    'REGISTRY_UPLOAD_FAILED',
    `${target.endpoint.registry}/${target.repository}: ${what}: ${why}`,
    { cause },
  );
}
