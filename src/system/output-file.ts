/** Files that are written for the user: seen whole or not at all. */
import {
  closeSync,
  createWriteStream,
  fchmodSync,
  fchownSync,
  lstatSync,
  openSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { systemErrorCode } from '../errors.ts';
import { BackgroundFile } from './background-file.ts';
import { copyFile } from './copy-file.ts';
import { makeDirectories, placeFile, randomName } from './files.ts';
import { UnnamedFile } from './unnamed-file.ts';

/** What files are made with; the umask counts. */
const MODE = 0o666;

/** Names of files that are open: who opened one wants the bytes there. */
const OPEN_FILE = /^\/(?:proc\/|dev\/fd\/|dev\/std)/;

/**
 * Writes a stream to a file. It is seen when it is whole; what had its name stays until then, and so do its
 * mode, its owner and symlinks that lead to it. What is no file (a pipe, a device, /dev/stdout), or stands in a directory that takes no
 * other, is written to as it is. Makes missing directories. Throws the system's error, and the signal's reason.
 */
export async function writeOutputFile(
  path: string,
  open: () => Readable,
  signal: AbortSignal,
): Promise<void> {
  const target = resolve(path);
  const old = statSync(target, { throwIfNoEntry: false });
  // A symlink to nothing yet is followed as well.
  const leadsOn = old === undefined && lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink();
  const isPlain = old?.isFile() !== false && !leadsOn && !OPEN_FILE.test(target);
  const draft = isPlain ? makeDraft(target, old) : undefined;
  if (draft === undefined) {
    await pipeline(open(), createWriteStream(target), { signal });
    return;
  }
  const sink = new BackgroundStream(draft.fd);
  try {
    await placeFile(draft.target, draft.path, async () => {
      await pipeline(open(), sink, { signal });
      await draft.name(signal);
    });
  } finally {
    await sink.idle();
    closeSync(draft.fd);
  }
}

interface Draft {
  /** Where the file will be. */
  readonly target: string;
  /** What it is called until then. */
  readonly path: string;
  readonly fd: number;
  /** Lets it be seen by its path. */
  readonly name: (signal: AbortSignal) => Promise<void>;
}

/** An empty file beside the target. Undefined when there is one already that can only be written to itself. */
function makeDraft(given: string, old: Stats | undefined): Draft | undefined {
  const target = old === undefined ? given : realpathSync(given);
  const directory = dirname(target);
  makeDirectories(directory);
  const path = join(directory, `.kiln-${randomName()}`);
  try {
    const file = UnnamedFile.in(directory, MODE);
    const fd = file?.fd ?? openSync(path, 'wx', MODE);
    if (old !== undefined) adopt(fd, old);
    const name = async (signal: AbortSignal): Promise<void> => {
      // Some security modules (AppArmor) give no name to a file that never had one.
      if (file !== undefined && !file.name(path)) await copyFile(`/proc/self/fd/${fd}`, path, signal);
    };
    return { target, path, fd, name };
  } catch (error) {
    if (old === undefined || !['EACCES', 'EPERM', 'EROFS'].includes(systemErrorCode(error) ?? ''))
      throw error;
    return undefined;
  }
}

/** Gives a file the mode of the one it will stand for, and its owner where that is allowed. */
function adopt(fd: number, { mode, uid, gid }: Stats): void {
  try {
    fchownSync(fd, uid, gid);
  } catch {
    // Then it is the user's own.
  }
  fchmodSync(fd, mode & 0o777);
}

/** Bytes for a descriptor, which stays its owner's. They must not change once they are given. */
class BackgroundStream extends Writable {
  readonly #file: BackgroundFile;

  constructor(fd: number) {
    super({ highWaterMark: 1 << 20 });
    this.#file = new BackgroundFile(fd);
  }

  /** Resolves when nothing is under way, whatever became of it. */
  idle(): Promise<void> {
    return this.#file.idle();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#file.append(chunk);
    const room = this.#file.room();
    if (room === undefined) done();
    else room.then(() => done(), done);
  }

  override _final(done: (error?: Error) => void): void {
    this.#file.finish().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#file.abandon();
    done(error);
  }
}
