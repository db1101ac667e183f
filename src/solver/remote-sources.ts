/**
 * Downloads and git repositories of a build, each fetched once, by whichever process of the build first needs it. What
 * was fetched is plain data that the other process is told of.
 */
import { rmSync } from 'node:fs';
import { type Download, lastModified, receiveFile } from '../context/download.ts';
import { type Checkout, checkoutGit, resolveGit } from '../context/git-checkout.ts';
import type { GitRef } from '../dockerfile/remote-source.ts';
import { BugError, BuildError } from '../errors.ts';
import type { Digest } from '../image/descriptor.ts';
import type { DownloadRecord } from '../store/download-store.ts';
import type { Store } from '../store/store.ts';

/** A downloaded file: a blob of the store. */
export interface RemoteFile {
  readonly kind: 'file';
  readonly digest: Digest;
  readonly size: number;
  /** Last-Modified in seconds since 1970; undefined when the server did not say. */
  readonly modified: number | undefined;
}

/** Files of a commit. */
export interface RemoteCheckout {
  readonly kind: 'checkout';
  readonly commit: string;
  readonly ref?: string | undefined;
  /** Undefined as long as only the commit is known. */
  readonly files?: Checkout | undefined;
}

export type Fetched = RemoteFile | RemoteCheckout;

export interface RemoteSourcesOptions {
  readonly store: Store;
  readonly download: Download;
  /** Makes an empty directory that lives as long as the whole build. */
  readonly makeDirectory: (purpose: string) => string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Value of an Authorization header for git over https at an address, if the user gave one. */
  readonly gitLogin: (remote: string) => string | undefined;
  /** Options of ssh for git, as one text for a shell. */
  readonly sshOptions: () => string;
  /** What an earlier process of this build fetched. */
  readonly known: ReadonlyMap<string, Fetched>;
  readonly signal: AbortSignal;
  /** An address without its login. */
  readonly redact: (url: string) => string;
}

export class RemoteSources {
  readonly #options: RemoteSourcesOptions;
  readonly #learned: Map<string, Fetched>;
  readonly #running = new Map<string, Promise<Fetched>>();

  constructor(options: RemoteSourcesOptions) {
    this.#options = options;
    this.#learned = new Map(options.known);
  }

  /** For the process that goes on with the build. */
  get learned(): ReadonlyMap<string, Fetched> {
    return this.#learned;
  }

  /** A download, checked against its checksum. Throws COPY_DOWNLOAD and COPY_CHECKSUM. */
  async file(url: string, checksum: string | undefined): Promise<RemoteFile> {
    const { blobs } = this.#options.store;
    const known = checksum as Digest | undefined;
    if (known?.startsWith('sha256:') === true && blobs.has(known)) {
      const record = this.#options.store.downloads.get(url);
      // Without a record the file's time is not known; only the server can say it.
      if (record?.digest === known) return fileOf(record);
    }
    const fetched = await this.#once(`file ${checksum ?? ''} ${url}`, () => this.#fetchFile(url, checksum));
    if (fetched.kind === 'file') return fetched;
    throw new BuildError('COPY_DOWNLOAD', `${this.#options.redact(url)} is no file`);
  }

