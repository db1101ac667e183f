/**
 * Layers on demand: the table of contents, the tar, or the directory of a layer, made when something first needs it and
 * shared by everything after. The only part of the solver that moves layer bytes.
 */
import { existsSync } from 'node:fs';
import { BugError, BuildError } from '../errors.ts';
import { type ChainId, chainId, compressionOf, type Descriptor, type DiffId } from '../image/descriptor.ts';
import { type LayerFiles, mayBecome } from '../layer/compare-layers.ts';
import { emptyTree } from '../layer/empty-tree.ts';
import type { LayerToc } from '../layer/entry.ts';
import type { FileTree } from '../layer/file-tree.ts';
import type { LayerPool } from '../layer/layer-pool.ts';
import type { LayerTimes } from '../layer/layer-times.ts';
import { LayeredTree, type TreeLayer } from '../layer/layered-tree.ts';
import type { PackItem } from '../layer/pack-tree.ts';
import { loadToc } from '../layer/toc-file.ts';
import type { Session, Store } from '../store/store.ts';
import { layerFailure } from './cached-layer-error.ts';
import type { ImageLayer } from './image-resolver.ts';
import { LayerPacking, type PackingOptions } from './layer-packing.ts';
import type { LayerUse } from './layer-use.ts';
import { chainsOf, type SettledLayer, type StepLayer, settle } from './step-layer.ts';
import type { StepReporter } from './step-reporter.ts';

export interface LayerAccessOptions extends Omit<PackingOptions, 'directory'> {
  readonly store: Store;
  readonly pool: LayerPool;
  readonly signal: AbortSignal;
}

export class LayerAccess {
  /** How layers are made. */
  readonly packing: LayerPacking;
  readonly #options: LayerAccessOptions;
  readonly #tars = new Map<DiffId, Promise<void>>();
  readonly #tocs = new Map<DiffId, LayerToc>();
  readonly #directories = new Map<ChainId, Promise<string>>();
  readonly #compared = new Map<string, Promise<boolean>>();
  readonly #trees = new WeakMap<readonly StepLayer[], Promise<LayeredTree>>();
  /** Blobs on their way into the store. */
  readonly #receiving = new Set<Promise<void>>();
  /** Aborted when nothing is wanted any more. */
  readonly #over = new AbortController();
  #session: Session | undefined;
  #closed = false;

  constructor(options: LayerAccessOptions) {
    this.#options = options;
    this.packing = new LayerPacking({
      ...options,
      directory: (purpose) => this.session.makeDirectory(purpose),
    });
  }

