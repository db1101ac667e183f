/** Failures to write what an output names. */
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';

const FULL = ['ENOSPC', 'EDQUOT', 'EFBIG'];
const UNWRITABLE = [
  'EROFS',
  'EACCES',
  'EPERM',
  'EISDIR',
  'ENOTDIR',
  'ENOENT',
  'ELOOP',
  'ENAMETOOLONG',
  'ENXIO',
];

/** The system's error as one for the user: OUTPUT_DISK_FULL or OUTPUT_NOT_WRITABLE; any other as it is. */
export function outputError(error: unknown, path: string): unknown {
  // What writes files for everybody speaks of the store.
  const isOfStore = error instanceof BuildError && /^STORE_(?:DISK_FULL|NOT_WRITABLE)$/.test(error.code);
  const cause = isOfStore ? error.cause : error;
  const code = systemErrorCode(cause) ?? '';
  if (cause instanceof BuildError) return error;
  if (FULL.includes(code)) {
    return new BuildError('OUTPUT_DISK_FULL', `no space is left for ${path}`, {
      suggestions: ['Free space there, or name a place on another disk.'],
      cause,
    });
  }
  if (UNWRITABLE.includes(code)) {
    // Without the file that failed: its name may be one that it has only until it is whole.
    const why = messageOf(cause).replace(/, \w+ '.*$/s, '');
    return new BuildError('OUTPUT_NOT_WRITABLE', `cannot write ${path}: ${why}`, {
      suggestions: ['Name a place that you can write to.'],
      cause,
    });
  }
  return error;
}
