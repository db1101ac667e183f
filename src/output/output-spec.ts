/** The grammar of --output: `type=…,key=value,…` (CSV, quotes allowed), or a bare path for a directory. */
import { splitCsv } from '../dockerfile/csv.ts';
import { BuildError, messageOf } from '../errors.ts';
import type { Compression } from '../image/descriptor.ts';

/** How layers that this build made are written. */
export interface LayerForm {
  readonly compression: Compression;
  readonly level: number | undefined;
  /** Recompress layers of the base image too. */
  readonly force: boolean;
}

interface ImageOptions {
  readonly names: readonly string[];
  readonly form: LayerForm;
  /** undefined: OCI for OCI outputs and registries, Docker's for docker archives. */
  readonly mediaTypes: 'oci' | 'docker';
  readonly annotations: Readonly<Record<string, string>>;
}

export type OutputSpec =
  | ({ readonly type: 'image'; readonly push: boolean } & ImageOptions)
  | ({ readonly type: 'oci' | 'docker'; readonly destination: string; readonly tar: boolean } & ImageOptions)
  /** The root filesystem: as files in a directory, or as one tar. "-" is standard output. */
  | { readonly type: 'local' | 'tar'; readonly destination: string };

const TYPES = ['image', 'registry', 'oci', 'docker', 'tar', 'local'] as const;
type TypeName = (typeof TYPES)[number];

const IMAGE_KEYS = [
  'name',
  'push',
  'compression',
  'compression-level',
  'force-compression',
  'oci-mediatypes',
  'dest',
  'tar',
];

function wrong(text: string, message: string, suggestion: string): BuildError {
  return new BuildError('USAGE_OUTPUT', `--output ${text}: ${message}`, { suggestions: [suggestion] });
}

/** True for a file name that says standard output: opening it anew need not be allowed. */
export function saysStandardOutput(name: string): boolean {
  return ['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1'].includes(name);
}

/** True for one that writes to standard output. */
export function isToStandardOutput(spec: OutputSpec): boolean {
  return 'destination' in spec && spec.destination === '-';
}

/** Reads one --output value. `names` are the -t names. Throws USAGE_OUTPUT. */
export function parseOutput(text: string, names: readonly string[]): OutputSpec {
  if (text === '') throw wrong('""', 'is empty', 'Name a directory, or write type=…,dest=….');
  const fields = fieldsOf(text);
  const [first] = fields;
  if (fields.length === 1 && first !== undefined && !first.includes('=')) {
    return first === '-' ? { type: 'tar', destination: '-' } : { type: 'local', destination: first };
  }
  const options = new Map<string, string>();
  for (const field of fields) {
    const equals = field.indexOf('=');
    if (equals < 1) throw wrong(text, `"${field}" is no key=value`, 'Write type=…,dest=….');
    options.set(field.slice(0, equals).trim().toLowerCase(), field.slice(equals + 1));
  }
  const type = options.get('type');
  if (!TYPES.includes(type as TypeName)) {
    throw wrong(
      text,
      type === undefined ? 'type is missing' : `unknown type "${type}"`,
      `Types: ${TYPES.join(', ')}.`,
    );
  }
  options.delete('type');
  return specOf(type as TypeName, { text, options, names });
}

function fieldsOf(text: string): string[] {
  try {
    return splitCsv(text);
  } catch (error) {
    throw wrong(text, messageOf(error), 'Quote a whole key=value that holds a comma: \'"dest=a,b"\'.');
  }
}

interface Parsed {
  readonly text: string;
  readonly options: Map<string, string>;
  readonly names: readonly string[];
}

function specOf(type: TypeName, parsed: Parsed): OutputSpec {
  const { text, options } = parsed;
  const named = options.get('dest') ?? options.get('destination');
  const destination = named !== undefined && saysStandardOutput(named) ? '-' : named;
  if (type === 'local' || type === 'tar') {
    refuseUnknown(parsed, ['dest', 'destination']);
    if (destination === undefined && type === 'local') {
      throw wrong(text, 'dest is missing', 'Name the directory: type=local,dest=DIR.');
    }
    return { type, destination: destination ?? '-' };
  }
  const image = imageOptions(type, parsed);
  if (type === 'image' || type === 'registry') {
    const push = type === 'registry' || flag(parsed, 'push', false);
    if (push && image.names.length === 0) {
      throw wrong(text, 'there is no name to push to', 'Add name=REGISTRY/REPOSITORY:TAG or -t.');
    }
    return { type: 'image', push, ...image };
  }
  const tar = flag(parsed, 'tar', true);
  if (!tar && destination === undefined) {
    throw wrong(text, 'tar=false needs dest', 'Name the directory: dest=DIR.');
  }
  if (!tar && type === 'docker') {
    throw wrong(text, 'tar=false is for type=oci', 'Use type=oci,tar=false, or leave tar=false out.');
  }
  return { type, destination: destination ?? '-', tar, ...image };
}

function imageOptions(type: TypeName, parsed: Parsed): ImageOptions {
  const { text, options, names } = parsed;
  refuseUnknown(parsed, IMAGE_KEYS);
  // A docker archive holds plain tars, as docker save writes them: what reads one may not decompress.
  const plain = type === 'docker' && !options.has('compression');
  const compression = options.get('compression') ?? (plain ? 'uncompressed' : 'gzip');
  if (compression !== 'gzip' && compression !== 'zstd' && compression !== 'uncompressed') {
    throw wrong(text, `unknown compression "${compression}"`, 'Use gzip, zstd or uncompressed.');
  }
  const name = options.get('name');
  const mediaTypes = flag(parsed, 'oci-mediatypes', type !== 'docker') ? 'oci' : 'docker';
  const annotations: Record<string, string> = {};
  for (const [key, value] of options) {
    const match = /^annotation(?:-manifest)?\.(.+)$/.exec(key);
    if (match?.[1] !== undefined) annotations[match[1]] = value;
  }
  return {
    names: name === undefined ? names : name.split(',').map((part) => part.trim()),
    form: {
      compression,
      level: levelOf(parsed, compression),
      force: flag(parsed, 'force-compression', plain),
    },
    mediaTypes,
    annotations,
  };
}

function levelOf({ text, options }: Parsed, compression: Compression): number | undefined {
  const value = options.get('compression-level');
  if (value === undefined) return undefined;
  const level = Number(value);
  const [low, high] = compression === 'zstd' ? [1, 22] : [0, 9];
  if (!Number.isInteger(level) || level < low || level > high || compression === 'uncompressed') {
    throw wrong(text, `compression-level ${value} is not possible`, 'gzip takes 0 to 9, zstd 1 to 22.');
  }
  return level;
}

function flag({ text, options }: Parsed, key: string, fallback: boolean): boolean {
  const value = options.get(key);
  if (value === undefined) return fallback;
  if (/^(?:true|1|t)$/i.test(value)) return true;
  if (/^(?:false|0|f)$/i.test(value)) return false;
  throw wrong(text, `${key} must be true or false, not "${value}"`, `Write ${key}=true or ${key}=false.`);
}

function refuseUnknown({ text, options }: Parsed, known: readonly string[]): void {
  for (const key of options.keys()) {
    if (known.includes(key) || key.startsWith('annotation')) continue;
    throw wrong(text, `unknown key "${key}"`, `Keys: type, ${known.join(', ')}.`);
  }
}
