/** Files and addresses that a command reads from, as streams. */
import { once } from 'node:events';
import { createReadStream, statSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { Download } from '../context/download.ts';
import { BuildError, messageOf } from '../errors.ts';

/** Opens a file. Throws USAGE_INPUT when it cannot be read. */
export async function openInput(path: string): Promise<Readable> {
  try {
    if (statSync(path).isDirectory()) throw new Error('it is a directory');
    const stream = createReadStream(path, { highWaterMark: 1 << 20 });
    await once(stream, 'ready');
    return stream;
  } catch (error) {
    throw new BuildError('USAGE_INPUT', `cannot read ${path}: ${messageOf(error)}`, {
      suggestions: ['Name a file that you can read.'],
    });
  }
}

/** Begins a download. Throws USAGE_INPUT for an answer that is no success, REGISTRY_* for a network that fails. */
export async function openAddress(url: string, download: Download, signal: AbortSignal): Promise<Readable> {
  const { status, body } = await download(url, { signal });
  if (status >= 200 && status < 300) return body;
  body.destroy();
  const { host, pathname } = new URL(url);
  throw new BuildError('USAGE_INPUT', `${host}${pathname} answered ${status}`, {
    suggestions: ['Check the address.'],
  });
}
