/** Files written so that a reader sees the old or the new state, and directories made and removed safely. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fdatasyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';

/**
 * Makes a directory and its parents, level by level: Node's own recursive mkdir never ends under /proc.
 * Throws the system's error for the first level that cannot be made.
 */
export function makeDirectories(path: string, mode = 0o755): void {
  if (existsSync(path)) return;
  const parent = dirname(path);
  if (parent !== path) makeDirectories(parent, mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
}

/** A name nobody else uses: 16 hex digits. */
export function randomName(): string {
  return randomBytes(8).toString('hex');
}

export interface AtomicWrite {
  /** Directory for the temporary name; the same filesystem as the target. */
  readonly temporary: string;
  readonly mode?: number;
  /** Flush to disk before the rename, so that a power cut leaves no empty file. Default true. */
  readonly flush?: boolean;
  /** Leave a file that is there already as it is. */
  readonly keepExisting?: boolean;
}

/** Lets a file be made under another name and renames it into place; on failure nothing of it stays. */
export async function placeFile(path: string, draft: string, make: () => Promise<void>): Promise<void> {
  try {
    await make();
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** Writes a file under a temporary name and renames it into place. */
export function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  { temporary, mode = 0o644, flush = true, keepExisting = false }: AtomicWrite,
): void {
  const draft = join(temporary, `write-${randomName()}`);
  const fd = openSync(draft, 'wx', mode);
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
    if (flush) fdatasyncSync(fd);
  } catch (error) {
    closeSync(fd);
    rmSync(draft, { force: true });
    throw diskError(error, path);
  }
  closeSync(fd);
  if (keepExisting) linkIfAbsent(draft, path);
  else renameSync(draft, path);
}

/** Gives a finished draft its name unless the name is taken; the draft's own name goes either way. */
function linkIfAbsent(draft: string, path: string): void {
  try {
    linkSync(draft, path);
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** A file's text, or undefined when there is none. */
export function readTextIfExists(path: string): string | undefined {
  return readBytesIfExists(path)?.toString('utf8');
}

/** A file's bytes; undefined when there is no such file. */
export function readBytesIfExists(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Sets a file's times to now where that is allowed. False when there is no such file. */
export function touch(path: string): boolean {
  const now = new Date();
  try {
    utimesSync(path, now, now);
    return true;
  } catch (error) {
    return systemErrorCode(error) !== 'ENOENT';
  }
}

/** Removes a tree whatever its names; what is not there is no error. */
export function removeTree(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}

/** A full or read-only disk as an error for the reader; anything else as it was. */
export function diskError(error: unknown, path: string): unknown {
  const code = systemErrorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new BuildError('STORE_DISK_FULL', `no space left on the disk that holds ${dirname(path)}`, {
      suggestions: ['Free space there, run kiln prune, or point KILN_HOME (or --root) at a larger disk.'],
      cause: error,
    });
  }
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') {
    return new BuildError('STORE_NOT_WRITABLE', `cannot write ${path}: ${messageOf(error)}`, {
      suggestions: ['Point KILN_HOME (or --root) at a directory you can write to.'],
      cause: error,
    });
  }
  return error;
}
