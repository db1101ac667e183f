/**
 * `RUN --mount=`: the value as a typed mount. Follows BuildKit's instructions/commands_runmount.go: keys are read in
 * order, so `type` comes before what only some types have.
 */
import { BuildError } from '../errors.ts';
import { parseByteSize } from './byte-size.ts';
import { splitCsv } from './csv.ts';
import { didYouMean } from './suggest.ts';
import { cut, parseBool, quote } from './text.ts';

/** Owner and mode of what is mounted; undefined where not given. */
interface FileOwner {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** What every mount has. A target may be relative to WORKDIR, or empty, which is WORKDIR itself. */
interface MountBase {
  readonly target: string;
  readonly readOnly: boolean;
}

interface BindMount extends MountBase {
  readonly type: 'bind';
  /** Stage, image or named context; undefined means the build context. */
  readonly from?: string;
  /** Path in `from`; empty means all of it. */
  readonly source: string;
}

export interface CacheMount extends MountBase, FileOwner {
  readonly type: 'cache';
  /** Undefined means the target's path. */
  readonly id?: string;
  /** What the cache holds at first; undefined means nothing. */
  readonly from?: string;
  readonly source: string;
  readonly sharing: 'shared' | 'private' | 'locked';
}

interface TmpfsMount extends MountBase {
  readonly type: 'tmpfs';
  /** Upper bound in bytes; undefined means none. */
  readonly size?: number;
}

export interface SecretMount extends FileOwner {
  readonly type: 'secret';
  /** Name of the secret: id or source, else the last part of the target. */
  readonly id: string;
  /** Undefined means /run/secrets/ID, or no file at all when `env` is given. */
  readonly target?: string;
  /** Variable that holds the secret; the empty string means one named like the secret. */
  readonly env?: string;
  readonly required: boolean;
}

export interface SshMount extends FileOwner {
  readonly type: 'ssh';
  /** Undefined means the default agent. */
  readonly id?: string;
  /** Undefined means a socket of the builder's choice. */
  readonly target?: string;
  readonly required: boolean;
}

export type RunMount = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount;

type MountType = RunMount['type'];

/** Options as they come in; `build` sorts them out. */
interface Draft {
  type: MountType;
  from: string;
  source: string;
  target: string;
  id: string;
  sharing: CacheMount['sharing'] | undefined;
  readOnly: boolean | undefined;
  required: boolean;
  size: number | undefined;
  env: string | undefined;
  mode: number | undefined;
  uid: number | undefined;
  gid: number | undefined;
}

const TYPES: readonly MountType[] = ['bind', 'cache', 'tmpfs', 'secret', 'ssh'];
const SHARINGS: readonly CacheMount['sharing'][] = ['shared', 'private', 'locked'];
const KEYS = [
  'type',
  'from',
  'source',
  'target',
  'readonly',
  'id',
  'sharing',
  'required',
  'size',
  'mode',
  'uid',
  'gid',
  'src',
  'dst',
  'destination',
  'ro',
  'rw',
  'readwrite',
  'env',
];

function refuse(message: string, ...suggestions: string[]): BuildError {
  return new BuildError('DOCKERFILE_MOUNT', message, { suggestions });
}

function unexpected(key: string, type: MountType): BuildError {
  return refuse(
    `unexpected key '${key}' for mount type '${type}'`,
    `Put type= before ${key}=, or remove ${key}.`,
  );
}

function invalid(key: string, value: string): BuildError {
  return refuse(`invalid value for ${key}: ${value}`, `Correct the value of ${key}.`);
}

function oneOf<T extends string>(value: string, known: readonly T[], what: string): T {
  const found = known.find((candidate) => candidate === value.toLowerCase());
  if (found !== undefined) return found;
  throw refuse(
    `unsupported ${what} ${quote(value)}`,
    ...didYouMean(value, known),
    `Known: ${known.join(', ')}.`,
  );
}

function toBoolean(key: string, value: string | undefined): boolean {
  const parsed = value === undefined ? true : parseBool(value);
  if (parsed === undefined) throw invalid(key, value ?? '');
  return parsed;
}

function toNumber(key: string, value: string): number {
  const base = key === 'mode' ? 8 : 10;
  const number = (base === 8 ? /^[0-7]+$/ : /^\d+$/).test(value) ? Number.parseInt(value, base) : Number.NaN;
  if (number < 2 ** 32) return number;
  throw refuse(
    `invalid value ${value} for ${key}`,
    base === 8
      ? 'Write the mode in octal, such as 0600.'
      : `Write ${key} as a number; names are not looked up here.`,
  );
}

function toBytes(value: string): number {
  const size = parseByteSize(value);
  if (size === undefined) throw invalid('size', value);
  return size;
}

const ALIASES: Readonly<Record<string, string>> = {
  src: 'source',
  dst: 'target',
  destination: 'target',
  ro: 'readonly',
  rw: 'readwrite',
};

/** Sets one option. A key without `=` has the value undefined. */
function apply(draft: Draft, key: string, value: string | undefined): void {
  const name = ALIASES[key] ?? key;
  if (name === 'readonly') draft.readOnly = toBoolean(key, value);
  else if (name === 'readwrite') draft.readOnly = !toBoolean(key, value);
  else if (name === 'required') {
    if (draft.type !== 'secret' && draft.type !== 'ssh') throw unexpected(key, draft.type);
    draft.required = toBoolean(key, value);
  } else applyValue(draft, name, value ?? '');
}

function applyValue(draft: Draft, name: string, value: string): void {
  if (name === 'type') draft.type = oneOf(value, TYPES, 'mount type');
  else if (name === 'sharing') draft.sharing = oneOf(value, SHARINGS, 'sharing value');
  else if (name === 'from' || name === 'source' || name === 'target' || name === 'id' || name === 'env') {
    draft[name] = value;
  } else if (name === 'mode' || name === 'uid' || name === 'gid') draft[name] = toNumber(name, value);
  else if (name === 'size') {
    if (draft.type !== 'tmpfs') throw unexpected(name, draft.type);
    draft.size = toBytes(value);
  }
}

function isSwitch(key: string): boolean {
  return /^(readonly|ro|readwrite|rw|required)$/.test(key);
}

function readFields(raw: string): { field: string; key: string; value: string | undefined }[] {
  try {
    return splitCsv(raw).map((field) => {
      const [key, value] = cut(field, '=');
      return { field, key: key.toLowerCase(), value };
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw refuse(
      `failed to parse csv mounts: ${reason}`,
      'Write key=value pairs with commas between; put a pair that holds a comma in double quotes.',
    );
  }
}

function checkSecret(draft: Draft): void {
  if (draft.from !== '') throw refuse('secret mount should not have a from', 'Remove from=.');
  if (draft.sharing !== undefined) throw refuse('secret mount should not define sharing', 'Remove sharing=.');
  if (draft.source === '' && draft.target === '' && draft.id === '') {
    throw refuse('invalid secret mount. one of source, target required', 'Name the secret with id=.');
  }
  if (draft.source !== '' && draft.id !== '') {
    throw refuse("both source and id can't be set", 'Keep id= and remove source=.');
  }
}

function check(draft: Draft): void {
  const { type } = draft;
  for (const key of ['mode', 'uid', 'gid'] as const) {
    if (draft[key] !== undefined && (type === 'bind' || type === 'tmpfs')) {
      throw refuse(`${key} not allowed for ${quote(type)} type mounts`, `Remove ${key}=.`);
    }
  }
  if (type === 'secret') checkSecret(draft);
  if (draft.sharing !== undefined && type !== 'cache') {
    throw refuse(`invalid cache sharing set for ${type} mount`, 'Only type=cache has sharing=.');
  }
  if (type === 'ssh' && draft.source !== '')
    throw refuse('ssh does not support source', 'Write id= instead.');
}

function build(draft: Draft): RunMount {
  const { type, target, source, required } = draft;
  const owner = {
    ...(draft.mode !== undefined && { mode: draft.mode }),
    ...(draft.uid !== undefined && { uid: draft.uid }),
    ...(draft.gid !== undefined && { gid: draft.gid }),
  };
  const from = draft.from === '' ? {} : { from: draft.from };
  const named = { ...(draft.id !== '' && { id: draft.id }) };
  const placed = { ...(target !== '' && { target }) };
  switch (type) {
    case 'bind':
      return { type, target, source, readOnly: draft.readOnly ?? true, ...from };
    case 'cache': {
      const sharing = draft.sharing ?? 'shared';
      return {
        type,
        target,
        source,
        readOnly: draft.readOnly ?? false,
        sharing,
        ...from,
        ...named,
        ...owner,
      };
    }
    case 'tmpfs': {
      const size = draft.size === undefined || draft.size === 0 ? {} : { size: draft.size };
      return { type, target, readOnly: draft.readOnly ?? false, ...size };
    }
    case 'secret': {
      const id = source || draft.id || (target.split('/').findLast((part) => part !== '') ?? '/');
      return { type, id, required, ...placed, ...(draft.env !== undefined && { env: draft.env }), ...owner };
    }
    case 'ssh':
      return { type, required, ...named, ...placed, ...owner };
  }
}

/**
 * Reads the value of a `--mount`; `expand` replaces the variables in each option's value.
 * Throws DOCKERFILE_MOUNT, without a location, for everything BuildKit refuses, and what `expand` throws.
 */
export function parseRunMount(raw: string, expand: (value: string) => string): RunMount {
  const draft: Draft = {
    type: 'bind',
    from: '',
    source: '',
    target: '',
    id: '',
    sharing: undefined,
    readOnly: undefined,
    required: false,
    size: undefined,
    env: undefined,
    mode: undefined,
    uid: undefined,
    gid: undefined,
  };
  for (const { field, key, value } of readFields(raw)) {
    if (value === undefined && !isSwitch(key)) {
      throw refuse(`invalid field '${field}' must be a key=value pair`, `Write ${field}=VALUE.`);
    }
    if (!KEYS.includes(key)) {
      throw refuse(
        `unexpected key '${key}' in '${field}'`,
        ...didYouMean(key, KEYS),
        `Known: ${KEYS.join(', ')}.`,
      );
    }
    apply(draft, key, value === undefined ? undefined : expand(value));
  }
  check(draft);
  return build(draft);
}

/**
 * The `from` of a `--mount` before expansion, for the order of stages; undefined where there is none.
 * Throws DOCKERFILE_MOUNT when the value is not CSV, and for a variable in `from`, which would make the order depend on values.
 */
export function readMountFrom(raw: string): string | undefined {
  let from: string | undefined;
  for (const { key, value } of readFields(raw)) {
    if (key !== 'from' || value === undefined) continue;
    const dollar = value.indexOf('$');
    if (dollar >= 0 && dollar !== value.length - 1) {
      throw refuse(
        "'from' doesn't support variable expansion, define alias stage instead",
        'Add a stage such as FROM $IMAGE AS tools and write from=tools.',
      );
    }
    from = value === '' ? undefined : value;
  }
  return from;
}
