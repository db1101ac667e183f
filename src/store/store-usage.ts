/** `kiln df`: how many things of each kind the store holds, how large they are, and what prune --all would free. */
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hexOf } from '../image/descriptor.ts';
import { chainFinder, listCache } from './cache-entries.ts';
import { LiveSet } from './live-set.ts';
import { listMounts, whileUnused } from './mount-list.ts';
import { type MeasuredDirectory, rememberedSize } from './size-memory.ts';
import type { Store } from './store.ts';
import { treeSize } from './tree-size.ts';

export interface UsageItem {
  readonly name: string;
  /** Bytes on the disk. */
  readonly size: number;
  /** prune --all leaves it: an image or a container leads to it, or it is in use. */
  readonly active: boolean;
  /** Of an image: bytes that other images need as well. */
  readonly shared?: number;
  /** Milliseconds since 1970. */
  readonly lastUse?: number;
}

export interface Usage {
  readonly type:
    | 'Images'
    | 'Containers'
    | 'Layers'
    | 'Snapshots'
    | 'Cache records'
    | 'Cache mounts'
    | 'Indexes';
  readonly items: readonly UsageItem[];
  /** Bytes of all; less than their sum where items share some. */
  readonly size: number;
  readonly reclaimable: number;
}

export interface StoreUsage {
  /** Images are made of layers; the other kinds have no bytes in common. */
  readonly usage: readonly Usage[];
  /** False when some files may only be read inside the namespace. */
  readonly complete: boolean;
}

/** Counts and measures. */
export function storeUsage(store: Store): StoreUsage {
  let complete = true;
  const measure = (path: string): number => {
    const found = treeSize(path);
    complete &&= found.complete;
    return found.size;
  };
  const live = neededBy(store);
  const containers = store.containers.list().map(({ name, alive, directory }) => ({
    name,
    size: measure(join(directory, 'snapshot', 'fs')),
    active: alive,
  }));
  const chains = join(store.root, 'chains');
  const chainOf = new Map(
    readdirSync(chains).map((chain) => [readFileSync(join(chains, chain), 'utf8').trim(), chain]),
  );
  const snapshots = readdirSync(join(store.root, 'snapshots')).map((name) => ({
    name: chainOf.get(name) ?? name,
    size: measure(join(store.root, 'snapshots', name)),
    active: live.chains.has(chainOf.get(name) ?? ''),
  }));
  const { entries, broken } = listCache(store);
  const records = [
    ...entries.map(({ path, size, lastUse }) => ({ name: baseName(path), size, active: false, lastUse })),
    ...broken.map((path) => ({ name: baseName(path), size: fileSize(path), active: false })),
  ];
  const mounts = listMounts(store).map((mount) => ({
    name: mount.id,
    size: measure(mount.path),
    active: !whileUnused(mount, () => undefined),
    lastUse: mount.lastUse,
  }));
  const usage: Usage[] = [
    imageUsage(store),
    summed('Containers', containers),
    summed('Layers', layerItems(store, live)),
    summed('Snapshots', snapshots),
    summed('Cache records', records),
    summed('Cache mounts', mounts),
    summed('Indexes', indexItems(store)),
  ];
  return { usage, complete };
}

/**
 * Bytes that no image needs: what the build cache may be trimmed by. Fast rather than exact: an unpacked layer counts
 * as its tar, and what may not be read counts as nothing.
 */
export function cacheSize(store: Store): number {
  const { entries } = listCache(store);
  const findChain = chainFinder(entries);
  const tarSizes = new Map<string, number>();
  for (const entry of entries) {
    const chain = findChain(entry);
    const size = store.blobs.size(entry.digest);
    if (chain !== undefined && size !== undefined) tarSizes.set(hexOf(chain), size);
  }
  const chains = join(store.root, 'chains');
  let estimated = 0;
  const directories: MeasuredDirectory[] = [];
  for (const chain of readdirSync(chains)) {
    const name = readFileSync(join(chains, chain), 'utf8').trim();
    const tarSize = tarSizes.get(chain);
    if (tarSize === undefined) directories.push({ path: join(store.root, 'snapshots', name), state: '' });
    else estimated += tarSize;
  }
  // The content of a cache mount changes only while a step uses it.
  for (const { path, lastUse } of listMounts(store)) directories.push({ path, state: `${lastUse}` });
  const layers = layerItems(store, neededBy(store)).map(({ size, active }) => (active ? 0 : size));
  return layers.reduce((sum, size) => sum + size, estimated + rememberedSize(store, directories));
}

function summed(type: Usage['type'], items: readonly UsageItem[]): Usage {
  const total = (list: readonly UsageItem[]): number => list.reduce((sum, { size }) => sum + size, 0);
  return { type, items, size: total(items), reclaimable: total(items.filter(({ active }) => !active)) };
}

/** Every image with the bytes of all it leads to. None is reclaimable: an image stays until its name is removed. */
function imageUsage(store: Store): Usage {
  const images = store.names.images().map(({ names, descriptor }) => {
    const live = new LiveSet(store);
    live.markImage(descriptor, { derived: false });
    const blobs = [...live.blobs].map((hex) => ({ hex, size: store.blobs.size(`sha256:${hex}`) ?? 0 }));
    return { names: names.length === 0 ? [descriptor.digest] : names, blobs };
  });
  const users = new Map<string, { size: number; count: number }>();
  for (const { hex, size } of images.flatMap(({ blobs }) => blobs)) {
    users.set(hex, { size, count: (users.get(hex)?.count ?? 0) + 1 });
  }
  const items = images.flatMap(({ names, blobs }) => {
    const size = blobs.reduce((sum, blob) => sum + blob.size, 0);
    const shared = blobs.reduce(
      (sum, blob) => sum + ((users.get(blob.hex)?.count ?? 0) > 1 ? blob.size : 0),
      0,
    );
    return names.map((name) => ({ name, size, shared, active: true }));
  });
  const size = [...users.values()].reduce((sum, blob) => sum + blob.size, 0);
  return { type: 'Images', items, size, reclaimable: 0 };
}

/** What images and containers need; a container also stands on unpacked layers. */
function neededBy(store: Store): LiveSet {
  const live = new LiveSet(store);
  for (const entry of store.names.entries()) live.markImage(entry, { derived: false });
  for (const { manifest } of store.containers.list()) live.markImage(manifest, { derived: true });
  return live;
}

function layerItems(store: Store, live: LiveSet): UsageItem[] {
  const blobs = join(store.root, 'blobs', 'sha256');
  return readdirSync(blobs).map((name) => ({
    name: `sha256:${name}`,
    size: fileSize(join(blobs, name)),
    active: live.blobs.has(name),
  }));
}

/** What makes looking things up fast: tables of contents, lists of files, digests of files. All of it can be made again. */
function indexItems(store: Store): UsageItem[] {
  const cache = join(store.root, 'cache');
  const folders = [join(store.root, 'layers'), join(cache, 'trees'), join(cache, 'shapes')];
  const files = folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
  const memories = readdirSync(cache).filter((name) => name.startsWith('files-'));
  return [...files, ...memories.map((name) => join(cache, name))].map((path) => ({
    name: baseName(path),
    size: fileSize(path),
    active: false,
  }));
}

function fileSize(path: string): number {
  return lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
