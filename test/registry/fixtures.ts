/** What the registry tests share: a client with its own home directory, and small real images. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { BuildError } from '../../src/errors.ts';
import { type Descriptor, digestOf, MEDIA_TYPE } from '../../src/image/descriptor.ts';
import { encodeDocument, makeManifest } from '../../src/image/manifest.ts';
import type { RegistryRepository } from '../../src/registry/client.ts';
import { createRegistry, type Registry, type RegistryOptions } from '../../src/registry/registry.ts';
import type { BlobUpload } from '../../src/store/content-store.ts';
import { requireProgram } from './registry-server.ts';

export interface TestClient {
  readonly registry: Registry;
  /** Its home directory. */
  readonly home: string;
  /** Milliseconds it was told to sleep, in order; it did not really. */
  readonly sleeps: number[];
  repository(host: string, name: string): Promise<RegistryRepository>;
  /** Writes a file below its home. */
  write(path: string, content: string): string;
  /** Writes its ~/.docker/config.json. */
  login(json: unknown): string;
  close(): Promise<void>;
}

/** A client of its own: empty home, empty environment, waits that are recorded instead of waited for. */
export function makeClient(options: Partial<RegistryOptions> = {}): TestClient {
  const home = mkdtempSync(join(tmpdir(), 'kiln-home-'));
  const sleeps: number[] = [];
  const write = (path: string, content: string) => {
    mkdirSync(dirname(join(home, path)), { recursive: true });
    writeFileSync(join(home, path), content);
    return join(home, path);
  };
  // Without a file of its own the machine's configuration would take part in the tests.
  write('.config/containers/registries.conf', '');
  const registry = createRegistry({
    env: {},
    home,
    userAgent: 'kiln-test/1',
    runHelper: () => Promise.reject(new Error('no helper expected')),
    clock: {
      now: () => Date.now(),
      sleep: async (milliseconds, signal) => {
        signal?.throwIfAborted();
        sleeps.push(milliseconds);
        await new Promise((resolve) => setTimeout(resolve, 5));
      },
      random: () => 0.5,
    },
    ...options,
  });
  return {
    registry,
    home,
    sleeps,
    repository: (host, name) => registry.repository({ registry: host, repository: name }),
    write,
    login: (json) => write('.docker/config.json', JSON.stringify(json)),
    close: async () => {
      await registry.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** An `auths` entry. */
export function basicEntry(username: string, password: string): { auth: string } {
  return { auth: Buffer.from(`${username}:${password}`).toString('base64') };
}

/** A blob in memory; `opens` counts how often and from where it was read. */
export function memoryBlob(
  content: Buffer,
  mediaType: string = MEDIA_TYPE.ociLayerGzip,
): BlobUpload & { opens: number[] } {
  const opens: number[] = [];
  return {
    descriptor: { mediaType, digest: digestOf(content), size: content.length },
    opens,
    open: (offset) => {
      opens.push(offset);
      return Readable.from(slices(content.subarray(offset)), { objectMode: false });
    },
  };
}

function* slices(content: Buffer): Generator<Buffer> {
  for (let start = 0; start < content.length; start += 64 * 1024)
    yield content.subarray(start, start + 64 * 1024);
}

/** Bytes nobody has seen before, so that no blob is there already. */
export function freshBytes(size: number): Buffer {
  return randomBytes(size);
}

export interface TestImage {
  readonly manifest: Descriptor;
  readonly content: Buffer;
  readonly config: BlobUpload;
  readonly layers: readonly BlobUpload[];
}

/** An image that tools can read: a config and one gzip layer with a random file in it. */
export function makeImage(format: 'oci' | 'docker' = 'oci'): TestImage {
  const tar = tarOf('hello', freshBytes(2000));
  const layer = memoryBlob(
    gzipSync(tar),
    format === 'oci' ? MEDIA_TYPE.ociLayerGzip : MEDIA_TYPE.dockerLayerGzip,
  );
  const json = {
    architecture: 'amd64',
    os: 'linux',
    created: '2020-01-01T00:00:00Z',
    config: { Cmd: ['/hello'] },
    rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
    history: [{ created: '2020-01-01T00:00:00Z', created_by: 'test' }],
  };
  const config = memoryBlob(Buffer.from(JSON.stringify(json)), MEDIA_TYPE.ociConfig);
  const manifest = makeManifest({ config: config.descriptor, layers: [layer.descriptor] }, format);
  const { descriptor, content } = encodeDocument(manifest);
  return { manifest: descriptor, content, config, layers: [layer] };
}

/** A tar of one file (POSIX ustar). */
function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000644\0' + '0000000\0' + '0000000\0', 100);
  header.write(`${content.length.toString(8).padStart(11, '0')}\0${'0'.padStart(11, '0')}\0        0`, 124);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)]);
}

/** Pushes all of an image under a tag. */
export async function pushImage(
  repository: RegistryRepository,
  image: TestImage,
  tag: string,
): Promise<void> {
  await Promise.all([image.config, ...image.layers].map((blob) => repository.pushBlob(blob)));
  await repository.pushManifest(image.manifest, image.content, tag);
}

/** Reads a stream to its end. */
export async function bytesOf(stream: Readable): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

/** The BuildError a promise rejects with; fails when it resolves or rejects with something else. */
export async function buildErrorOf(promise: Promise<unknown>): Promise<BuildError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof BuildError) return error;
    throw error;
  }
  throw new Error('expected a rejection, got a result');
}

/** Everything an error tells the reader. */
export function textOf(error: BuildError): string {
  return [error.code, error.message, ...error.suggestions, ...error.output].join('\n');
}

/** Runs skopeo; its output as text. */
export async function skopeo(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(requireProgram('skopeo'), args, {
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}

/** A repository nobody has used. */
export function randomName(): string {
  return `team/app-${randomBytes(4).toString('hex')}`;
}
