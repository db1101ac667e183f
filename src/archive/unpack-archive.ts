/**
 * An archive of images (docker save, or an OCI layout as a tar), read once as a stream: every file goes to a draft of
 * its own in the store's session, digested on the way. Names in the archive never become names on the disk.
 */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { BuildError } from '../errors.ts';
import { type Digest, isDigest } from '../image/descriptor.ts';
import { MANIFEST_LIMITS } from '../image/manifest.ts';
import { isTarHeader } from '../layer/archive.ts';
import { isDecompressionError, uncompressed } from '../layer/decompress.ts';
import { archiveEntry } from '../layer/layer-entry.ts';
import { TarReader } from '../layer/tar-reader.ts';
import { diskError } from '../system/files.ts';

/** A file of the archive. */
export interface ArchiveFile {
  /** Where its bytes are. */
  readonly path: string;
  readonly size: number;
  readonly digest: Digest;
}

/** More members than any real archive has; each would cost a file. */
const MAX_MEMBERS = 100_000;

/** Manifests and configs are held in memory. */
const MAX_DOCUMENT_BYTES = 128 << 20;

/** As docker save of old wrote them: a layer that is there already is a symlink to it. */
const MAX_LINKS = 8;

/** The error for an archive that cannot be loaded. */
export function invalidArchive(why: string, cause?: unknown): BuildError {
  return new BuildError('IMAGE_INVALID_ARCHIVE', `this archive cannot be loaded: ${why}`, {
    suggestions: ['It must be what kiln save or docker save wrote, or an OCI image layout as a tar.'],
    cause,
  });
}

export class ImageArchive {
  readonly #files = new Map<string, ArchiveFile>();
  readonly #links = new Map<string, string>();
  #documentBytes = 0;

  /**
   * Reads a tar, plain or compressed by gzip, zstd, xz or bzip2. Drafts are left in `directory`, which is the caller's
   * to remove. Throws IMAGE_INVALID_ARCHIVE, LAYER_UNSAFE_PATH, LAYER_CORRUPT, LAYER_TRUNCATED, STORE_DISK_FULL.
   */
  static async read(source: Readable, directory: string, signal: AbortSignal): Promise<ImageArchive> {
    const archive = new ImageArchive();
    let draft: Draft | undefined;
    let count = 0;
    const reader = new TarReader({
      member: (member) => {
        count += 1;
        if (count > MAX_MEMBERS) throw invalidArchive(`it has more than ${MAX_MEMBERS} members`);
        const { path, type, linkTarget } = archiveEntry(member);
        if (type === 'file') draft = new Draft(path, join(directory, `member-${count}`));
        else if (type === 'symlink') archive.#links.set(path, joined(path, linkTarget ?? ''));
        else if (type === 'hardlink') archive.#links.set(path, linkTarget ?? '');
        else if (type !== 'directory') throw invalidArchive(`${path} is a ${type}`);
      },
      data: (chunk) => draft?.write(chunk),
      end: () => {
        const done = draft;
        draft = undefined;
        if (done !== undefined) archive.#add(done.name, done.finish());
      },
    });
    try {
      const { head, stream } = await uncompressed(source);
      if (!isTarHeader(head)) throw invalidArchive('it is no tar archive');
      for await (const chunk of stream) {
        signal.throwIfAborted();
        reader.write(chunk as Buffer);
      }
      reader.finish();
      return archive;
    } catch (error) {
      draft?.abandon();
      if (isDecompressionError(error))
        throw invalidArchive('its compression is damaged, or it ends early', error);
      throw diskError(error, join(directory, 'member'));
    } finally {
      source.destroy();
    }
  }

  has(name: string): boolean {
    return this.#files.has(this.#resolve(name));
  }

  /** A file by its name in the archive; symlinks and hard links are followed, within the archive. */
  file(name: string): ArchiveFile {
    const file = this.#files.get(this.#resolve(name));
    if (file === undefined) throw invalidArchive(`it lacks ${name}`);
    return file;
  }

  /** The blob of a digest in an OCI layout. */
  blob(digest: Digest): ArchiveFile {
    return this.file(blobName(digest));
  }

  hasBlob(digest: Digest): boolean {
    return this.has(blobName(digest));
  }

  /** A small document. Throws IMAGE_INVALID_ARCHIVE for one of more than 16 MiB, and when all have more than 128 MiB. */
  document(file: ArchiveFile): Buffer {
    if (file.size > MANIFEST_LIMITS.bytes) throw invalidArchive(`a document of it has ${file.size} bytes`);
    this.#documentBytes += file.size;
    if (this.#documentBytes > MAX_DOCUMENT_BYTES)
      throw invalidArchive('its manifests and configs are too large');
    return readFileSync(file.path);
  }

  #add(name: string, file: ArchiveFile): void {
    const promised = /^blobs\/sha256\/(.*)$/.exec(name)?.[1];
    if (promised !== undefined && file.digest !== `sha256:${promised}`) {
      throw invalidArchive(`the bytes of ${name} have the digest ${file.digest}`);
    }
    this.#links.delete(name);
    this.#files.set(name, file);
  }

  #resolve(name: string): string {
    let path = name.replace(/^(?:\.\/)+/, '');
    for (let followed = 0; followed < MAX_LINKS; followed++) {
      const target = this.#links.get(path);
      if (target === undefined) return path;
      path = target;
    }
    throw invalidArchive(`${name} is a link in a circle`);
  }
}

function blobName(digest: Digest): string {
  if (!isDigest(digest)) throw invalidArchive('a digest of it is none');
  return `blobs/${digest.replace(':', '/')}`;
}

/** The target of a symlink as a path of the archive; one that leaves the archive leads to nothing. */
function joined(path: string, target: string): string {
  const parts = target.startsWith('/') ? [] : path.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) throw invalidArchive(`the link ${path} leads out of it`);
  }
  return parts.join('/');
}

/** A member on its way to the disk. */
class Draft {
  readonly name: string;
  readonly #path: string;
  readonly #fd: number;
  readonly #hash: Hash = createHash('sha256');
  #size = 0;

  constructor(name: string, path: string) {
    this.name = name;
    this.#path = path;
    this.#fd = openSync(path, 'wx', 0o644);
  }

  write(chunk: Buffer): void {
    this.#hash.update(chunk);
    for (let at = 0; at < chunk.length; ) at += writeSync(this.#fd, chunk, at);
    this.#size += chunk.length;
  }

  finish(): ArchiveFile {
    closeSync(this.#fd);
    return { path: this.#path, size: this.#size, digest: `sha256:${this.#hash.digest('hex')}` };
  }

  abandon(): void {
    closeSync(this.#fd);
  }
}
