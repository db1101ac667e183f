/**
 * Snapshots by fuse-overlayfs, for kernels that refuse overlay in a user namespace. It runs in the foreground as our
 * child, so it dies with us; what it writes in a form of its own is turned into overlayfs's at commit.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { BuildError } from '../errors.ts';
import { processEnd } from '../system/process.ts';
import { normalizeUpper } from './normalize-upper.ts';
import { makeLayout, removeScratch, type SnapshotLayout, unmountFully, unmountQuietly } from './scratch.ts';
import type { MountedSnapshot, Snapshotter } from './snapshotter.ts';

const START_PATIENCE = 10_000;

/** Snapshots by the program fuse-overlayfs at a path. */
export class FuseOverlaySnapshotter implements Snapshotter {
  readonly name = 'fuse-overlayfs';
  readonly #program: string;

  constructor(program: string) {
    this.#program = program;
  }

  async prepare(directory: string, lowers: readonly string[]): Promise<MountedSnapshot> {
    const layout = makeLayout(directory);
    try {
      const server = await this.#serve(layout, lowers.length === 0 ? [layout.empty] : lowers);
      return new FuseOverlaySnapshot(layout, server, lowers);
    } catch (error) {
      removeScratch(layout);
      rmSync(layout.upper, { recursive: true, force: true });
      throw error;
    }
  }

  async #serve(layout: SnapshotLayout, lowers: readonly string[]): Promise<Server> {
    const odd = [...lowers, layout.upper].find((path) => /[:,\\]/.test(path));
    if (odd !== undefined) throw failure(`a path with a colon, comma or backslash: ${odd}`);
    const options = `lowerdir=${lowers.join(':')},upperdir=${layout.upper},workdir=${layout.work},volatile`;
    const device = statSync(layout.merged).dev;
    const child = spawn(this.#program, ['-f', '-o', options, layout.merged], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const server = new Server(child);
    const deadline = Date.now() + START_PATIENCE;
    while (statSync(layout.merged).dev === device) {
      if (server.over || Date.now() > deadline) {
        server.kill();
        await server.ended;
        throw failure(server.said.trim() || 'it did not mount in time');
      }
      await delay(1);
    }
    return server;
  }
}

/** The running program. */
class Server {
  said = '';
  over = false;
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.said = (this.said + text).slice(-4000);
    });
    this.ended = processEnd(child)
      .catch((error: unknown) => {
        this.said += String(error);
      })
      .then(() => {
        this.over = true;
      });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

class FuseOverlaySnapshot implements MountedSnapshot {
  readonly rootfs: string;
  readonly #layout: SnapshotLayout;
  readonly #server: Server;
  readonly #lowers: readonly string[];

  constructor(layout: SnapshotLayout, server: Server, lowers: readonly string[]) {
    this.#lowers = lowers;
    this.#layout = layout;
    this.#server = server;
    this.rootfs = layout.merged;
  }

  async commit(): Promise<string> {
    if (this.#server.over) throw failure(`it ended during the step: ${this.#server.said.trim()}`);
    await unmountFully(this.#layout.merged);
    // What it has written is in the upper directory only when it is gone.
    await this.#server.ended;
    removeScratch(this.#layout);
    normalizeUpper(this.#layout.upper, this.#lowers);
    return this.#layout.upper;
  }

  async discard(): Promise<void> {
    unmountQuietly(this.#layout.merged);
    this.#server.kill();
    await this.#server.ended;
    try {
      removeScratch(this.#layout);
      rmSync(this.#layout.upper, { recursive: true, force: true });
    } catch {
      // What is left goes with the store's temporary directory.
    }
  }
}

function failure(said: string): BuildError {
  return new BuildError('HOST_FUSE_OVERLAY_FAILED', `fuse-overlayfs could not serve a snapshot: ${said}.`, {
    suggestions: ['Check /dev/fuse (in a container: --device /dev/fuse), or use --snapshotter copy.'],
  });
}
