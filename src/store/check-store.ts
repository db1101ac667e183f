/**
 * `kiln doctor --store`: every file of the store against what its name or others say of it. What is broken is removed,
 * so that the next build makes it again; what can be made again at once from what is whole, is. Lost is what only a
 * build, a pull or a load can bring back.
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from '../errors.ts';
import {
  type CacheKey,
  type Descriptor,
  type DiffId,
  type Digest,
  hexOf,
  isDigest,
  type KeyPart,
} from '../image/descriptor.ts';
import { scanLayer } from '../layer/scan.ts';
import { loadToc } from '../layer/toc-file.ts';
import { readBytesIfExists, readTextIfExists } from '../system/files.ts';
import { recordsOf } from './cache-entries.ts';
import { damagedContainers } from './check-containers.ts';
import { brokenImagePart, imagesAmong } from './check-image.ts';
import type { Store } from './store.ts';

export interface StoreProblem {
  readonly kind:
    | 'index'
    | 'image'
    | 'blob'
    | 'toc'
    | 'variant'
    | 'snapshot'
    | 'record'
    | 'download'
    | 'files'
    | 'container'
    | 'memory';
  readonly name: string;
  /** What is wrong with it. */
  readonly why: string;
  /** Nothing here can bring it back. */
  readonly lost: boolean;
}

export interface StoreCheck {
  /** How many of each were looked at. */
  readonly checked: Readonly<
    Record<
      'images' | 'blobs' | 'bytes' | 'tocs' | 'variants' | 'snapshots' | 'records' | 'containers',
      number
    >
  >;
  readonly problems: readonly StoreProblem[];
}

export interface CheckOptions {
  /** Only says what is wrong. */
  readonly dryRun: boolean;
  readonly now: Date;
  readonly signal: AbortSignal;
  /** How a record's key is made of its parts. */
  readonly keyOf: (parts: readonly KeyPart[]) => CacheKey;
  /** Whether a memory of file digests is one, line by line. */
  readonly isDigestMemory: (bytes: Buffer) => boolean;
}

/** Checks a store beside whatever else is at work on it, and mends it unless it is a dry run. */
export async function checkStore(store: Store, options: CheckOptions): Promise<StoreCheck> {
  const check = new Check(store, options);
  check.index();
  await check.blobs();
  check.images();
  check.records();
  await check.tocs();
  check.variants();
  check.snapshots();
  check.fileLists();
  check.memories();
  check.containers();
  return check.result();
}

