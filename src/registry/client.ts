/** One repository as a content source and sink. */
import type { Readable } from 'node:stream';
import { BugError, BuildError } from '../errors.ts';
import { type Descriptor, type Digest, isDigest } from '../image/descriptor.ts';
import type { BlobUpload, ContentSink, ContentSource } from '../store/content-store.ts';
import type { Endpoint } from './endpoint.ts';
import { type Origin, Puller, pullRequest } from './pull.ts';
import { Pusher } from './push.ts';
import { RegistryError } from './registry-error.ts';
import { closestNames } from './similar.ts';
import { discard, readBody } from './transport.ts';

/** A repository of a registry. Reads come from its mirrors first, writes go to the registry itself. */
export interface RegistryRepository extends ContentSource, ContentSink {
  /** "registry/repository". */
  readonly name: string;
  /** All tags in the registry's order. Rejects with REGISTRY_NOT_FOUND for an unknown repository. */
  tags(): Promise<string[]>;
  mountBlob(descriptor: Descriptor, from: readonly string[], signal?: AbortSignal): Promise<boolean>;
  /** Deletes a manifest by digest (or a tag, where the registry allows it). */
  deleteManifest(reference: string): Promise<void>;
  /** Rejects with what a pull or push would reject with; changes nothing. For `login --check`. */
  checkAccess(action: 'pull' | 'push'): Promise<void>;
}

export interface RepositoryOptions {
  readonly registry: string;
  readonly repository: string;
  readonly origins: readonly Origin[];
  readonly pushEndpoint: Endpoint;
  readonly pushChunkSize?: number | undefined;
}

const MAX_TAG_PAGES = 1000;
const MAX_TAG_BODY = 16 * 1024 * 1024;

/** The repository over HTTP. */
export class HttpRepository implements RegistryRepository {
  readonly name: string;
  readonly #options: RepositoryOptions;
  readonly #puller: Puller;
  readonly #pusher: Pusher;

  constructor(options: RepositoryOptions) {
    const { registry, repository, origins, pushEndpoint, pushChunkSize } = options;
    this.name = `${registry}/${repository}`;
    this.#options = options;
    this.#puller = new Puller(origins);
    this.#pusher = new Pusher({ endpoint: pushEndpoint, repository, chunkSize: pushChunkSize });
  }

  async resolve(reference: string): Promise<Descriptor> {
    try {
      return await this.#puller.resolve(reference);
    } catch (error) {
      if (error instanceof RegistryError && error.status === 404)
        throw await this.#notFound(error, reference);
      throw error;
    }
  }

  fetchDocument(descriptor: Descriptor): Promise<Buffer> {
    return this.#puller.fetchDocument(descriptor);
  }

  fetchBlob(descriptor: Descriptor, signal?: AbortSignal): Promise<Readable> {
    return this.#puller.fetchBlob(descriptor, signal);
  }

  hasBlob(descriptor: Descriptor): Promise<boolean> {
    return this.#pusher.hasBlob(descriptor);
  }

  mountBlob(descriptor: Descriptor, from: readonly string[], signal?: AbortSignal): Promise<boolean> {
    return this.#pusher.mountBlob(descriptor, from, signal);
  }

  pushBlob(upload: BlobUpload, signal?: AbortSignal): Promise<'uploaded' | 'mounted' | 'exists'> {
    return this.#pusher.pushBlob(upload, signal);
  }

  pushManifest(descriptor: Descriptor, content: Buffer, reference: string | Digest): Promise<void> {
    return this.#pusher.pushManifest(descriptor, content, reference);
  }

  deleteManifest(reference: string): Promise<void> {
    return this.#pusher.deleteManifest(reference);
  }

  async tags(): Promise<string[]> {
    const origin = this.#origin();
    const tags: string[] = [];
    let target: string | URL | undefined = `/v2/${origin.source.repository}/tags/list?n=1000`;
    for (let page = 0; target !== undefined && page < MAX_TAG_PAGES; page++) {
      const response = await origin.endpoint.expect(
        { ...pullRequest(origin, '', 'list of tags'), target },
        [200],
      );
      const list = tagsOf(await readBody(response, MAX_TAG_BODY));
      tags.push(...list);
      const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(response.headers['link'] ?? '')?.[1];
      target = next !== undefined && list.length > 0 ? nextPage(next, response.url) : undefined;
    }
    return tags;
  }

  async checkAccess(action: 'pull' | 'push'): Promise<void> {
    if (action === 'push') return this.#pusher.checkAccess();
    const origin = this.#origin();
    const target = `/v2/${origin.source.repository}/tags/list?n=1`;
    // A repository that does not exist yet can be read by whoever may create it.
    const response = await origin.endpoint.expect(
      { ...pullRequest(origin, '', 'pull access'), target },
      [200, 404],
    );
    await discard(response.body);
  }

  /** The registry itself, without mirrors. */
  #origin(): Origin {
    const origin = this.#options.origins.at(-1);
    if (origin === undefined) throw new BugError('a repository has no place to fetch from');
    return origin;
  }

  /** The image is not there: says whether its repository is, and which tags look like the one that was asked for. */
  async #notFound(error: RegistryError, reference: string): Promise<BuildError> {
    const { registry, repository } = this.#options;
    const tags = await this.tags().catch(() => undefined);
    const separator = isDigest(reference) ? '@' : ':';
    const suggestions: string[] = [];
    if (tags === undefined || tags.length === 0) {
      suggestions.push(`The repository ${this.name} does not exist there, or is empty: check its spelling.`);
      const { credentials } = await this.#options.pushEndpoint.login(repository);
      if (credentials === undefined) suggestions.push(`If it is private, log in: kiln login ${registry}`);
    } else if (!isDigest(reference)) {
      const close = closestNames(reference, tags, 5);
      suggestions.push(`The repository has ${tags.length} tags, such as ${close.join(', ')}.`);
    } else {
      suggestions.push(
        'The repository exists, but not this digest: it may have been deleted, or never been pushed there.',
      );
    }
    return new BuildError(
      'BASE_IMAGE_NOT_FOUND',
      `${this.name}${separator}${reference} does not exist: ${error.message}`,
      {
        suggestions: [...suggestions, ...error.suggestions.filter((line) => line.startsWith('The mirror'))],
        cause: error,
      },
    );
  }
}

function tagsOf(content: Buffer): string[] {
  try {
    const json = JSON.parse(content.toString()) as { tags?: unknown };
    return Array.isArray(json.tags) ? json.tags.filter((tag) => typeof tag === 'string') : [];
  } catch {
    return [];
  }
}

/** The next page is on the same registry, whatever the header says (distribution-spec, "Listing Tags"). */
function nextPage(link: string, base: URL): string | undefined {
  if (!URL.canParse(link, base.href)) return undefined;
  const url = new URL(link, base);
  return url.host === base.host ? `${url.pathname}${url.search}` : undefined;
}