  /** This process's scratch space, opened on first use. */
  get session(): Session {
    if (this.#closed) throw new BugError('the scratch space is gone');
    this.#session ??= this.#options.store.openSession();
    return this.#session;
  }

  /** Opens the scratch space: no prune beside takes what is looked at from now on. */
  hold(): Session {
    return this.session;
  }

  /** Gives up blobs that are still being fetched, and removes the scratch space. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#over.abort();
    await Promise.allSettled(this.#receiving);
    this.#session?.close();
    this.#session = undefined;
  }

  /** A layer that kiln has packed, with the times of this build's epoch. Throws as `ensureTar` does. */
  async retime(
    layer: SettledLayer,
    { times, use }: { times: LayerTimes; use: LayerUse },
  ): Promise<SettledLayer> {
    const { diffId, created } = layer;
    for (let again = false; ; again = true) {
      await this.ensureTar(layer);
      try {
        return await this.packing.retime(this.#files(diffId), { times, created, use });
      } catch (error) {
        if (again || !isDamagedToc(error)) throw error;
        this.#options.store.layers.dropToc(diffId);
        this.#tars.delete(diffId);
      }
    }
  }

  /** Files of a tree as a directory that lasts as long as this process. */
  async layOut(items: readonly PackItem[]): Promise<string> {
    const directory = this.session.makeDirectory('files');
    await this.#options.pool.run('layOut', { items, directory }, this.#options.signal);
    return directory;
  }

  /** The stack as one tree. With `contents`, bytes of all files can be read as well; see also `ensureBytes`. */
  async tree(layers: readonly StepLayer[], { contents }: { contents: boolean }): Promise<FileTree> {
    if (layers.length === 0) return emptyTree;
    if (contents) await Promise.all((await settle(layers)).map((layer) => this.ensureTar(layer)));
    return this.#layeredTree(layers);
  }

  #layeredTree(layers: readonly StepLayer[]): Promise<LayeredTree> {
    let tree = this.#trees.get(layers);
    if (tree === undefined) {
      tree = settle(layers).then(async (settled) => {
        return new LayeredTree(await Promise.all(settled.map((layer) => this.#treeLayer(layer))));
      });
      this.#trees.set(layers, tree);
    }
    return tree;
  }

  /** Makes sure that bytes of these files of a stack's tree can be read: tars of layers with none stay as they came. */
  async ensureBytes(layers: readonly StepLayer[], paths: Iterable<string>): Promise<void> {
    if (layers.length === 0) return;
    const settled = await settle(layers);
    const tree = await this.#layeredTree(layers);
    const needed = new Set<number>();
    for (const path of paths) {
      const number = tree.layerOf(path);
      if (number !== undefined) needed.add(number);
    }
    await Promise.all(
      settled.map((layer, number) => (needed.has(number) ? this.ensureTar(layer) : undefined)),
    );
  }

  /** Directories of the stack, topmost first, unpacked where they are not yet. */
  async directories(layers: readonly StepLayer[], reporter?: StepReporter): Promise<string[]> {
    const directories: Promise<string>[] = [];
    let below: readonly StepLayer[] = [];
    for (const layer of layers) {
      directories.push(
        layer.directory === undefined
          ? this.#directory(layer, below, reporter)
          : Promise.resolve(layer.directory),
      );
      below = [...below, layer];
    }
    return (await Promise.all(directories)).reverse();
  }

  /** Makes sure the table of contents is in the store. */
  async ensureToc(layer: SettledLayer): Promise<void> {
    if (!this.#options.store.layers.hasToc(layer.diffId)) await this.ensureTar(layer);
  }

  /** Makes sure the uncompressed tar and the table of contents are in the store. */
  ensureTar(layer: SettledLayer): Promise<void> {
    const { store } = this.#options;
    if (store.blobs.claim(layer.diffId) && store.layers.hasToc(layer.diffId)) return Promise.resolve();
    let work = this.#tars.get(layer.diffId);
    if (work === undefined) {
      work = this.#makeTar(layer);
      this.#tars.set(layer.diffId, work);
    }
    return work;
  }

  /** True when a layer is one of before in all but times. Waits for it to be packed unless it clearly is not. */
  async isSameButForTimes(before: DiffId, now: StepLayer): Promise<boolean> {
    const { store, pool, signal } = this.#options;
    const isHere = (diffId: DiffId): boolean =>
      store.layers.hasToc(diffId) && (store.blobs.has(diffId) || this.#variant(diffId) !== undefined);
    try {
      if (now.directory !== undefined && isHere(before) && !mayBecome(now.directory, this.#toc(before)))
        return false;
    } catch (error) {
      if (isDamagedToc(error)) return false;
      throw error;
    }
    const { diffId: after } = now.original ?? (await now.settled);
    if (before === after) return true;
    if (!isHere(before) || !isHere(after)) return false;
    const pair = `${before} ${after}`;
    let same = this.#compared.get(pair);
    if (same === undefined) {
      same = Promise.all([before, after].map((diffId) => this.ensureTar({ diffId, tarSize: 0, created: '' })))
        .then(() => pool.run('compare', [this.#files(before), this.#files(after)], signal))
        .catch((error: unknown) => {
          if (isDamagedToc(error)) return false;
          throw error;
        });
      this.#compared.set(pair, same);
    }
    return same;
  }

  #files(diffId: DiffId): LayerFiles {
    return { toc: this.#options.store.layers.tocPath(diffId), tar: this.#options.store.blobs.path(diffId) };
  }

  /** Makes sure some blob of the layer is in the store; says which. */
  async ensureBlob(layer: SettledLayer, reporter?: StepReporter): Promise<Descriptor> {
    const { store } = this.#options;
    const { image } = layer;
    if (image !== undefined && store.blobs.claim(image.descriptor.digest)) return image.descriptor;
    if (store.blobs.claim(layer.diffId)) return this.#tarDescriptor(layer);
    const variant = this.#variant(layer.diffId);
    if (variant !== undefined) return variant;
    if (image === undefined)
      throw new BuildError('STORE_MISSING_BLOB', `the store lacks layer ${layer.diffId}`);
    const received = this.#receive(image, reporter);
    this.#receiving.add(received);
    try {
      await received;
    } catch (error) {
      throw layerFailure(layer, error);
    } finally {
      this.#receiving.delete(received);
    }
    return image.descriptor;
  }

  async #receive({ descriptor, source }: ImageLayer, reporter: StepReporter | undefined): Promise<void> {
    const { store, signal } = this.#options;
    const ended = AbortSignal.any([signal, this.#over.signal]);
    const stream = await source.fetchBlob(descriptor, ended);
    let received = 0;
    await store.blobs.receive(descriptor, stream, (count) => {
      received += count;
      reporter?.bytes(received, descriptor.size);
    });
  }

  async #makeTar(layer: SettledLayer): Promise<void> {
    const { store, pool, signal } = this.#options;
    const blob = await this.ensureBlob(layer);
    const tar = this.session.draft('layer.tar');
    const toc = this.session.draft('layer.toc');
    const request = {
      blob: store.blobs.path(blob.digest),
      compression: compressionOf(blob.mediaType) ?? 'uncompressed',
      diffId: layer.diffId,
      tar: blob.digest === layer.diffId ? undefined : tar,
      toc,
    };
    await pool.run('scan', request, signal).catch((error: unknown) => {
      throw layerFailure(layer, error);
    });
    if (existsSync(tar)) store.blobs.adopt(tar, layer.diffId);
    store.layers.adoptToc(toc, layer.diffId);
  }

  async #directory(layer: StepLayer, below: readonly StepLayer[], reporter?: StepReporter): Promise<string> {
    const { store } = this.#options;
    const lower = await settle(below);
    const settled = await layer.settled;
    const chain = chainId(chainsOf(lower).at(-1), settled.diffId);
    const known = store.layers.snapshot(chain);
    if (known !== undefined) return known;
    let work = this.#directories.get(chain);
    if (work === undefined) {
      work = this.#unpack({ layer: settled, below, chain, reporter });
      this.#directories.set(chain, work);
    }
    return work;
  }

  async #unpack(request: {
    readonly layer: SettledLayer;
    readonly below: readonly StepLayer[];
    readonly chain: ChainId;
    readonly reporter: StepReporter | undefined;
  }): Promise<string> {
    const { store, pool, signal } = this.#options;
    const { layer, chain } = request;
    const blob = await this.ensureBlob(layer, request.reporter);
    const directory = this.session.makeDirectory('unpack');
    const toc = this.session.draft('layer.toc');
    const unpack = {
      blob: store.blobs.path(blob.digest),
      compression: compressionOf(blob.mediaType) ?? 'uncompressed',
      diffId: layer.diffId,
      directory,
      toc,
    };
    const { incomplete } = await pool.run('unpack', unpack, signal).catch((error: unknown) => {
      throw layerFailure(layer, error);
    });
    store.layers.adoptToc(toc, layer.diffId);
    if (incomplete.directories.length > 0 || incomplete.links.length > 0) {
      // The tar leaves out parents, or links to files of lower layers; those are looked up there.
      const lowers = await this.directories(request.below);
      await pool.run('complete', { directory, lowers, incomplete }, signal);
    }
    const snapshot = store.layers.adoptSnapshot(directory);
    store.layers.nameSnapshot(snapshot, chain);
    return snapshot;
  }

  async #treeLayer(layer: SettledLayer): Promise<TreeLayer> {
    const { store } = this.#options;
    const { diffId, times } = layer;
    const tarPath = store.blobs.path(diffId);
    await this.ensureToc(layer);
    try {
      return { toc: this.#toc(diffId), tarPath, times };
    } catch (error) {
      if (!isDamagedToc(error)) throw error;
      // Made again from the layer: what is derived is never a reason to fail.
      store.layers.dropToc(diffId);
      this.#tars.delete(diffId);
      await this.ensureTar(layer);
      return { toc: this.#toc(diffId), tarPath, times };
    }
  }

  /** One object a layer: its index is made once and shared by every tree. Throws STORE_CORRUPT_TOC. */
  #toc(diffId: DiffId): LayerToc {
    const toc = this.#tocs.get(diffId) ?? loadToc(this.#options.store.layers.tocPath(diffId), diffId);
    this.#tocs.set(diffId, toc);
    return toc;
  }

  #tarDescriptor({ diffId, tarSize }: SettledLayer): Descriptor {
    const size = this.#options.store.blobs.size(diffId) ?? tarSize;
    return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: diffId, size };
  }

  /** A compressed form of a layer whose plain tar is not here. */
  #variant(diffId: DiffId): Descriptor | undefined {
    const { blobs, layers } = this.#options.store;
    const known = layers.variants(diffId).map(({ descriptor }) => descriptor);
    return known.find(({ digest, size }) => blobs.size(digest) === size && blobs.claim(digest));
  }
}

/** A table of contents that is of another format or damaged. */
function isDamagedToc(error: unknown): boolean {
  return error instanceof BuildError && error.code === 'STORE_CORRUPT_TOC';
}
