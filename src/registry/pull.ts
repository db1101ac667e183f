/** The reading half of the protocol (distribution-spec, "Pull"): manifests, documents and blobs, digests always checked. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { BugError, BuildError } from '../errors.ts';
import { type Descriptor, type Digest, digestOf, isDigest } from '../image/descriptor.ts';
import {
  isIndexMediaType,
  isManifestMediaType,
  isSchema1MediaType,
  MANIFEST_LIMITS,
  MANIFEST_MEDIA_TYPES,
} from '../image/manifest.ts';
import type { Endpoint, EndpointRequest } from './endpoint.ts';
import type { PullSource } from './registries-conf.ts';
import { networkError, RegistryError } from './registry-error.ts';
import { attemptsAfter } from './retry.ts';
import { discard, type HttpResponse, readBody } from './transport.ts';
import { TransportError, transportError } from './transport-error.ts';

/** A place to fetch from and the host it is on. */
export interface Origin {
  readonly source: PullSource;
  readonly endpoint: Endpoint;
}

/** A mirror gets fewer attempts: behind it there is another place to ask. */
const MIRROR_ATTEMPTS = 2;

/** Reads one repository from its mirrors and its own registry. */
export class Puller {
  readonly #origins: readonly Origin[];
  /** Mirrors that could not be reached or sent wrong bytes; not asked again by this program. */
  readonly #dropped = new Set<Origin>();
  /** The mirror that resolved a tag also serves what the tag led to. */
  #preferred: Origin | undefined;

  /** `origins` in the order in which they are asked; the last is the registry itself. */
  constructor(origins: readonly Origin[]) {
    this.#origins = origins;
  }

  /** The descriptor of what a tag or digest names: HEAD, and GET where the registry leaves something out. */
  async resolve(reference: string): Promise<Descriptor> {
    return this.#firstOf(isDigest(reference) ? 'digest' : 'tag', async (origin) => {
      const descriptor = await resolveAt(origin, reference);
      this.#preferred = origin;
      return descriptor;
    });
  }

  /** The bytes of a manifest, index or config, checked against the descriptor. */
  async fetchDocument(descriptor: Descriptor): Promise<Buffer> {
    if (descriptor.size > MANIFEST_LIMITS.bytes) {
      throw new BuildError(
        'REGISTRY_DOCUMENT_TOO_LARGE',
        `${descriptor.digest} has ${descriptor.size} bytes; documents of images have at most 16 MiB`,
      );
    }
    return this.#firstOf('content', (origin) => fetchDocumentAt(origin, descriptor));
  }

  /**
   * A blob as a stream. A cut connection is continued where it broke, from the next place if need be. The stream
   * ends only after digest and size were right; otherwise it fails with REGISTRY_DIGEST_MISMATCH.
   */
  async fetchBlob(descriptor: Descriptor, signal?: AbortSignal): Promise<Readable> {
    const open = { current: await this.#openBlob(descriptor, { offset: 0, signal }), signal };
    const stream = Readable.from(this.#blobBytes(descriptor, open), { objectMode: false });
    // A reader that goes away early leaves the generator no moment of its own to close the connection.
    stream.once('close', () => open.current.response.body.destroy());
    return stream;
  }

  /** Yields the blob and checks it; `open.current` is replaced when a connection breaks. */
  async *#blobBytes(descriptor: Descriptor, open: BlobReading): AsyncGenerator<Buffer> {
    const { size } = descriptor;
    const hash = createHash('sha256');
    let offset = 0;
    for (let failures = 0; offset < size; ) {
      const next = await nextPiece(open.current);
      if (next instanceof Error) {
        failures++;
        open.signal?.throwIfAborted();
        open.current.response.body.destroy();
        open.current = await this.#reopen(descriptor, { error: next, failures, offset, open });
        continue;
      }
      failures = 0;
      offset += next.length;
      if (offset > size) break;
      hash.update(next);
      yield next;
    }
    const excess = offset === size ? await nextPiece(open.current) : undefined;
    const actual: Digest = `sha256:${hash.digest('hex')}`;
    if (offset === size && !Buffer.isBuffer(excess) && actual === descriptor.digest) return;
    const { origin } = open.current;
    if (origin.source.mirror) this.#dropped.add(origin);
    const got = offset > size || Buffer.isBuffer(excess) ? `more than ${size} bytes` : actual;
    throw mismatch(origin, { what: `blob ${descriptor.digest}`, got });
  }

  async #reopen(
    descriptor: Descriptor,
    broken: { error: Error; failures: number; offset: number; open: BlobReading },
  ): Promise<OpenBlob> {
    const { origin } = broken.open.current;
    const { endpoint, source } = origin;
    const failure = transportError(broken.error, {
      url: endpoint.url(`/v2/${source.repository}/blobs/`),
      proxy: undefined,
    });
    if (!(failure instanceof TransportError)) throw failure;
    // One silence in a long body is no reason to fetch it all from its beginning, or to do without.
    const attempts = Math.max(2, attemptsAfter(failure.kind, endpoint.context.retry));
    if (broken.failures >= attempts) throw networkError(failure, endpoint.trust);
    if (source.mirror && broken.failures >= MIRROR_ATTEMPTS) this.#dropped.add(origin);
    await endpoint.pause(broken.failures + 1, broken.open.signal);
    return this.#openBlob(descriptor, { offset: broken.offset, signal: broken.open.signal });
  }

  #openBlob(
    descriptor: Descriptor,
    at: { offset: number; signal: AbortSignal | undefined },
  ): Promise<OpenBlob> {
    return this.#firstOf('content', async (origin) => {
      const request = {
        ...pullRequest(origin, `blobs/${descriptor.digest}`, `blob ${descriptor.digest}`),
        ...(at.offset === 0 ? {} : { headers: { range: `bytes=${at.offset}-` } }),
        signal: at.signal,
      };
      const response = await origin.endpoint.expect(request, at.offset === 0 ? [200] : [200, 206, 416]);
      if (response.status === 416) {
        await discard(response.body);
        throw mismatch(origin, {
          what: `blob ${descriptor.digest}`,
          got: `no more than ${at.offset} of ${descriptor.size} bytes`,
        });
      }
      return { origin, response, pieces: withoutFirst(response.body, skipOf(response, at.offset)) };
    });
  }

  /** Tries the places that serve this kind of reference; a mirror's failure is passed over, the last one's is thrown. */
  async #firstOf<Result>(kind: Kind, ask: (origin: Origin) => Promise<Result>): Promise<Result> {
    const passed: string[] = [];
    for (const origin of this.#candidates(kind)) {
      try {
        return await ask(origin);
      } catch (error) {
        if (!(error instanceof BuildError)) throw error;
        if (!origin.source.mirror) throw withNotes(error, passed);
        if (!(error instanceof RegistryError)) this.#dropped.add(origin);
        passed.push(`The mirror ${nameOf(origin)} was tried first: ${error.message}`);
      }
    }
    throw new BugError('a repository has no place to fetch from');
  }

  #candidates(kind: Kind): Origin[] {
    const only = kind === 'tag' ? 'tag-only' : 'digest-only';
    const serving = this.#origins.filter(
      (origin) =>
        !this.#dropped.has(origin) && (origin.source.serves === 'all' || origin.source.serves === only),
    );
    const preferred = this.#preferred;
    if (kind !== 'content' || !preferred?.source.mirror || this.#dropped.has(preferred)) return serving;
    return [preferred, ...serving.filter((origin) => origin !== preferred)];
  }
}

