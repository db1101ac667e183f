/**
 * Content of cache mounts from other machines, and back to them: --cache-mount-from fills a mount that this machine has
 * not, --cache-mount-to saves those that the build used. Owners are real only inside the namespace, so this is.
 */
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BuildError, messageOf } from '../errors.ts';
import { compressionOf, type Descriptor, type DiffId } from '../image/descriptor.ts';
import { parseManifest } from '../image/manifest.ts';
import type { LayerPool } from '../layer/layer-pool.ts';
import type { Emit, StepLabel } from '../progress/event.ts';
import type { Connections } from '../registry/connections.ts';
import type { MountContent, UsedMount } from '../solver/mount-content.ts';
import type { Session, Store } from '../store/store.ts';
import { lockFile } from '../system/file-calls.ts';
import { removeTree } from '../system/files.ts';
import { exportProblem } from './cache-export.ts';
import { encodeWithConfig, MOUNTS_CONFIG_TYPE } from './cache-manifest.ts';
import type { MountExportSpec, MountImportSpec } from './cache-spec.ts';
import { type CacheStorage, openStorage } from './cache-storage.ts';
import { decodeMounts, encodeMounts, mergeMounts, type SavedMount } from './mount-document.ts';
import { Documents, resolvePlace } from './read-cache.ts';
import { replaceManifest, writeTogether } from './shared-place.ts';

export interface MountWorld {
  readonly store: Store;
  readonly pool: LayerPool;
  readonly connections: Connections;
  readonly session: () => Session;
  readonly emit: Emit;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly signal: AbortSignal;
}

interface Import {
  readonly spec: MountImportSpec;
  readonly storage: CacheStorage;
  mounts?: Promise<readonly SavedMount[]>;
}

/** What a place has. */
interface SavedPlace {
  readonly descriptor: Descriptor | undefined;
  readonly mounts: readonly SavedMount[];
}

/** A mount as it was packed. */
interface Packed {
  readonly mount: UsedMount;
  readonly saved: SavedMount;
  readonly path: string;
}

const DAY_S = 86_400;

export class MountCaches implements MountContent {
  readonly #world: MountWorld;
  readonly #imports: readonly Import[];
  readonly #exports: readonly MountExportSpec[];
  readonly #used = new Map<string, UsedMount>();

  constructor(
    { from, to }: { readonly from: readonly MountImportSpec[]; readonly to: readonly MountExportSpec[] },
    world: MountWorld,
  ) {
    this.#world = world;
    this.#exports = to;
    this.#imports = from.map((spec) => ({ spec, storage: openStorage(spec.place, world.connections) }));
  }

  onUse(mount: UsedMount): void {
    this.#used.set(mount.name, mount);
  }

