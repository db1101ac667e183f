/** Flags of `kiln run` to what a container is made of: every value checked here, so that nothing is begun on wrong usage. */
import { readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { messageOf } from '../errors.ts';
import type { SandboxMount } from '../executor/sandbox.ts';
import { parseSize, usage } from './flag-values.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Entries of --env-file and -e, in that order. NAME alone takes the caller's value; where the caller has none, it takes
 * the image's away. Throws USAGE_ENV.
 */
export function readEnvironment(
  { files, entries }: { readonly files: readonly string[]; readonly entries: readonly string[] },
  env: Environment,
): string[] {
  return [...files.flatMap(readEnvironmentFile), ...entries].map((entry) => {
    const equals = entry.indexOf('=');
    if (equals === 0 || entry === '')
      throw usage('USAGE_ENV', `-e ${entry}: the name is missing`, 'Write NAME=VALUE.');
    const value = equals < 0 ? env[entry] : undefined;
    return value === undefined ? entry : `${entry}=${value}`;
  });
}

/** One entry a line; empty lines and lines that begin with # are left out. */
function readEnvironmentFile(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw usage(
      'USAGE_ENV',
      `--env-file: cannot read ${path}: ${messageOf(error)}`,
      'Name a readable file with a NAME=VALUE a line.',
    );
  }
  const lines = text.split(/\r?\n/).map((line) => line.trimStart());
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

/** What may stand behind the second colon. Labels and caches are other systems' affairs, so they change nothing. */
const MOUNT_OPTIONS = new Set(['ro', 'rw', 'z', 'Z', 'cached', 'delegated', 'consistent']);

/** SRC:DST[:ro] as a bind mount. A relative source is below `directory`. Throws USAGE_VOLUME. */
export function parseVolume(text: string, directory: string): SandboxMount {
  const fail = (why: string, remedy: string): never => {
    throw usage('USAGE_VOLUME', `-v ${text}: ${why}`, remedy);
  };
  const form = 'Write SOURCE:DESTINATION[:ro], such as -v "$PWD":/work.';
  const [source = '', destination, options = '', ...more] = text.split(':');
  if (destination === undefined) fail('the source is missing, and kiln has no volumes of its own', form);
  if (more.length > 0 || source === '' || destination === undefined) return fail('is no mount', form);
  if (!destination.startsWith('/')) fail(`the destination ${destination} is not absolute`, form);
  if (/^\/+$/.test(destination)) fail('nothing can be mounted over the whole root filesystem', form);
  const words = options === '' ? [] : options.split(',');
  const unknown = words.find((word) => !MOUNT_OPTIONS.has(word));
  if (unknown !== undefined) fail(`"${unknown}" is no option of a mount`, 'The options are ro and rw.');
  if (!/^[./~]/.test(source)) {
    fail(
      `"${source}" would be a named volume, and kiln has none`,
      `Name a directory: -v ./${source}:${destination}, or an absolute path.`,
    );
  }
  const path = resolve(directory, source.replace(/^~(?=\/|$)/, homedir()));
  try {
    statSync(path);
  } catch (error) {
    fail(messageOf(error).replace(/, stat.*$/, `: ${path}`), 'Make it first: mkdir -p, or correct the path.');
  }
  return { type: 'bind', source: path, destination, readonly: words.includes('ro') };
}

/** DST[:size=64m,…] as a tmpfs. Throws USAGE_VOLUME, USAGE_SIZE. */
export function parseTmpfs(text: string): SandboxMount {
  const [destination = '', options = ''] = text.split(':', 2);
  if (!destination.startsWith('/') || /^\/+$/.test(destination)) {
    throw usage('USAGE_VOLUME', `--tmpfs ${text}: the destination is not absolute`, 'Write --tmpfs /run.');
  }
  const size = /(?:^|,)size=([^,]+)/.exec(options)?.[1];
  const readonly = /(?:^|,)ro(?:,|$)/.test(options);
  const mount = { type: 'tmpfs', destination, readonly } as const;
  return size === undefined ? mount : { ...mount, size: parseSize('--tmpfs', size) };
}

/** The value of --hostname. Throws USAGE_HOSTNAME. */
export function checkHostname(name: string): string {
  if (/^[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,62}[a-zA-Z0-9])?$/.test(name)) return name;
  throw usage(
    'USAGE_HOSTNAME',
    `--hostname ${name}: is no host name`,
    'Use letters, digits, dots and dashes, 64 at most.',
  );
}