  /** The commit a repository's ref stands for, without its files. Throws COPY_GIT and COPY_CHECKSUM. */
  async commit(source: GitRef): Promise<RemoteCheckout> {
    const fetched = await this.#once(gitKey(source), async () => {
      const { commit, ref } = await resolveGit(source, this.#tools(source));
      return { kind: 'checkout', commit, ref };
    });
    if (fetched.kind === 'checkout') return fetched;
    throw new BuildError('COPY_GIT', `${this.#options.redact(source.remote)} is no repository`);
  }

  /** The files of a repository at its ref. Throws COPY_GIT and COPY_CHECKSUM. */
  async checkout(source: GitRef): Promise<Checkout> {
    const { commit, ref } = await this.commit(source);
    const fetched = await this.#once(`files ${gitKey(source)}`, async () => {
      const directory = this.#options.makeDirectory('git');
      const files = await checkoutGit({ source, commit: { commit, ref }, directory }, this.#tools(source));
      return { kind: 'checkout', commit, ref, files };
    });
    if (fetched.kind === 'checkout' && fetched.files !== undefined) return fetched.files;
    throw new BugError(`no files were checked out of ${this.#options.redact(source.remote)}`);
  }

  #tools({ remote }: GitRef): Parameters<typeof resolveGit>[1] {
    const { env, signal, gitLogin, sshOptions } = this.#options;
    return { env, signal, code: 'COPY_GIT', authorization: gitLogin(remote), ssh: sshOptions() };
  }

  async #once(key: string, fetch: () => Promise<Fetched>): Promise<Fetched> {
    const known = this.#learned.get(key);
    if (known !== undefined) return known;
    let running = this.#running.get(key);
    if (running === undefined) {
      running = fetch();
      this.#running.set(key, running);
    }
    const fetched = await running;
    this.#learned.set(key, fetched);
    return fetched;
  }

  async #fetchFile(url: string, checksum: string | undefined): Promise<RemoteFile> {
    const { store, download, signal } = this.#options;
    const record = store.downloads.get(url);
    const usable = record !== undefined && store.blobs.has(record.digest) ? record : undefined;
    const conditions = checksum === undefined && usable !== undefined ? conditionsOf(usable) : undefined;
    const response = await download(url, {
      signal,
      ...(conditions === undefined ? {} : { headers: conditions }),
    });
    if (response.status === 304 && usable !== undefined) {
      response.body.destroy();
      return fileOf(usable);
    }
    if (response.status < 200 || response.status > 299) {
      response.body.destroy();
      throw refused(this.#options.redact(url), response.status);
    }
    const file = await this.#receive(url, { response, checksum });
    const { etag, 'last-modified': modified } = response.headers;
    const { digest, size } = file;
    store.downloads.put(url, { digest, size, etag, lastModified: modified });
    return file;
  }

  async #receive(
    url: string,
    { response, checksum }: { response: Awaited<ReturnType<Download>>; checksum: string | undefined },
  ): Promise<RemoteFile> {
    const { store, signal, makeDirectory, redact } = this.#options;
    const directory = makeDirectory('download');
    const path = `${directory}/file`;
    const algorithm = /^(sha384|sha512):/.exec(checksum ?? '')?.[1];
    const received = await receiveFile(response.body, path, { signal, algorithm }).catch((error: unknown) => {
      signal.throwIfAborted();
      throw new BuildError('COPY_DOWNLOAD', `the download of ${redact(url)} broke off`, {
        suggestions: ['Try again; if it stays so, the server or the network is at fault.'],
        cause: error,
      });
    });
    const { digest, size, other = digest } = received;
    if (checksum !== undefined && checksum !== '' && other !== checksum) {
      rmSync(directory, { recursive: true, force: true });
      throw new BuildError(
        'COPY_CHECKSUM',
        `digest mismatch for ${redact(url)}: ${other} (expected: ${checksum})`,
        {
          suggestions: [
            'The file has changed since the checksum was written down, or is not the one that was meant.',
          ],
        },
      );
    }
    store.blobs.adopt(path, digest);
    return fileOf({ digest, size, lastModified: response.headers['last-modified'] });
  }
}

function fileOf({ digest, size, lastModified: header }: DownloadRecord): RemoteFile {
  return { kind: 'file', digest, size, modified: lastModified(header) };
}

function gitKey({ remote, ref, subdir, checksum, keepGitDir, submodules }: GitRef): string {
  return `git ${JSON.stringify([remote, ref, subdir, checksum, keepGitDir, submodules])}`;
}

function conditionsOf({ etag, lastModified: modified }: DownloadRecord): Record<string, string> | undefined {
  if (etag !== undefined) return { 'if-none-match': etag };
  return modified === undefined ? undefined : { 'if-modified-since': modified };
}

function refused(url: string, status: number): BuildError {
  const hint =
    status === 401 || status === 403
      ? 'The server wants a login, or refuses this one.'
      : status === 404 || status === 410
        ? 'Check the address.'
        : 'Try again later, or ask those who run the server.';
  return new BuildError('COPY_DOWNLOAD', `${url}: invalid response status ${status}`, {
    suggestions: [hint],
  });
}
