/**
 * registries.conf (containers-registries.conf(5), version 2): where a name is really fetched from, and how safely.
 * Short names always mean Docker Hub, so unqualified-search-registries and aliases are not read.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, messageOf, systemErrorCode } from '../errors.ts';
import type { Environment } from './proxy.ts';

/** One place to fetch a repository from. */
export interface PullSource {
  /** Host as in references. */
  readonly registry: string;
  readonly repository: string;
  /** undefined when the configuration says nothing. */
  readonly insecure: boolean | undefined;
  readonly mirror: boolean;
  /** Which references a mirror serves. */
  readonly serves: 'all' | 'digest-only' | 'tag-only';
}

/** A mirror given on the command line or through the environment: `prefix` is fetched from `location` first. */
export interface MirrorOption {
  readonly prefix: string;
  readonly location: string;
  readonly insecure?: boolean;
}

interface Mirror {
  readonly location: string;
  readonly insecure: boolean | undefined;
  readonly serves: PullSource['serves'];
}

interface Rule {
  readonly prefix: string;
  readonly location: string | undefined;
  readonly insecure: boolean | undefined;
  readonly blocked: boolean;
  readonly mirrors: readonly Mirror[];
  /** The file it is from, for messages. */
  readonly file: string;
}

/** What registries.conf says about repositories. */
export class RegistriesConf {
  readonly #rules: readonly Rule[];
  readonly #mirrors: readonly MirrorOption[];

  constructor(rules: readonly Rule[], mirrors: readonly MirrorOption[] = []) {
    this.#rules = rules;
    this.#mirrors = mirrors;
  }

  /** Places to fetch a repository from, in order: mirrors, then its own. Throws BuildError REGISTRY_BLOCKED. */
  pullSources(registry: string, repository: string): PullSource[] {
    const name = `${registry}/${repository}`;
    const rule = this.#rule(name);
    const own = this.#mirrors.filter(({ prefix }) => matchesPrefix(name, prefix));
    const mirrors: (Mirror & { prefix: string })[] = own.map((mirror) => ({
      ...mirror,
      insecure: mirror.insecure,
      serves: 'all',
    }));
    for (const mirror of rule?.mirrors ?? []) mirrors.push({ ...mirror, prefix: rule?.prefix ?? '' });
    const sources = mirrors.map((mirror): PullSource => {
      const target = splitLocation(relocate(name, mirror.prefix, mirror.location));
      return { ...target, insecure: mirror.insecure, mirror: true, serves: mirror.serves };
    });
    const origin = rule?.location === undefined ? name : relocate(name, rule.prefix, rule.location);
    return [...sources, { ...splitLocation(origin), insecure: rule?.insecure, mirror: false, serves: 'all' }];
  }

  /** Where a repository is pushed to: always its own name; only `insecure` and `blocked` apply. Throws REGISTRY_BLOCKED. */
  pushTarget(registry: string, repository: string): PullSource {
    const rule = this.#rule(`${registry}/${repository}`);
    return { registry, repository, insecure: rule?.insecure, mirror: false, serves: 'all' };
  }

  #rule(name: string): Rule | undefined {
    const matching = this.#rules.filter((rule) => matchesPrefix(name, rule.prefix));
    const rule = matching.sort((a, b) => b.prefix.length - a.prefix.length)[0];
    if (rule?.blocked !== true) return rule;
    throw new BuildError(
      'REGISTRY_BLOCKED',
      `${name} is blocked by prefix "${rule.prefix}" in ${rule.file}`,
      {
        suggestions: ['Use another registry, or remove blocked = true from that file.'],
      },
    );
  }
}

export interface RegistriesConfOptions {
  readonly env: Environment;
  readonly home: string;
  readonly mirrors?: readonly MirrorOption[];
}

/**
 * Reads $CONTAINERS_REGISTRIES_CONF, else the user's file, else the machine's; then the drop-in directories in the
 * order of containers-registries.conf.d(5). Throws BuildError REGISTRY_CONFIG for a file that is wrong.
 */
export async function readRegistriesConf(options: RegistriesConfOptions): Promise<RegistriesConf> {
  const files = configurationFiles(options).flatMap((path) => {
    const text = readIfExists(path);
    // The file most machines have is only comments; it is not worth loading a TOML parser for.
    return text === undefined || /^\s*(#.*)?$/.test(text.replaceAll(/^\s*(#.*)?\n/gm, ''))
      ? []
      : [{ path, text }];
  });
  const rules = new Map<string, Rule>();
  for (const { path, text } of files) {
    for (const rule of readRules(path, await parseToml(path, text))) rules.set(rule.prefix, rule);
  }
  return new RegistriesConf([...rules.values()], options.mirrors);
}

function configurationFiles({ env, home }: RegistriesConfOptions): string[] {
  const given = env['CONTAINERS_REGISTRIES_CONF'];
  const user = join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'containers/registries.conf');
  const machine = '/etc/containers/registries.conf';
  if (given !== undefined && given !== '') {
    if (readIfExists(given) === undefined)
      throw wrong(given, 'CONTAINERS_REGISTRIES_CONF names it, but it does not exist');
    return [given];
  }
  return readIfExists(user) === undefined
    ? [machine, ...dropIns(machine), ...dropIns(user)]
    : [user, ...dropIns(user)];
}

