/** `kiln df`: how many things of each kind the store holds, how large they are, and what prune --all would free. */
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { listCache } from './cache-entries.ts';
import { LiveSet } from './live-set.ts';
import type { Store } from './store.ts';
import { treeSize } from './tree-size.ts';

export interface UsageItem {
  readonly name: string;
  readonly size: number;
  /** An image or a container leads to it; of a container, that it runs. */
  readonly active: boolean;
}

export interface Usage {
  readonly type: 'Images' | 'Containers' | 'Layers' | 'Snapshots' | 'Cache records' | 'Cache mounts';
  readonly items: readonly UsageItem[];
}

export interface StoreUsage {
  readonly usage: readonly Usage[];
  /** False when some files may only be read inside the namespace. */
  readonly complete: boolean;
}

/** Counts and measures. Bytes of images are bytes of blobs ("Layers") as well. */
export function storeUsage(store: Store): StoreUsage {
  let complete = true;
  const measure = (path: string): number => {
    const found = treeSize(path);
    complete &&= found.complete;
    return found.size;
  };
  const entries = store.names.entries();
  const images = new LiveSet(store);
  for (const entry of entries) images.markImage(entry, { derived: false });
  const containers = store.containers.list().map(({ name, manifest, alive, directory }) => {
    images.markImage(manifest, { derived: false });
    return { name, size: measure(join(directory, 'snapshot', 'fs')), active: alive };
  });
  const blobs = join(store.root, 'blobs', 'sha256');
  const layers = readdirSync(blobs).map((name) => ({
    name: `sha256:${name}`,
    size: lstatSync(join(blobs, name), { throwIfNoEntry: false })?.size ?? 0,
    active: images.blobs.has(name),
  }));
  const chains = join(store.root, 'chains');
  const chainOf = new Map(
    readdirSync(chains).map((chain) => [readFileSync(join(chains, chain), 'utf8').trim(), chain]),
  );
  const snapshots = readdirSync(join(store.root, 'snapshots')).map((name) => ({
    name: chainOf.get(name) ?? name,
    size: measure(join(store.root, 'snapshots', name)),
    active: false,
  }));
  const { entries: cache, broken } = listCache(store);
  const records = [...cache.map(({ path }) => path), ...broken].map((path) => ({
    name: path.slice(path.lastIndexOf('/') + 1),
    size: measure(path),
    active: false,
  }));
  const mounts = readdirSync(join(store.root, 'mounts')).map((name) => ({
    name,
    size: measure(join(store.root, 'mounts', name)),
    active: true,
  }));
  const usage: Usage[] = [
    { type: 'Images', items: imageItems(store) },
    { type: 'Containers', items: containers },
    { type: 'Layers', items: layers },
    { type: 'Snapshots', items: snapshots },
    { type: 'Cache records', items: records },
    { type: 'Cache mounts', items: mounts },
  ];
  return { usage, complete };
}

/** Named images with the bytes of all they name; layers that images share count for each. */
function imageItems(store: Store): UsageItem[] {
  return store.names.list().map(({ name, descriptor }) => {
    const live = new LiveSet(store);
    live.markImage(descriptor, { derived: false });
    let size = 0;
    for (const hex of live.blobs) size += store.blobs.size(`sha256:${hex}`) ?? 0;
    return { name, size, active: true };
  });
}
