/** Flags of `kiln build` to a request: every value checked here, so that nothing is begun on wrong usage. */
import { availableParallelism } from 'node:os';
import type { BuildRequest, CacheRequest } from '../actions/build-request.ts';
import type { BuildScratch } from '../actions/build-scratch.ts';
import { sshAgents } from '../actions/ssh-agents.ts';
import {
  parseCacheExport,
  parseCacheImport,
  parseMountExport,
  parseMountImport,
} from '../cache/cache-spec.ts';
import { emulatedArchitectures } from '../executor/foreign-platform.ts';
import type { Platform } from '../image/descriptor.ts';
import { formatPlatform, parsePlatform } from '../image/platform.ts';
import { formatReference, parseReference, withDefaultTag } from '../image/reference.ts';
import { isToStandardOutput, type OutputSpec, parseOutput } from '../output/output-spec.ts';
import { EPOCH } from '../plan/stage-graph.ts';
import { namedContext, readSources } from './build-sources.ts';
import { currentDirectory } from './current-directory.ts';
import {
  keyValue,
  parseAddHost,
  parseSecret,
  parseSize,
  parseSsh,
  parseUlimit,
  usage,
} from './flag-values.ts';
import { hostPlatform } from './host-platform.ts';
import { refuseTerminal } from './output-file.ts';

export interface BuildFlags {
  readonly file?: string | undefined;
  readonly tag?: string[] | undefined;
  readonly 'build-arg'?: string[] | undefined;
  readonly 'build-context'?: string[] | undefined;
  readonly target?: string | undefined;
  readonly platform?: string[] | undefined;
  readonly output?: string[] | undefined;
  readonly push?: boolean;
  readonly load?: boolean;
  readonly squash?: boolean;
  readonly 'no-cache'?: boolean;
  readonly 'no-cache-filter'?: string[] | undefined;
  readonly 'cache-from'?: string[] | undefined;
  readonly 'cache-to'?: string[] | undefined;
  readonly 'cache-mount-from'?: string[] | undefined;
  readonly 'cache-mount-to'?: string[] | undefined;
  readonly pull?: boolean;
  readonly explain?: boolean;
  readonly network: string;
  readonly label?: string[] | undefined;
  readonly annotation?: string[] | undefined;
  readonly secret?: string[] | undefined;
  readonly ssh?: string[] | undefined;
  readonly 'add-host'?: string[] | undefined;
  readonly 'shm-size': string;
  readonly ulimit?: string[] | undefined;
  readonly 'source-date-epoch'?: string | undefined;
  readonly isolation: string;
  readonly snapshotter: string;
  readonly jobs?: number | undefined;
}

export interface BuildPlaces {
  /** The context as given: a directory, an address, or "-". */
  readonly context: string;
  /** The local store. */
  readonly root: string;
  readonly scratch: BuildScratch;
  readonly signal: AbortSignal;
}

/** Reads the Dockerfile and the ignore file, and checks all flags. Throws USAGE_*, CONTEXT_* and, fetching, COPY_*. */
export async function toBuildRequest(
  flags: BuildFlags,
  { context, root, scratch, signal }: BuildPlaces,
): Promise<BuildRequest> {
  const { env } = process;
  const directory = currentDirectory();
  const host = hostPlatform();
  const buildArgs = buildArgsOf(flags, env);
  const secrets = new Map((flags.secret ?? []).map((text) => parseSecret(text, env)));
  const ssh = await sshAgents(new Map((flags.ssh ?? []).map((text) => parseSsh(text, env))), {
    scratch,
    env,
    signal,
  });
  const sources = await readSources({
    context,
    file: flags.file,
    world: { root, env, settings: { secrets, ssh }, scratch, signal },
    keepGitDir: keepGitDir(buildArgs),
  });
  const names = (flags.tag ?? []).map(fullName);
  const outputs = outputsOf(flags, names);
  const platforms = flags.platform ?? (env.DOCKER_DEFAULT_PLATFORM || undefined)?.split(',');
  const targetPlatforms = platformsOf(platforms, host);
  if (targetPlatforms.length > 1) refuseSinglePlatform(outputs);
  const jobs = flags.jobs ?? Math.max(4, availableParallelism() * 2);
  return {
    root,
    ...sources,
    namedContexts: new Map((flags['build-context'] ?? []).map((text) => namedContext(text, directory))),
    target: flags.target,
    buildArgs,
    targetPlatforms,
    platformGiven: platforms !== undefined,
    hostPlatform: host,
    emulated: emulatedArchitectures(),
    labels: Object.fromEntries((flags.label ?? []).map((text) => keyValue('--label', text))),
    annotations: Object.fromEntries((flags.annotation ?? []).map((text) => keyValue('--annotation', text))),
    noCache: flags['no-cache'] === true ? true : noCacheStages(flags['no-cache-filter']),
    pull: flags.pull === true,
    explain: flags.explain === true,
    trial: false,
    network: flags.network === 'none' || flags.network === 'private' ? flags.network : 'host',
    outputs,
    squash: flags.squash === true,
    settings: {
      hostname: 'buildkitsandbox',
      extraHosts: (flags['add-host'] ?? []).map(parseAddHost),
      shmSize: parseSize('--shm-size', flags['shm-size']),
      ulimits: (flags.ulimit ?? []).map(parseUlimit),
      secrets,
      ssh,
    },
    isolation: flags.isolation as BuildRequest['isolation'],
    snapshotter: flags.snapshotter as BuildRequest['snapshotter'],
    jobs,
    threads: Math.max(2, availableParallelism()),
    directory,
    env: { ...env },
    caches: cachesOf(flags, directory),
    known: new Map(),
    fetched: new Map(),
  };
}

