/**
 * Containers of `kiln run`, one directory each, named by the container's ID:
 *
 *   state.json   what it is and how it ended
 *   alive        locked by the process that runs it, for as long as it does: a lock that can be had is a dead container's
 *   in-use       locked by who reads the changes, and by who removes them
 *   snapshot/fs  what it changed: an overlay upper directory
 *   run/         what only the running container needs
 *   kill         made by who wants it to end
 */
import { closeSync, openSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, systemErrorCode } from '../errors.ts';
import type { Descriptor, Digest } from '../image/descriptor.ts';
import type { RuntimeConfig } from '../image/image-config.ts';
import { lockFile } from '../system/file-calls.ts';
import { makeDirectories, readTextIfExists, writeFileAtomic } from '../system/files.ts';
import type { NameStore } from './name-store.ts';

/** What is known of a container. Times are RFC 3339. */
export interface ContainerRecord {
  /** 64 hex digits. */
  readonly id: string;
  readonly name: string;
  /** The image as it was named on the command line. */
  readonly image: string;
  /** Digest of the image's config. */
  readonly imageId: Digest;
  /** Manifest of the image, for one platform. */
  readonly manifest: Descriptor;
  /** The image's config with what the command line said: what `commit` begins with. */
  readonly config: RuntimeConfig;
  /** Entrypoint and command, as they were executed. */
  readonly command: readonly string[];
  /** Driver that its changes were written with, once it is known. */
  readonly snapshotter?: 'overlay' | 'fuse-overlayfs' | 'copy' | undefined;
  /** Places of the root filesystem that something is mounted on while it runs. */
  readonly mountPoints: readonly string[];
  readonly autoRemove: boolean;
  readonly created: string;
  readonly started?: string | undefined;
  readonly finished?: string | undefined;
  readonly exitCode?: number | undefined;
}

export type ContainerStatus = 'created' | 'running' | 'exited';

export interface Container extends ContainerRecord {
  readonly status: ContainerStatus;
  /** A process has it in hand: it is being made, or runs. */
  readonly alive: boolean;
  /** False when kiln was killed while it ran: the changes are there, but nobody has tidied them. */
  readonly settled: boolean;
  /** Absolute path of its directory. */
  readonly directory: string;
}

/** Exit code of a container whose end nobody saw: as if killed by signal 9, which it was. */
const KILLED = 137;

export class ContainerStore {
  readonly #root: string;
  readonly #names: NameStore;

  constructor(root: string, names: NameStore) {
    this.#root = join(root, 'containers');
    this.#names = names;
  }

