/** The values of `RUN --network`, `--security` and `--device`. Follows BuildKit's instructions/commands_run*.go. */
import { BuildError } from '../errors.ts';
import { splitCsv } from './csv.ts';
import { didYouMean } from './suggest.ts';
import { cut, parseBool, quote } from './text.ts';

function refuse(message: string, ...suggestions: string[]): BuildError {
  return new BuildError('DOCKERFILE_FLAG', message, { suggestions });
}

const NETWORKS = ['default', 'none', 'host'];
const SECURITIES = ['sandbox', 'insecure'];

/** Throws DOCKERFILE_FLAG unless `value` is default, none or host. */
export function checkRunNetwork(value: string): void {
  if (NETWORKS.includes(value)) return;
  throw refuse(
    `invalid network mode ${quote(value)}`,
    ...didYouMean(value, NETWORKS),
    'Known: default, none, host.',
  );
}

/** Throws DOCKERFILE_FLAG unless `value` is sandbox or insecure. */
export function checkRunSecurity(value: string): void {
  if (SECURITIES.includes(value)) return;
  throw refuse(
    `security ${quote(value)} is not valid`,
    ...didYouMean(value, SECURITIES),
    'Known: sandbox, insecure.',
  );
}

/** A device a RUN asks for, by its CDI name such as vendor.com/class=name. */
export interface RunDevice {
  readonly name: string;
  readonly required: boolean;
}

/** Reads the value of a `--device`. Throws DOCKERFILE_FLAG for what BuildKit refuses. */
export function parseRunDevice(raw: string): RunDevice {
  let name = '';
  let required = false;
  for (const field of deviceFields(raw)) {
    const [written, value] = cut(field, '=');
    const key = written.toLowerCase();
    if (key === 'required') required = deviceBoolean(key, value);
    else if (key === 'name' && value !== undefined) {
      if (name !== '') throw refuse(`device name already set to ${name}`, 'Name one device a flag.');
      name = value;
    } else if (name === '') name = field;
    else if (value === undefined) {
      throw refuse(`invalid field '${field}' must be a key=value pair`, `Write ${field}=VALUE.`);
    } else {
      throw refuse(`unexpected key '${key}' in '${field}'`, ...didYouMean(key, ['name', 'required']));
    }
  }
  return { name, required };
}

function deviceFields(raw: string): string[] {
  try {
    return splitCsv(raw);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw refuse(
      `failed to parse csv devices: ${reason}`,
      'Write --device=NAME or --device=name=NAME,required.',
    );
  }
}

function deviceBoolean(key: string, value: string | undefined): boolean {
  const parsed = value === undefined ? true : parseBool(value);
  if (parsed === undefined)
    throw refuse(`invalid value for ${key}: ${value}`, 'Write required, or required=false.');
  return parsed;
}
