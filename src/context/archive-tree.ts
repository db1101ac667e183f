/** An uncompressed tar as a file tree, read in place: a context that came as an archive, with the owners it says. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { BuildError } from '../errors.ts';
import type { Digest } from '../image/descriptor.ts';
import { readArchive } from '../layer/archive.ts';
import type { Entry } from '../layer/entry.ts';
import type { FileContent, FileTree } from '../layer/file-tree.ts';
import { toFsPath, toText } from '../system/byte-path.ts';
import type { FileRange } from './plain-tar.ts';

interface Node {
  readonly entry: Entry;
  readonly content: FileContent;
  /** Path of the member that holds the bytes, when this is another name of it. */
  readonly identity?: string;
}

const NO_BYTES: FileContent = { kind: 'bytes', bytes: Buffer.alloc(0) };
const ROOT: Entry = { path: '', type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: 0, size: 0 };

export class ArchiveTree implements FileTree {
  readonly origin = 'source';
  readonly #nodes = new Map<string, Node>();
  readonly #names = new Map<string, Set<string>>();
  readonly #digests = new Map<string, Digest>();

  /** Reads the archive's members once. Throws LAYER_* for a damaged archive or a name that leads out of it. */
  constructor(archive: FileRange) {
    this.#set('', { entry: ROOT, content: NO_BYTES });
    for (const { entry, content = NO_BYTES } of readArchive(archive)) {
      if (entry.path !== '') this.#add(entry, content);
      else if (entry.type === 'directory') this.#set('', { entry, content: NO_BYTES });
    }
  }

  lstat(path: string): Entry | undefined {
    return this.#nodes.get(path)?.entry;
  }

  list(path: string): readonly string[] {
    return [...(this.#names.get(path) ?? [])].sort();
  }

  content(path: string): FileContent {
    return this.#nodes.get(path)?.content ?? NO_BYTES;
  }

  digest(path: string): Digest {
    let digest = this.#digests.get(path);
    if (digest === undefined) {
      digest = digestContent(this.content(path));
      this.#digests.set(path, digest);
    }
    return digest;
  }

  linkIdentity(path: string): string | undefined {
    return this.#nodes.get(path)?.identity;
  }

  #add(entry: Entry, content: FileContent): void {
    this.#remove(entry.path, entry.type === 'directory');
    if (entry.type !== 'hardlink') {
      this.#set(entry.path, { entry, content });
      return;
    }
    const target = this.#nodes.get(entry.linkTarget ?? '');
    if (target === undefined) {
      throw new BuildError(
        'CONTEXT_ARCHIVE',
        `the hard link ${toText(entry.path)} in the archive names ${toText(entry.linkTarget ?? '')}, which is not before it`,
        { suggestions: ['The archive is damaged: make it again.'] },
      );
    }
    const identity = target.identity ?? target.entry.path;
    this.#set(target.entry.path, { ...target, identity });
    this.#set(entry.path, { ...target, identity, entry: { ...target.entry, path: entry.path } });
  }

  #set(path: string, node: Node): void {
    this.#nodes.set(path, node);
    if (path === '') return;
    const slash = path.lastIndexOf('/');
    const parent = slash < 0 ? '' : path.slice(0, slash);
    // Archives may leave directories out; they are then as tar would make them.
    if (this.#nodes.get(parent)?.entry.type !== 'directory') {
      this.#remove(parent, true);
      this.#set(parent, { entry: { ...ROOT, path: parent }, content: NO_BYTES });
    }
    const names = this.#names.get(parent) ?? new Set<string>();
    this.#names.set(parent, names.add(path.slice(slash + 1)));
  }

  /** A later member takes the place of an earlier one; a directory over a directory keeps what is below. */
  #remove(path: string, forDirectory: boolean): void {
    const existing = this.#nodes.get(path);
    if (existing?.entry.type !== 'directory' || forDirectory) return;
    for (const name of this.#names.get(path) ?? []) {
      this.#remove(`${path}/${name}`, false);
      this.#nodes.delete(`${path}/${name}`);
    }
    this.#names.delete(path);
  }
}

const CHUNK = 1 << 20;

function digestContent(content: FileContent): Digest {
  const hash = createHash('sha256');
  if (content.kind === 'bytes') hash.update(content.bytes);
  else if (content.kind === 'range') hashRange(hash, content);
  return `sha256:${hash.digest('hex')}`;
}

function hashRange(
  hash: ReturnType<typeof createHash>,
  { path, offset, size }: Extract<FileContent, { kind: 'range' }>,
): void {
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, size));
  const fd = openSync(toFsPath(path), 'r');
  try {
    for (let done = 0; done < size; ) {
      const count = readSync(fd, buffer, 0, Math.min(buffer.length, size - done), offset + done);
      if (count === 0) break;
      hash.update(buffer.subarray(0, count));
      done += count;
    }
  } finally {
    closeSync(fd);
  }
}