/** What is asked for: a tag, a digest, or content that some manifest named. */
type Kind = 'tag' | 'digest' | 'content';

interface OpenBlob {
  readonly origin: Origin;
  readonly response: HttpResponse;
  /** The bytes from the offset that was asked for. */
  readonly pieces: AsyncGenerator<Buffer>;
}

interface BlobReading {
  current: OpenBlob;
  readonly signal: AbortSignal | undefined;
}

/** A GET for something of a repository. `target` is below its address. */
export function pullRequest(origin: Origin, target: string, what: string): EndpointRequest {
  const { repository, mirror } = origin.source;
  return {
    method: 'GET',
    target: `/v2/${repository}/${target}`,
    repository,
    scopes: [`repository:${repository}:pull`],
    what,
    ...(mirror ? { attempts: MIRROR_ATTEMPTS } : {}),
  };
}

async function resolveAt(origin: Origin, reference: string): Promise<Descriptor> {
  const request = {
    ...pullRequest(origin, `manifests/${reference}`, `manifest ${reference}`),
    headers: { accept: MANIFEST_MEDIA_TYPES.join(', ') },
  };
  const head = await origin.endpoint.request({ ...request, method: 'HEAD' });
  await discard(head.body);
  const mediaType = mediaTypeOf(head);
  const digest = head.headers['docker-content-digest'];
  const size = Number(head.headers['content-length'] ?? Number.NaN);
  if (
    head.status === 200 &&
    isDigest(digest) &&
    Number.isSafeInteger(size) &&
    size > 0 &&
    isReadable(mediaType)
  ) {
    if (isDigest(reference) && digest !== reference)
      throw mismatch(origin, { what: `manifest ${reference}`, got: digest });
    return { mediaType, digest, size };
  }
  // HEAD has no body: an error's words, and what these headers leave out, come from GET.
  const { response, content } = await getDocument(origin, request, MANIFEST_LIMITS.bytes);
  const found = {
    digest: digestOf(content),
    size: content.length,
    mediaType: sniffMediaType(mediaTypeOf(response), content),
  };
  const promised = isDigest(reference) ? reference : response.headers['docker-content-digest'];
  if (isDigest(promised) && promised !== found.digest)
    throw mismatch(origin, { what: `manifest ${reference}`, got: found.digest });
  if (!isReadable(found.mediaType)) throw unsupported(origin, reference, found.mediaType);
  return found;
}

