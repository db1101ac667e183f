/** Values of flags that have a grammar of their own. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import type { KeepStorage } from '../actions/prune-store.ts';
import { parseByteSize } from '../dockerfile/byte-size.ts';
import { splitCsv } from '../dockerfile/csv.ts';
import { BuildError, type ErrorCode, messageOf } from '../errors.ts';
import type { Ulimit } from '../executor/sandbox.ts';
import { epochSeconds } from '../plan/epoch.ts';

/** An error of usage with its remedy. */
export function usage(code: ErrorCode, message: string, suggestion: string): BuildError {
  return new BuildError(code, message, { suggestions: [suggestion] });
}

/** NAME=VALUE; a name alone has the empty value. Throws USAGE_KEY_VALUE. */
export function keyValue(flag: string, text: string): [string, string] {
  const equals = text.indexOf('=');
  const name = equals < 0 ? text : text.slice(0, equals);
  if (name === '')
    throw usage('USAGE_KEY_VALUE', `${flag} ${text}: the name is missing`, 'Write NAME=VALUE.');
  return [name, equals < 0 ? '' : text.slice(equals + 1)];
}

/** A size in bytes with a unit: 64m, 1g, 512k. Throws USAGE_SIZE. */
export function parseSize(flag: string, text: string): number {
  const size = parseByteSize(text.trim());
  if (size !== undefined) return size;
  throw usage('USAGE_SIZE', `${flag} ${text}: is no size`, 'Write a number with a unit, such as 128m or 1g.');
}

/** NAME:ADDRESS or NAME=ADDRESS; "host-gateway" is this machine's own address. Throws USAGE_ADD_HOST. */
export function parseAddHost(text: string): { name: string; address: string } {
  const match = /^([^:=]+)[:=](.+)$/.exec(text);
  const name = match?.[1];
  const address = match?.[2]?.replace(/^\[(.*)\]$/, '$1');
  if (name === undefined || address === undefined || (isIP(address) === 0 && address !== 'host-gateway')) {
    throw usage(
      'USAGE_ADD_HOST',
      `--add-host ${text}: is no host and address`,
      'Write NAME:ADDRESS, such as db:10.0.0.5.',
    );
  }
  return { name, address: address === 'host-gateway' ? '127.0.0.1' : address };
}

const LIMITS = new Set(
  'core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(
    ' ',
  ),
);

/** NAME=SOFT[:HARD]; -1 is without limit. Throws USAGE_ULIMIT. */
export function parseUlimit(text: string): Ulimit {
  const match = /^([a-z]+)=(-1|\d+)(?::(-1|\d+))?$/.exec(text);
  const name = match?.[1];
  if (name === undefined || !LIMITS.has(name)) {
    throw usage(
      'USAGE_ULIMIT',
      `--ulimit ${text}: is no limit`,
      'Write NAME=SOFT[:HARD], such as nofile=1024:4096.',
    );
  }
  const soft = Number(match?.[2]);
  const hard = match?.[3] === undefined ? soft : Number(match[3]);
  if (hard >= 0 && (soft < 0 || soft > hard)) {
    throw usage('USAGE_ULIMIT', `--ulimit ${text}: the soft limit is above the hard one`, 'Swap them.');
  }
  return { name, soft, hard };
}

const MAX_SECRET = 500 * 1024;

/** id=ID[,src=FILE|,env=NAME][,type=file|env]: the ID and the secret's bytes in base64. Throws USAGE_SECRET. */
export function parseSecret(text: string, env: NodeJS.ProcessEnv): [string, { value: string }] {
  const fields = new Map<string, string>();
  for (const field of splitCsv(text)) {
    const [key, value] = keyValue('--secret', field);
    fields.set(key.toLowerCase(), value);
  }
  const type = fields.get('type');
  const source = fields.get('src') ?? fields.get('source');
  const variable = fields.get('env') ?? (type === 'env' ? (source ?? fields.get('id')) : undefined);
  const id = fields.get('id') ?? source ?? variable;
  if (id === undefined || id === '') {
    throw usage(
      'USAGE_SECRET',
      `--secret ${text}: the id is missing`,
      'Write id=ID,src=FILE or id=ID,env=NAME.',
    );
  }
  if (variable !== undefined)
    return [id, { value: Buffer.from(fromVariable(variable, id, env)).toString('base64') }];
  if (source === undefined && env[id] !== undefined)
    return [id, { value: Buffer.from(env[id]).toString('base64') }];
  return [id, { value: readSecret(source ?? id).toString('base64') }];
}

function fromVariable(name: string, id: string, env: NodeJS.ProcessEnv): string {
  const value = env[name];
  if (value !== undefined) return value;
  throw usage(
    'USAGE_SECRET',
    `--secret id=${id}: the variable ${name} is not set`,
    `Set ${name}, or use src=FILE.`,
  );
}

function readSecret(path: string): Buffer {
  let content: Buffer;
  try {
    content = readFileSync(resolve(path));
  } catch (error) {
    throw usage(
      'USAGE_SECRET',
      `--secret: cannot read ${path}: ${messageOf(error)}`,
      'Name a readable file with src=.',
    );
  }
  if (content.length > MAX_SECRET)
    throw usage('USAGE_SECRET', `--secret: ${path} is larger than 500 KiB`, 'Secrets are small files.');
  return content;
}

/** "default" (the agent of SSH_AUTH_SOCK) or ID[=PATH[,PATH]]: the ID, and the agent's socket or private keys. Throws USAGE_SSH. */
export function parseSsh(text: string, env: NodeJS.ProcessEnv): [string, string[]] {
  const [id, given] = keyValue('--ssh', text);
  const paths = (given === '' ? (env['SSH_AUTH_SOCK'] ?? '') : given)
    .split(',')
    .filter((path) => path !== '');
  if (paths.length === 0) {
    throw usage(
      'USAGE_SSH',
      `--ssh ${text}: there is no ssh agent (SSH_AUTH_SOCK is not set)`,
      'Start one (eval $(ssh-agent)), or name its socket or private keys: --ssh ID=PATH[,PATH].',
    );
  }
  return [id === '' ? 'default' : id, paths.map((path) => resolve(path))];
}

/** SOURCE_DATE_EPOCH in seconds; undefined when it is not set, or empty. Throws USAGE_EPOCH. */
export function epochFlag(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const seconds = epochSeconds(text);
  if (seconds !== undefined) return seconds;
  throw usage(
    'USAGE_EPOCH',
    `SOURCE_DATE_EPOCH must be whole seconds since 1970, not "${text}"`,
    'For example: $(git log -1 --format=%ct).',
  );
}

/** KILN_KEEP_STORAGE: a size such as 20GB, or "unlimited". Throws USAGE_SIZE. */
export function keepStorage(text: string | undefined): KeepStorage {
  if (text === undefined || text === '') return 'default';
  return /^(?:unlimited|off|none)$/i.test(text) ? 'unlimited' : parseSize('KILN_KEEP_STORAGE', text);
}