class Check {
  readonly #store: Store;
  readonly #options: CheckOptions;
  readonly #problems: StoreProblem[] = [];
  readonly #checked = {
    images: 0,
    blobs: 0,
    bytes: 0,
    tocs: 0,
    variants: 0,
    snapshots: 0,
    records: 0,
    containers: 0,
  };
  /** Blobs whose bytes are wrong: in a dry run they are still there. */
  readonly #broken = new Set<string>();

  constructor(store: Store, options: CheckOptions) {
    this.#store = store;
    this.#options = options;
  }

  result(): StoreCheck {
    return { checked: this.#checked, problems: this.#problems };
  }

  /** An index that cannot be read: another is made of the images that are there, without their names. */
  index(): void {
    const path = join(this.#store.root, 'index.json');
    try {
      this.#store.names.entries();
      return;
    } catch (error) {
      const why = existsSync(path)
        ? 'it cannot be read; the images in it have lost their names'
        : 'it is missing';
      this.#report({ kind: 'index', name: 'index.json', why, lost: true });
      if (this.#options.dryRun) throw error;
    }
    this.#store.names.rebuild(imagesAmong(this.#store), this.#options.now);
  }

  async blobs(): Promise<void> {
    const directory = join(this.#store.root, 'blobs', 'sha256');
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      const before = statSync(path, { throwIfNoEntry: false });
      const found = await digestOfFile(path, this.#options.signal);
      if (before === undefined || found === undefined) continue; // Pruned meanwhile.
      this.#checked.blobs += 1;
      this.#checked.bytes += before.size;
      if (found === name) continue;
      this.#broken.add(name);
      this.#report({
        kind: 'blob',
        name: `sha256:${name}`,
        why: 'its bytes have another digest',
        lost: false,
      });
      // One that was written again since is another file.
      if (!this.#options.dryRun && statSync(path, { throwIfNoEntry: false })?.ino === before.ino) {
        rmSync(path, { recursive: true, force: true });
      }
    }
  }

  images(): void {
    const { names: index } = this.#store;
    this.#checked.images = index.images().length;
    const whyBroken = (image: Descriptor) => this.#whyImageIsBroken(image);
    for (const { names, descriptor, why } of index.removeBroken(whyBroken, this.#options)) {
      for (const name of names.length === 0 ? [descriptor.digest] : names) {
        this.#report({ kind: 'image', name, why, lost: true });
      }
    }
  }

  records(): void {
    this.#store.names.locked('exclusive', () => {
      for (const { path, record, download } of recordsOf(this.#store)) {
        this.#checked.records += 1;
        const name = path.slice(path.lastIndexOf('/') + 1);
        if (download !== undefined) {
          if (this.#has(download)) continue;
          this.#remove({ kind: 'download', name, why: 'its bytes are missing', lost: false }, path);
          continue;
        }
        const why =
          record === undefined || hexOf(record.key) !== name
            ? 'it cannot be read'
            : this.#options.keyOf(record.parts) !== record.key
              ? 'its parts have another key'
              : this.#whyLayerIsGone(record.layer);
        if (why !== undefined) this.#remove({ kind: 'record', name, why, lost: true }, path);
      }
    });
  }

  /** Tables of contents: made again where the layer's tar is here, else removed. */
  async tocs(): Promise<void> {
    for (const { name, path, diffId } of this.#layerFiles('toc')) {
      this.#checked.tocs += 1;
      const why = this.#whyTocIsWrong(path, diffId);
      if (why === undefined) continue;
      if (!this.#has(diffId)) this.#remove({ kind: 'toc', name, why, lost: false }, path);
      else {
        this.#report({ kind: 'toc', name, why: `${why}; made again`, lost: false });
        if (!this.#options.dryRun) await this.#scan(diffId);
      }
    }
  }

  variants(): void {
    for (const { name, path, diffId, settings } of this.#layerFiles('variant')) {
      this.#checked.variants += 1;
      const blob = this.#store.layers.variant(diffId, settings);
      const why =
        blob === undefined
          ? 'it cannot be read'
          : this.#has(blob.digest, blob.size)
            ? undefined
            : `blob ${blob.digest} is missing`;
      if (why !== undefined) this.#remove({ kind: 'variant', name, why, lost: false }, path);
    }
  }

  snapshots(): void {
    const chains = join(this.#store.root, 'chains');
    this.#store.names.locked('exclusive', () => {
      for (const chain of readdirSync(chains)) {
        this.#checked.snapshots += 1;
        const id: Digest = `sha256:${chain}`;
        if (this.#store.layers.peekSnapshot(id) !== undefined) continue;
        const why = 'it names no snapshot';
        this.#remove({ kind: 'snapshot', name: chain, why, lost: false }, join(chains, chain));
      }
    });
  }

  fileLists(): void {
    const directory = join(this.#store.root, 'cache', 'trees');
    if (!existsSync(directory)) return;
    for (const name of readdirSync(directory)) {
      if (this.#store.fileLists.get(`sha256:${name}`) !== undefined) continue;
      const path = join(directory, name);
      if (existsSync(path))
        this.#remove({ kind: 'files', name, why: 'its bytes have another digest', lost: false }, path);
    }
  }

  /** What the store remembers to save work; without it, the work is done again. */
  memories(): void {
    const cache = join(this.#store.root, 'cache');
    const readText = (path: string): string => readTextIfExists(path) ?? '';
    for (const name of readdirSync(cache)) {
      const path = join(cache, name);
      const intact =
        name === 'directory-sizes'
          ? isJsonObject(readText(path))
          : !name.startsWith('files-') ||
            this.#options.isDigestMemory(readBytesIfExists(path) ?? Buffer.alloc(0));
      if (!intact && existsSync(path)) {
        this.#remove({ kind: 'memory', name, why: 'it cannot be read', lost: false }, path);
      }
    }
    const shapes = join(cache, 'shapes');
    for (const name of existsSync(shapes) ? readdirSync(shapes) : []) {
      const path = join(shapes, name);
      const intact = isDigest(`sha256:${name}`) && readText(path).split('\n').every(isDigest);
      if (!intact && existsSync(path)) {
        this.#remove({ kind: 'memory', name, why: 'it names no records', lost: false }, path);
      }
    }
  }

  containers(): void {
    const whyImageBroken = (image: Descriptor) => this.#whyImageIsBroken(image);
    const { checked, damaged } = damagedContainers(this.#store, { ...this.#options, whyImageBroken });
    this.#checked.containers = checked;
    for (const { name, why } of damaged) this.#report({ kind: 'container', name, why, lost: true });
  }

  #whyImageIsBroken(descriptor: Descriptor): string | undefined {
    return brokenImagePart(this.#store, descriptor, ({ digest, size }) => this.#has(digest, size));
  }

  /** True for a blob that is here and was not found broken. */
  #has(digest: Digest, size?: number): boolean {
    const found = this.#store.blobs.size(digest);
    return found !== undefined && (size === undefined || found === size) && !this.#broken.has(hexOf(digest));
  }

  #whyLayerIsGone(layer: {
    diffId: DiffId;
    tarSize: number;
    blob?: Descriptor | undefined;
  }): string | undefined {
    if (this.#has(layer.diffId, layer.tarSize)) return undefined;
    if (layer.blob !== undefined && this.#has(layer.blob.digest, layer.blob.size)) return undefined;
    return `layer ${layer.diffId} is missing or damaged`;
  }

  #whyTocIsWrong(path: string, diffId: DiffId): string | undefined {
    try {
      const { tarSize } = loadToc(path, diffId);
      const size = this.#store.blobs.size(diffId);
      return size === undefined || size === tarSize || !this.#has(diffId)
        ? undefined
        : 'it is of a tar of another size';
    } catch {
      return existsSync(path) ? 'it is damaged, or of an older format' : undefined;
    }
  }

  async #scan(diffId: DiffId): Promise<void> {
    const { blobs, layers } = this.#store;
    const session = this.#store.openSession();
    try {
      const toc = session.draft('layer.toc');
      await scanLayer({ blob: blobs.path(diffId), compression: 'uncompressed', diffId, tar: undefined, toc });
      layers.adoptToc(toc, diffId);
    } finally {
      session.close();
    }
  }

  /** Files of layers/: tables of contents, or known compressed forms. */
  #layerFiles(
    kind: 'toc' | 'variant',
  ): { readonly name: string; readonly path: string; readonly diffId: DiffId; readonly settings: string }[] {
    const directory = join(this.#store.root, 'layers');
    return readdirSync(directory).flatMap((name) => {
      const [hex = '', settings = ''] = [name.slice(0, 64), name.slice(65)];
      if ((settings === 'toc') !== (kind === 'toc')) return [];
      return [{ name, path: join(directory, name), diffId: `sha256:${hex}` as Digest, settings }];
    });
  }

  #remove(problem: StoreProblem, path: string): void {
    this.#report(problem);
    if (!this.#options.dryRun) rmSync(path, { force: true });
  }

  #report(problem: StoreProblem): void {
    this.#problems.push(problem);
  }
}

function isJsonObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}

/** Hex digits of a file's SHA-256; "" for what is no file, undefined for one that is gone. */
async function digestOfFile(path: string, signal: AbortSignal): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
      signal.throwIfAborted();
      hash.update(chunk as Buffer);
    }
    return hash.digest('hex');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    if (systemErrorCode(error) === 'EISDIR') return '';
    throw error;
  }
}