  /** Every container, the newest first. Those whose record cannot be read are left out. */
  list(): Container[] {
    const found = this.directories().flatMap((directory) => this.#read(directory) ?? []);
    return found.sort((a, b) => (a.created < b.created ? 1 : -1));
  }

  /** Directories of all containers, readable or not. */
  directories(): string[] {
    try {
      return readdirSync(this.#root).map((id) => join(this.#root, id));
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return [];
      throw error;
    }
  }

  /** By name, by ID, or by the beginning of an ID. Throws CONTAINER_NOT_FOUND, CONTAINER_AMBIGUOUS. */
  find(text: string): Container {
    const containers = this.list();
    const exact = containers.find(({ name, id }) => name === text || id === text);
    if (exact !== undefined) return exact;
    const near = /^[0-9a-f]+$/.test(text) ? containers.filter(({ id }) => id.startsWith(text)) : [];
    if (near.length > 1) {
      throw new BuildError('CONTAINER_AMBIGUOUS', `several containers have an ID that begins with ${text}`, {
        suggestions: ['Write more of the ID, or the name.'],
      });
    }
    if (near[0] !== undefined) return near[0];
    throw new BuildError('CONTAINER_NOT_FOUND', `no such container: ${text}`, {
      suggestions: ['See kiln ps -a.'],
    });
  }

  /**
   * Makes a container's directory and locks it for this process. `record` is asked for under the store's lock, in which
   * no other container is made and no garbage collected, and is given the names that are taken. `draft` is an empty
   * directory on the store's filesystem.
   */
  create(draft: string, record: (taken: ReadonlySet<string>) => ContainerRecord): LivingContainer {
    makeDirectories(this.#root, 0o700);
    return this.#names.locked('exclusive', () => {
      const made = record(new Set(this.list().map(({ name }) => name)));
      const lock = openSync(join(draft, 'alive'), 'a', 0o600);
      lockFile(lock, 'exclusive', true);
      writeFileSync(join(draft, 'in-use'), '', { mode: 0o600 });
      const directory = join(this.#root, made.id);
      const living = new LivingContainer(directory, lock, made);
      writeFileSync(join(draft, 'state.json'), JSON.stringify(made));
      for (const folder of ['run', 'snapshot']) makeDirectories(join(draft, folder), 0o700);
      renameSync(draft, directory);
      return living;
    });
  }

  #read(directory: string): Container | undefined {
    let record: ContainerRecord;
    try {
      const text = readTextIfExists(join(directory, 'state.json'));
      if (text === undefined) return undefined;
      record = JSON.parse(text) as ContainerRecord;
    } catch {
      return undefined;
    }
    if (this.isAlive(directory)) {
      const status = record.started === undefined ? 'created' : 'running';
      return { ...record, directory, alive: true, settled: false, status };
    }
    const dead = { ...record, directory, alive: false };
    if (record.started === undefined) return { ...dead, settled: true, status: 'created' };
    const settled = record.finished !== undefined;
    return { ...dead, settled, status: 'exited', exitCode: record.exitCode ?? KILLED };
  }

  /** Whether a process runs the container in this directory. */
  isAlive(directory: string): boolean {
    return !whileLocked({ path: join(directory, 'alive'), kind: 'shared', wait: false }, () => {});
  }

  /**
   * Runs `work` while nobody removes the container and, when exclusive, nobody reads its files. Throws CONTAINER_NOT_FOUND
   * when it is gone already.
   */
  async whileUsed<Result>(
    { directory, name }: Container,
    kind: 'shared' | 'exclusive',
    work: () => Promise<Result>,
  ): Promise<Result> {
    const lock = openLock(join(directory, 'in-use'));
    if (lock === undefined) throw new BuildError('CONTAINER_NOT_FOUND', `no such container: ${name}`);
    try {
      lockFile(lock, kind, true);
      return await work();
    } finally {
      closeSync(lock);
    }
  }

  /**
   * Takes a dead container out of the list; its files are then in `trash`, which must not exist. False when somebody
   * reads it and `wait` is not set. Who waits must not hold the store's lock, which a reader may want.
   */
  take(directory: string, trash: string, { wait }: { readonly wait: boolean }): boolean {
    const lock = { path: join(directory, 'in-use'), kind: 'exclusive', wait } as const;
    return whileLocked(lock, () => {
      try {
        renameSync(directory, trash);
      } catch (error) {
        // Somebody else has taken it, which is as good.
        if (systemErrorCode(error) !== 'ENOENT') throw error;
      }
    });
  }

  /** Asks the process that runs a container to end it at once. */
  requestKill({ directory }: Container): void {
    writeFileSync(join(directory, 'kill'), '');
  }
}

/** A container that this process runs. */
export class LivingContainer {
  readonly directory: string;
  readonly #lock: number;
  #record: ContainerRecord;

  constructor(directory: string, lock: number, record: ContainerRecord) {
    this.directory = directory;
    this.#lock = lock;
    this.#record = record;
  }

  get record(): ContainerRecord {
    return this.#record;
  }

  /** Where the snapshot driver works. */
  get snapshot(): string {
    return join(this.directory, 'snapshot');
  }

  /** A directory for as long as the container runs. */
  get scratch(): string {
    return join(this.directory, 'run');
  }

  update(change: Partial<ContainerRecord>): void {
    this.#record = { ...this.#record, ...change };
    const text = JSON.stringify(this.#record);
    writeFileAtomic(join(this.directory, 'state.json'), text, { temporary: this.scratch, flush: false });
  }

  /** Says that nobody runs it any more. */
  release(): void {
    closeSync(this.#lock);
  }
}

function openLock(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** False when somebody else holds the lock and `wait` is not set. Without a file there is nobody to hold it. */
function whileLocked(
  { path, kind, wait }: { path: string; kind: 'shared' | 'exclusive'; wait: boolean },
  work: () => void,
): boolean {
  const lock = openLock(path);
  try {
    if (lock !== undefined && !lockFile(lock, kind, wait)) return false;
    work();
    return true;
  } finally {
    if (lock !== undefined) closeSync(lock);
  }
}
