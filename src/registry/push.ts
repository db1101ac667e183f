/** The writing half of the protocol (distribution-spec, "Push" and "Content Management"). */
import { BuildError } from '../errors.ts';
import type { Descriptor, Digest } from '../image/descriptor.ts';
import type { BlobUpload } from '../store/content-store.ts';
import { cancelSession, openSession, type UploadSession, uploadBlob } from './blob-upload.ts';
import type { Endpoint, EndpointRequest } from './endpoint.ts';
import { discard } from './transport.ts';

export interface PushOptions {
  readonly endpoint: Endpoint;
  readonly repository: string;
  /** Bytes a request of a blob's upload; undefined sends a blob in one request. */
  readonly chunkSize?: number | undefined;
}

/** More repositories than this are not asked for a mount: by then sending the blob costs no more. */
const MAX_MOUNT_SOURCES = 3;

/** Writes one repository of one registry. */
export class Pusher {
  readonly #options: PushOptions;
  readonly #scopes: readonly string[];

  constructor(options: PushOptions) {
    this.#options = options;
    this.#scopes = [`repository:${options.repository}:pull,push`];
  }

  /** HEAD: true when the repository holds the blob with this size. */
  async hasBlob(descriptor: Descriptor, signal?: AbortSignal): Promise<boolean> {
    const { digest, size } = descriptor;
    const request = { ...this.#request('HEAD', `blobs/${digest}`, `blob ${digest}`), signal };
    const response = await this.#options.endpoint.expect(request, [200, 404]);
    await discard(response.body);
    const length = response.headers['content-length'];
    return response.status === 200 && (length === undefined || Number(length) === size);
  }

  /** Brings a blob into the repository: not at all if it is there, by a mount if a sibling has it, else by upload. */
  async pushBlob(upload: BlobUpload, signal?: AbortSignal): Promise<'uploaded' | 'mounted' | 'exists'> {
    if (await this.hasBlob(upload.descriptor, signal)) return 'exists';
    const { descriptor, mountFrom = [] } = upload;
    const opened = await this.#mount(descriptor, mountFrom, signal);
    if (opened === 'created') return 'mounted';
    const target = {
      ...this.#options,
      chunkSize: this.#options.chunkSize,
      scopes: this.#scopes,
      exists: (descriptor: Descriptor) => this.hasBlob(descriptor, signal),
    };
    await uploadBlob(upload, target, { opened, signal });
    return 'uploaded';
  }

  /** Links a blob from sibling repositories without its bytes; false when none of them has it or may be read. */
  async mountBlob(descriptor: Descriptor, from: readonly string[], signal?: AbortSignal): Promise<boolean> {
    const opened = await this.#mount(descriptor, from, signal);
    if (opened !== undefined && opened !== 'created') {
      await cancelSession({ ...this.#options, scopes: this.#scopes }, opened);
    }
    return opened === 'created';
  }

  /** PUT under a tag or its own digest; the registry must have stored these very bytes. */
  async pushManifest(descriptor: Descriptor, content: Buffer, reference: string | Digest): Promise<void> {
    const request = {
      ...this.#request('PUT', `manifests/${reference}`, `manifest ${reference}`),
      headers: { 'content-type': descriptor.mediaType },
      body: content,
    };
    const response = await this.#options.endpoint.expect(request, [200, 201, 202]);
    await discard(response.body);
    const stored = response.headers['docker-content-digest'];
    if (stored === undefined || stored === descriptor.digest) return;
    const { endpoint, repository } = this.#options;
    throw new BuildError(
      'REGISTRY_DIGEST_MISMATCH',
      `${endpoint.registry}/${repository}: the registry stored manifest ${reference} as ${stored}, not ${descriptor.digest}`,
      { suggestions: ['A proxy on the way changes the bytes; try again, then ask who runs the registry.'] },
    );
  }

  /** DELETE by tag or digest. Rejects with REGISTRY_UNSUPPORTED where the registry does not allow it. */
  async deleteManifest(reference: string): Promise<void> {
    const { endpoint, repository } = this.#options;
    const request = {
      ...this.#request('DELETE', `manifests/${reference}`, `manifest ${reference}`),
      scopes: [`repository:${repository}:delete,pull`],
    };
    const response = await endpoint.expect(request, [200, 202, 405]);
    await discard(response.body);
    if (response.status !== 405) return;
    throw new BuildError(
      'REGISTRY_UNSUPPORTED',
      `${endpoint.registry} does not allow manifests to be deleted`,
      {
        suggestions: ['Ask who runs the registry to allow it, or delete by digest instead of tag.'],
      },
    );
  }

  /** Opens an upload and gives it up again: proves that a push will be let in. */
  async checkAccess(): Promise<void> {
    const target = { ...this.#options, scopes: this.#scopes };
    const session = await openSession(target, { what: 'push access' });
    if (session !== 'created') await cancelSession(target, session);
  }

  /**
   * Asks the registry to link the blob from sibling repositories (distribution-spec, "Mounting a blob"). Gives the
   * session that a refused mount has opened instead. No failure here stops the push.
   */
  async #mount(
    descriptor: Descriptor,
    mountFrom: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<UploadSession | 'created' | undefined> {
    const { repository } = this.#options;
    const siblings = [...new Set(mountFrom)]
      .filter((from) => from !== repository)
      .slice(0, MAX_MOUNT_SOURCES);
    let session: UploadSession | undefined;
    for (const from of siblings) {
      const query = `?mount=${encodeURIComponent(descriptor.digest)}&from=${encodeURIComponent(from)}`;
      const target = { ...this.#options, scopes: [...this.#scopes, `repository:${from}:pull`] };
      try {
        const opened = await openSession(target, {
          query,
          what: `mount of ${descriptor.digest} from ${from}`,
          signal,
        });
        if (session !== undefined) await cancelSession(target, session);
        if (opened === 'created') return opened;
        session = opened;
      } catch (error) {
        // We may not read the sibling, or the registry knows no mounts: then the blob is sent.
        if (!(error instanceof BuildError)) throw error;
      }
    }
    return session;
  }

  #request(method: EndpointRequest['method'], path: string, what: string) {
    const { repository } = this.#options;
    return { method, target: `/v2/${repository}/${path}`, repository, scopes: this.#scopes, what };
  }
}
