/**
 * The local store: an OCI image layout (image-layout.md) that any OCI tool can read, plus what kiln keeps beside it.
 *
 *   oci-layout, index.json, blobs/sha256/…   the layout
 *   layers/      tables of contents and known compressed forms of layers, by DiffID
 *   snapshots/   unpacked layers (overlay upper directories); chains/ names them by ChainID
 *   cache/       cache records, and in trees/ the lists of files that they name; mounts/ holds cache mounts
 *   containers/  containers of `kiln run`: a record, the changes, and a lock held while one runs (container-store.ts)
 *   tmp/         work in progress; one locked directory a process
 *
 * Everything is written under tmp/ and renamed, so a reader never sees half a file and a crash loses only what was
 * in flight. Only index.json is shared state that changes; it is changed under a lock.
 */
import { closeSync, existsSync, openSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.ts';
import { lockFile } from '../system/file-calls.ts';
import { diskError, makeDirectories, randomName, removeTree, writeFileAtomic } from '../system/files.ts';
import { BlobStore } from './blob-store.ts';
import { ContainerStore } from './container-store.ts';
import { DownloadStore } from './download-store.ts';
import { FileLists } from './file-lists.ts';
import { LayerStore } from './layer-store.ts';
import { NameStore } from './name-store.ts';
import { RecordStore } from './record-store.ts';
import { StepShapes } from './step-shapes.ts';

const LAYOUT = '{"imageLayoutVersion":"1.0.0"}';

const FOLDERS = ['blobs', 'blobs/sha256', 'layers', 'snapshots', 'chains', 'cache', 'mounts', 'tmp'];

/** Files in tmp/ that belong to no session are drafts of a crashed process once they are this old. */
const DRAFT_AGE_MS = 3_600_000;

export class Store {
  readonly root: string;
  readonly blobs: BlobStore;
  readonly names: NameStore;
  readonly layers: LayerStore;
  readonly records: RecordStore;
  readonly downloads: DownloadStore;
  readonly fileLists: FileLists;
  readonly shapes: StepShapes;
  readonly containers: ContainerStore;

  private constructor(root: string) {
    this.root = root;
    this.blobs = new BlobStore(root);
    this.names = new NameStore(root);
    this.layers = new LayerStore(root);
    this.records = new RecordStore(root);
    this.downloads = new DownloadStore(root);
    this.fileLists = new FileLists(root);
    this.shapes = new StepShapes(root);
    this.containers = new ContainerStore(root, this.names);
  }

  /**
   * Opens the store at `root`, making it, or folders of it that somebody has removed, if needed. Throws
   * STORE_NOT_WRITABLE or STORE_DISK_FULL.
   */
  static open(root: string): Store {
    try {
      const parts = [...FOLDERS, 'index.json', 'oci-layout'];
      if (!parts.every((part) => existsSync(join(root, part)))) Store.#create(root);
    } catch (error) {
      throw diskError(error, root);
    }
    return new Store(root);
  }

  static #create(root: string): void {
    makeDirectories(root, 0o700);
    for (const folder of FOLDERS) makeDirectories(join(root, folder));
    const temporary = join(root, 'tmp');
    if (statSync(join(root, 'index.json'), { throwIfNoEntry: false }) === undefined) {
      const empty = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: [] };
      // Another process may be making the same store, and may have named an image by now: the first index stays.
      writeFileAtomic(join(root, 'index.json'), JSON.stringify(empty), { temporary, keepExisting: true });
    }
    writeFileAtomic(join(root, 'oci-layout'), LAYOUT, { temporary });
  }

  get temporary(): string {
    return join(this.root, 'tmp');
  }

  /** A directory of this process's own under tmp/, locked for as long as the process lives. */
  openSession(): Session {
    const directory = join(this.temporary, `session-${randomName()}`);
    // Garbage is collected under the same lock: it sees every session, or none of what the session will use is gone.
    return this.names.locked('shared', () => {
      try {
        makeDirectories(directory, 0o700);
      } catch (error) {
        throw diskError(error, directory);
      }
      const fd = openSync(directory, 'r');
      lockFile(fd, 'exclusive', true);
      return new Session(directory, fd);
    });
  }

  /** True for an entry of tmp/ that belongs to a living process, or may. */
  inUse(path: string, now: number): boolean {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return true;
    return stat.isDirectory() ? isLocked(path) : now - stat.mtimeMs <= DRAFT_AGE_MS;
  }

  /** When the oldest session of a living process began, in milliseconds; undefined when there is none. */
  oldestSession({ except }: { readonly except?: Session | undefined } = {}): number | undefined {
    const began = readdirSync(this.temporary).flatMap((name) => {
      const path = join(this.temporary, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat?.isDirectory() !== true || path === except?.directory || !isLocked(path)) return [];
      // Where the filesystem keeps no birth time it is 0: then everything is younger, and kept.
      return [Math.min(stat.birthtimeMs, stat.mtimeMs)];
    });
    return began.length === 0 ? undefined : Math.min(...began);
  }

  /**
   * Removes what crashed processes left in tmp/. Directories of living processes are locked and stay.
   * Call inside the namespace: leftovers may belong to many owners.
   */
  sweepTemporary(now: number): void {
    // No session opens meanwhile: one that is made but not locked yet would look dead.
    this.names.locked('exclusive', () => {
      for (const name of readdirSync(this.temporary)) {
        const path = join(this.temporary, name);
        if (!this.inUse(path, now)) removeTree(path);
      }
    });
  }
}

/** One process's scratch space in the store. */
export class Session {
  readonly directory: string;
  readonly #fd: number;
  #count = 0;

  constructor(directory: string, fd: number) {
    this.directory = directory;
    this.#fd = fd;
  }

  /** Makes an empty directory in the session, named so that people can tell what it was for. */
  makeDirectory(purpose: string): string {
    this.#count += 1;
    const path = join(this.directory, `${this.#count}-${purpose}`);
    makeDirectories(path, 0o755);
    return path;
  }

  /** Path for a new file in the session. */
  draft(purpose: string): string {
    this.#count += 1;
    return join(this.directory, `${this.#count}-${purpose}`);
  }

  /** Removes the session and all in it. */
  close(): void {
    removeTree(this.directory);
    closeSync(this.#fd);
  }
}

function isLocked(directory: string): boolean {
  let fd: number;
  try {
    fd = openSync(directory, 'r');
  } catch (error) {
    // Gone meanwhile, or of another owner: then it is not known to be dead.
    return systemErrorCode(error) !== 'ENOENT';
  }
  try {
    return !lockFile(fd, 'shared', false);
  } finally {
    closeSync(fd);
  }
}