function dropIns(file: string): string[] {
  try {
    const names = readdirSync(`${file}.d`).filter((name) => name.endsWith('.conf'));
    return names.sort().map((name) => join(`${file}.d`, name));
  } catch {
    return [];
  }
}

async function parseToml(path: string, text: string): Promise<Table> {
  const { parse } = await import('smol-toml');
  try {
    return parse(text);
  } catch (error) {
    throw wrong(path, messageOf(error).split('\n')[0] ?? 'it is not TOML', error);
  }
}

type Table = Readonly<Record<string, unknown>>;

function readRules(path: string, toml: Table): Rule[] {
  const rules = tables(path, toml['registry'], 'registry').map((table) => readRule(path, table));
  // Version 1 of the format, which old machines still have, can say this much.
  for (const [section, setting] of [
    ['insecure', { insecure: true }],
    ['block', { blocked: true }],
  ] as const) {
    const list = (toml['registries'] as Record<string, { registries?: unknown }> | undefined)?.[section]
      ?.registries;
    for (const prefix of Array.isArray(list) ? list : []) {
      const base = {
        prefix: String(prefix),
        location: undefined,
        insecure: undefined,
        blocked: false,
        mirrors: [],
        file: path,
      };
      rules.push({ ...base, ...setting });
    }
  }
  return rules;
}

function readRule(path: string, table: Table): Rule {
  const location = stringAt(path, table, 'location');
  const prefix = stringAt(path, table, 'prefix') ?? location;
  if (prefix === undefined) throw wrong(path, 'a [[registry]] has neither prefix nor location');
  if (location === undefined && !prefix.startsWith('*.'))
    throw wrong(path, `[[registry]] "${prefix}" has no location`);
  const digestOnly = booleanAt(path, table, 'mirror-by-digest-only') === true;
  return {
    prefix: withoutSlash(prefix),
    location: location === undefined ? undefined : withoutSlash(location),
    insecure: booleanAt(path, table, 'insecure'),
    blocked: booleanAt(path, table, 'blocked') === true,
    mirrors: tables(path, table['mirror'], 'registry.mirror').map((mirror) =>
      readMirror(path, mirror, digestOnly),
    ),
    file: path,
  };
}

function readMirror(path: string, table: Table, digestOnly: boolean): Mirror {
  const location = stringAt(path, table, 'location');
  if (location === undefined) throw wrong(path, 'a [[registry.mirror]] has no location');
  const serves = stringAt(path, table, 'pull-from-mirror') ?? (digestOnly ? 'digest-only' : 'all');
  if (serves !== 'all' && serves !== 'digest-only' && serves !== 'tag-only') {
    throw wrong(path, `pull-from-mirror is "${serves}", not all, digest-only or tag-only`);
  }
  return { location: withoutSlash(location), insecure: booleanAt(path, table, 'insecure'), serves };
}

function tables(path: string, value: unknown, name: string): Table[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((entry) => typeof entry === 'object' && entry !== null))
    return value as Table[];
  throw wrong(path, `${name} must be written as [[${name}]]`);
}

function stringAt(path: string, table: Table, key: string): string | undefined {
  const value = table[key];
  if (value === undefined || value === '') return undefined;
  if (typeof value === 'string') return value;
  throw wrong(path, `${key} is not a string`);
}

function booleanAt(path: string, table: Table, key: string): boolean | undefined {
  const value = table[key];
  if (value === undefined || typeof value === 'boolean') return value;
  throw wrong(path, `${key} is neither true nor false`);
}

/** True when the name starts with the prefix and goes on at a separator; "*." stands for any subdomains. */
function matchesPrefix(name: string, prefix: string): boolean {
  if (prefix.startsWith('*.')) {
    const host = name.slice(0, name.indexOf('/')).replace(/:\d+$/, '');
    return host.endsWith(prefix.slice(1));
  }
  return name === prefix || name.startsWith(`${prefix}/`);
}

function relocate(name: string, prefix: string, location: string): string {
  // A wildcard stands for the whole host, so the location does too.
  if (prefix.startsWith('*.')) return `${location}${name.slice(name.indexOf('/'))}`;
  return `${location}${name.slice(prefix.length)}`;
}

function splitLocation(location: string): { registry: string; repository: string } {
  const slash = location.indexOf('/');
  return slash < 0
    ? { registry: location, repository: '' }
    : { registry: location.slice(0, slash), repository: location.slice(slash + 1) };
}

/** Hand-written locations end in a slash or start with a scheme often enough. */
function withoutSlash(text: string): string {
  return text.replace(/^https?:\/\//, '').replace(/\/+$/, '');
}

function readIfExists(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EISDIR'].includes(systemErrorCode(error) ?? '')) return undefined;
    throw wrong(path, messageOf(error), error);
  }
}

function wrong(path: string, why: string, cause?: unknown): BuildError {
  return new BuildError('REGISTRY_CONFIG', `${path}: ${why}`, {
    suggestions: ['See containers-registries.conf(5), version 2 of the format.'],
    cause,
  });
}