function cachesOf(flags: BuildFlags, directory: string): CacheRequest {
  return {
    from: (flags['cache-from'] ?? []).flatMap((text) => parseCacheImport(text, directory)),
    to: (flags['cache-to'] ?? []).flatMap((text) => parseCacheExport(text, directory)),
    mountsFrom: (flags['cache-mount-from'] ?? []).flatMap((text) => parseMountImport(text, directory)),
    mountsTo: (flags['cache-mount-to'] ?? []).flatMap((text) => parseMountExport(text, directory)),
    known: new Map(),
    damaged: new Map(),
  };
}

/** Platforms in the order given, each once. */
function platformsOf(values: string[] | undefined, host: Platform): Platform[] {
  const platforms = (values ?? [])
    .flatMap((value) => value.split(','))
    .map((text) => parsePlatform(text.trim(), host));
  if (platforms.length === 0) return [host];
  return [...new Map(platforms.map((platform) => [formatPlatform(platform), platform])).values()];
}

/** Some outputs have no place for a second platform; better told before the build than after. */
function refuseSinglePlatform(outputs: readonly OutputSpec[]): void {
  const single = outputs.find(({ type }) => type === 'docker' || type === 'tar');
  if (single === undefined) return;
  throw usage(
    'USAGE_PLATFORM',
    `--output type=${single.type} holds one platform`,
    'Use type=oci, or --push, for an image index; or build one platform.',
  );
}

function keepGitDir(buildArgs: ReadonlyMap<string, string>): boolean | undefined {
  const value = buildArgs.get('BUILDKIT_CONTEXT_KEEP_GIT_DIR');
  return value === undefined ? undefined : /^(?:1|t|true)$/i.test(value);
}

function noCacheStages(filter: string[] | undefined): boolean | ReadonlySet<string> {
  if (filter === undefined) return false;
  return new Set(filter.flatMap((value) => value.split(',')).map((name) => name.trim().toLowerCase()));
}

function fullName(tag: string): string {
  const reference = parseReference(tag);
  if (reference.digest !== undefined) {
    throw usage(
      'USAGE_TAG',
      `-t ${tag}: a name for a new image cannot have a digest`,
      'Leave the @sha256:… out.',
    );
  }
  return formatReference(withDefaultTag(reference));
}

/** --build-arg, and SOURCE_DATE_EPOCH by its own flag, which goes before, or by the environment, which goes after. */
function buildArgsOf(flags: BuildFlags, env: NodeJS.ProcessEnv): ReadonlyMap<string, string> {
  const given = new Map((flags['build-arg'] ?? []).flatMap((text) => buildArg(text, env)));
  const epoch = flags['source-date-epoch'] ?? given.get(EPOCH) ?? (env[EPOCH] || undefined);
  return epoch === undefined ? given : given.set(EPOCH, epoch);
}

function buildArg(text: string, env: NodeJS.ProcessEnv): [string, string][] {
  const equals = text.indexOf('=');
  if (equals === 0 || text === '')
    throw usage('USAGE_BUILD_ARG', `--build-arg ${text}: the name is missing`, 'Write NAME=VALUE.');
  if (equals > 0) return [[text.slice(0, equals), text.slice(equals + 1)]];
  const value = env[text];
  return value === undefined ? [] : [[text, value]];
}

/** Throws USAGE_OUTPUT for what standard output cannot take. */
function refuseStandardOutput(outputs: readonly OutputSpec[]): void {
  if (outputs.length > 1) {
    throw usage('USAGE_OUTPUT', 'two outputs cannot both be standard output', 'Name a file with dest=FILE.');
  }
  if (outputs.length === 1) refuseTerminal('dest=FILE');
}

function outputsOf(flags: BuildFlags, names: readonly string[]): OutputSpec[] {
  const outputs = (flags.output ?? []).map((text) => parseOutput(text, names));
  refuseStandardOutput(outputs.filter(isToStandardOutput));
  if (flags.push === true) {
    if (names.length === 0 && !outputs.some((spec) => spec.type === 'image')) {
      throw usage('USAGE_PUSH', '--push needs a name to push to', 'Add -t REGISTRY/REPOSITORY:TAG.');
    }
    const images = outputs.filter((spec) => spec.type === 'image');
    if (images.length === 0) outputs.push(parseOutput('type=registry', names));
    return outputs.map((spec) => (spec.type === 'image' ? { ...spec, push: true } : spec));
  }
  if (outputs.length === 0 || flags.load === true) outputs.push(parseOutput('type=image', names));
  return outputs;
}