  async restore({ name, id }: UsedMount, directory: string): Promise<boolean> {
    for (const one of this.#imports) {
      if (one.spec.ids?.has(id) === false) continue;
      one.mounts ??= this.#saved(one.storage).then(
        ({ mounts }) => mounts,
        (error: unknown) => this.#warnUnused(one, error),
      );
      const saved = (await one.mounts).find((mount) => mount.name === name);
      if (saved === undefined) continue;
      try {
        await this.#unpack(one.storage, saved, directory);
        return true;
      } catch (error) {
        this.#world.signal.throwIfAborted();
        removeTree(directory);
        const message = `cache mount ${id} was not restored from ${one.storage.name}: ${exportProblem(error)}`;
        this.#world.emit({ type: 'warning', message });
      }
    }
    return false;
  }

  /** Saves what the build used. A failure is a warning, or, where that was asked for, CACHE_EXPORT. */
  async save({ failed }: { readonly failed: boolean }): Promise<void> {
    let failure: BuildError | undefined;
    for (const [index, spec] of this.#exports.entries()) {
      const mounts = [...this.#used.values()].filter(({ id }) => spec.ids?.has(id) !== false);
      if (mounts.length === 0) continue;
      const storage = openStorage(spec.place, this.#world.connections);
      const name = `saving cache mounts to ${storage.name}`;
      const label = { id: `cache-mounts/${index}`, prefix: '[cache]', name };
      failure = (await this.#saveOne({ spec, storage, mounts, label, failed })) ?? failure;
    }
    if (failure !== undefined) throw failure;
  }

  async #saveOne(request: {
    readonly spec: MountExportSpec;
    readonly storage: CacheStorage;
    readonly mounts: readonly UsedMount[];
    readonly label: StepLabel;
    readonly failed: boolean;
  }): Promise<BuildError | undefined> {
    const { spec, storage, label, failed } = request;
    const { emit, clock, signal } = this.#world;
    const began = clock();
    emit({ type: 'step-started', step: label });
    const finish = (note: string): void =>
      emit({ type: 'step-finished', step: label, outcome: 'done', duration: clock() - began, note });
    try {
      finish(await this.#write(request));
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      const message = `cache mounts were not saved to ${storage.name}: ${exportProblem(error)}`;
      if (spec.ignoreError || failed) {
        finish('failed');
        emit({ type: 'warning', message });
        return undefined;
      }
      emit({ type: 'step-failed', step: label, duration: clock() - began, message, code: 'CACHE_EXPORT' });
      const suggestions = error instanceof BuildError ? error.suggestions : [];
      return new BuildError('CACHE_EXPORT', message, { suggestions, cause: error });
    }
  }

  /** Packs, sends what is new, and writes the document; says what came of it. */
  async #write({
    spec,
    storage,
    mounts,
  }: {
    readonly spec: MountExportSpec;
    readonly storage: CacheStorage;
    readonly mounts: readonly UsedMount[];
  }): Promise<string> {
    // Asked first: packing is work in vain when the place cannot be reached.
    const first = await this.#saved(storage);
    const packed: Packed[] = [];
    for (const mount of mounts) {
      const made = this.#pack(mount, spec, first.mounts).catch((error: unknown) => {
        if (!(error instanceof BuildError) || error.code !== 'LAYER_RESERVED_NAME') throw error;
        const message = `cache mount ${mount.id} was not saved: ${exportProblem(error)}`;
        this.#world.emit({ type: 'warning', message });
        return [];
      });
      packed.push(...(await made));
    }
    const now = Math.floor(this.#world.clock() / 1000);
    const fresh = packed.map(({ saved }) => saved);
    const warned = new Set<string>();
    const written = await writeTogether<SavedPlace>({
      name: storage.name,
      read: async (known) => (known === undefined ? first : this.#saved(storage)),
      write: async (before) => {
        const { kept, dropped } = mergeMounts(before.mounts, fresh, { now, bounds: spec.bounds });
        for (const mount of dropped) this.#warnDropped(mount, warned);
        if (saysTheSame(before.mounts, kept)) return 'same';
        const own = packed.filter(({ saved }) => kept.includes(saved));
        return this.#put({ storage, before, kept, own });
      },
    });
    if (!written) return 'nothing new';
    return `${fresh.length} ${fresh.length === 1 ? 'mount' : 'mounts'}`;
  }

  #warnDropped({ id, name, descriptor }: SavedMount, warned: Set<string>): void {
    if (!this.#used.has(name) || warned.has(name)) return;
    warned.add(name);
    const message = `cache mount ${id} was not saved: its ${descriptor.size} bytes do not fit max-size`;
    this.#world.emit({ type: 'warning', message });
  }

  /** Sends what is new, then the document; "changed" when another build has written there meanwhile. */
  async #put({
    storage,
    before,
    kept,
    own,
  }: {
    readonly storage: CacheStorage;
    readonly before: SavedPlace;
    readonly kept: readonly SavedMount[];
    readonly own: readonly Packed[];
  }): Promise<SavedPlace | 'changed'> {
    const sink = await storage.sink();
    for (const { saved, path } of own) {
      const open = (offset: number) => createReadStream(path, { start: offset });
      await sink.pushBlob({ descriptor: saved.descriptor, open }, this.#world.signal);
    }
    const whole: SavedMount[] = [];
    for (const mount of kept) {
      if (own.some(({ saved }) => saved === mount) || (await sink.hasBlob(mount.descriptor)))
        whole.push(mount);
    }
    const blobs = whole.map(({ descriptor }) => descriptor);
    const { config, manifest } = encodeWithConfig(encodeMounts(whole), {
      mediaType: MOUNTS_CONFIG_TYPE,
      blobs,
    });
    const open = (offset: number) => Readable.from([config.content.subarray(offset)]);
    await sink.pushBlob({ descriptor: config.descriptor, open }, this.#world.signal);
    const over = before.descriptor?.digest;
    if (!(await replaceManifest({ storage, sink }, { ...manifest, over }))) return 'changed';
    return { descriptor: manifest.descriptor, mounts: whole };
  }

  /** The mount's content as a layer; nothing when another build writes there right now. */
  async #pack(mount: UsedMount, { form }: MountExportSpec, before: readonly SavedMount[]): Promise<Packed[]> {
    const { pool, signal, session, emit, clock } = this.#world;
    // Another process may have pruned it by now.
    if (!existsSync(join(mount.place, 'data'))) return [];
    const lock = openSync(join(mount.place, 'lock'), 'a');
    try {
      if (!lockFile(lock, 'shared', false)) {
        const message = `cache mount ${mount.id} was not saved: another build is using it`;
        emit({ type: 'warning', message });
        return [];
      }
      const output = {
        directory: session().makeDirectory('mount'),
        forms: form.compression === 'uncompressed' ? [] : [form],
        plain: form.compression === 'uncompressed',
        epoch: undefined,
      };
      const source = { upper: join(mount.place, 'data'), lowers: [] };
      const { diffId, tarSize, blobs } = await pool.run('packSnapshot', { ...source, output }, signal);
      const blob = blobs.find(({ compression }) => compression === form.compression);
      if (blob === undefined) throw new Error(`the mount was not packed as ${form.compression}`);
      const used = Math.floor(clock() / 1000);
      const known = before.find(({ name, diffId: old }) => name === mount.name && old === diffId);
      const { mediaType, digest, size, path } = blob;
      const descriptor: Descriptor = known?.descriptor ?? { mediaType, digest, size };
      const saved = { name: mount.name, id: mount.id, diffId, tarSize, descriptor, used };
      return [{ mount, saved, path }];
    } finally {
      closeSync(lock);
    }
  }

  /** What a place has; nothing when it is empty. Throws when it holds something else. */
  async #saved(storage: CacheStorage): Promise<SavedPlace> {
    const descriptor = await resolvePlace(storage);
    if (descriptor === undefined) return { descriptor, mounts: [] };
    const documents = new Documents(await storage.source(), this.#world.store);
    const manifest = parseManifest(await documents.fetch(descriptor), descriptor.mediaType);
    if (manifest.config.mediaType !== MOUNTS_CONFIG_TYPE) {
      throw new BuildError('CACHE_EXPORT_REFUSED', `${storage.name} holds something else than cache mounts`, {
        suggestions: ['Name a tag of their own for cache mounts.'],
      });
    }
    const mounts = decodeMounts(await documents.fetch(manifest.config), manifest.layers) ?? [];
    return { descriptor, mounts };
  }

  async #unpack(storage: CacheStorage, saved: SavedMount, directory: string): Promise<void> {
    const { session, pool, signal } = this.#world;
    const { descriptor } = saved;
    const blob = session().draft('mount');
    const toc = session().draft('mount.toc');
    try {
      const source = await storage.source();
      await pipeline(await source.fetchBlob(descriptor, signal), createWriteStream(blob, { flags: 'wx' }));
      mkdirSync(directory, { mode: 0o755 });
      const compression = compressionOf(descriptor.mediaType) ?? 'uncompressed';
      const diffId: DiffId = saved.diffId;
      const { incomplete } = await pool.run('unpack', { blob, compression, diffId, directory, toc }, signal);
      if (incomplete.links.length > 0) throw new Error('it links to files that are not in it');
    } finally {
      for (const path of [blob, toc]) rmSync(path, { force: true });
    }
  }

  #warnUnused({ storage }: Import, error: unknown): readonly SavedMount[] {
    const message = `cache mounts of ${storage.name} are not used: ${messageOf(error).split('\n')[0] ?? ''}`;
    this.#world.emit({ type: 'warning', message });
    return [];
  }
}

/** True when nothing would be told by writing; a last use that is no day old need not be told. */
function saysTheSame(before: readonly SavedMount[], kept: readonly SavedMount[]): boolean {
  if (before.length !== kept.length) return false;
  return kept.every(({ name, diffId, used }) =>
    before.some((old) => old.name === name && old.diffId === diffId && used - old.used <= DAY_S),
  );
}
