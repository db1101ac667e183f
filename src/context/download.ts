/** A download as a file: streamed, digested on the way. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Digest } from '../image/descriptor.ts';

/** An answer to a GET, whatever its status. */
export interface DownloadResponse {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Readable;
}

/** GET of an address with this machine's proxies, certificates and retries; given by the caller, who has the network. */
export type Download = (
  url: string,
  request: { readonly headers?: Readonly<Record<string, string>>; readonly signal: AbortSignal },
) => Promise<DownloadResponse>;

/** What a download gave. */
export interface ReceivedFile {
  readonly digest: Digest;
  readonly size: number;
  /** Of another algorithm, when one was asked for: "sha512:…". */
  readonly other?: string;
}

/** Writes a body to a new file. `algorithm` is a second one to digest with. */
export async function receiveFile(
  body: Readable,
  path: string,
  options: {
    readonly signal: AbortSignal;
    readonly algorithm?: string | undefined;
    readonly onBytes?: (total: number) => void;
  },
): Promise<ReceivedFile> {
  const { signal, algorithm, onBytes } = options;
  const hash = createHash('sha256');
  const other = algorithm === undefined ? undefined : createHash(algorithm);
  let size = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      other?.update(chunk);
      size += chunk.length;
      onBytes?.(size);
      done(null, chunk);
    },
  });
  await pipeline(body, meter, createWriteStream(path, { flags: 'wx' }), { signal });
  return {
    digest: `sha256:${hash.digest('hex')}`,
    size,
    ...(other === undefined ? {} : { other: `${algorithm}:${other.digest('hex')}` }),
  };
}

/** The time of a Last-Modified header in whole seconds since 1970; undefined without one, or with one that is no time. */
export function lastModified(header: string | undefined): number | undefined {
  const time = header === undefined ? Number.NaN : Date.parse(header);
  return Number.isNaN(time) ? undefined : Math.floor(time / 1000);
}