async function fetchDocumentAt(origin: Origin, descriptor: Descriptor): Promise<Buffer> {
  const { mediaType, digest, size } = descriptor;
  const isManifest = isManifestMediaType(mediaType) || isIndexMediaType(mediaType);
  const request = {
    ...pullRequest(
      origin,
      `${isManifest ? 'manifests' : 'blobs'}/${digest}`,
      `${isManifest ? 'manifest' : 'config'} ${digest}`,
    ),
    ...(isManifest ? { headers: { accept: MANIFEST_MEDIA_TYPES.join(', ') } } : {}),
  };
  const { content } = await getDocument(origin, request, size);
  const actual = digestOf(content);
  if (content.length === size && actual === digest) return content;
  throw mismatch(origin, {
    what: request.what,
    got: content.length === size ? actual : `${content.length} bytes instead of ${size}`,
  });
}

/** GET with the whole body; asked again when the connection breaks within it. */
async function getDocument(
  origin: Origin,
  request: EndpointRequest,
  limit: number,
): Promise<{ response: HttpResponse; content: Buffer }> {
  const { endpoint } = origin;
  for (let attempt = 1; ; attempt++) {
    const response = await endpoint.expect(request, [200]);
    try {
      return { response, content: await readBody(response, limit) };
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      const { retry } = endpoint.context;
      const attempts = attemptsAfter(error.kind, { ...retry, attempts: request.attempts ?? retry.attempts });
      if (!error.transient || attempt >= attempts) throw networkError(error, endpoint.trust);
    }
    await endpoint.pause(attempt + 1, request.signal);
  }
}

/** The next bytes, or the error that ended them before the blob's end. */
async function nextPiece(blob: OpenBlob): Promise<Buffer | Error> {
  try {
    const next = await blob.pieces.next();
    return next.done ? new TransportError('cut', 'the connection ended early') : next.value;
  } catch (error) {
    return error instanceof Error ? error : new TransportError('cut', String(error));
  }
}

/** A body without its first `skip` bytes, which are known already. */
async function* withoutFirst(body: Readable, skip: number): AsyncGenerator<Buffer> {
  let left = skip;
  for await (const piece of body as AsyncIterable<Buffer>) {
    if (left < piece.length) yield left === 0 ? piece : piece.subarray(left);
    left = Math.max(0, left - piece.length);
  }
}

/** A registry that ignores Range answers 200 with everything; 206 tells where it starts (RFC 9110, 14.4). */
function skipOf(response: HttpResponse, offset: number): number {
  if (response.status === 200) return offset;
  const start = /^bytes (\d+)-/.exec(response.headers['content-range'] ?? '')?.[1];
  return start === undefined ? 0 : Math.max(0, offset - Number(start));
}

function mediaTypeOf(response: HttpResponse): string {
  return (response.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

function isReadable(mediaType: string): boolean {
  return isManifestMediaType(mediaType) || isIndexMediaType(mediaType);
}

/** Registries that store files as they are send "application/json" or text; the document knows better. */
function sniffMediaType(sent: string, content: Buffer): string {
  if (isReadable(sent) || isSchema1MediaType(sent)) return sent;
  try {
    const json = JSON.parse(content.toString()) as Record<string, unknown>;
    if (typeof json['mediaType'] === 'string') return json['mediaType'];
    if (json['schemaVersion'] !== 2) return sent;
    return Array.isArray(json['manifests'])
      ? 'application/vnd.oci.image.index.v1+json'
      : 'application/vnd.oci.image.manifest.v1+json';
  } catch {
    return sent;
  }
}

function nameOf({ endpoint, source }: Origin): string {
  return `${endpoint.registry}/${source.repository}`;
}

function mismatch(origin: Origin, { what, got }: { what: string; got: string }): BuildError {
  return new BuildError(
    'REGISTRY_DIGEST_MISMATCH',
    `${nameOf(origin)} sent wrong bytes for ${what}: got ${got}`,
    {
      suggestions: [
        origin.source.mirror
          ? 'The mirror is broken or tampered with: remove it from registries.conf and try again.'
          : 'A proxy or cache on the way, or the registry itself, changes the bytes; try again, then ask who runs it.',
      ],
    },
  );
}

function unsupported(origin: Origin, reference: string, mediaType: string): BuildError {
  const kind = isSchema1MediaType(mediaType)
    ? 'Docker manifest schema 1, a format given up in 2017'
    : `the type ${mediaType || '(none)'}`;
  return new BuildError(
    'REGISTRY_UNSUPPORTED_MEDIA_TYPE',
    `${nameOf(origin)}:${reference} has ${kind}, which kiln cannot read`,
    {
      suggestions: [
        'Push the image again with a current tool, which writes an OCI or Docker schema 2 manifest.',
      ],
    },
  );
}

function withNotes(error: BuildError, notes: readonly string[]): BuildError {
  if (notes.length === 0) return error;
  const suggestions = [...error.suggestions, ...notes];
  if (error instanceof RegistryError) return error.with({ suggestions });
  return new BuildError(error.code, error.message, { suggestions, cause: error.cause });
}
