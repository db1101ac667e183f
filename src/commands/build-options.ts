/** Flags of `kiln build` to a request: every value checked here, so that nothing is begun on wrong usage. */
import { readFileSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import type { BuildRequest } from '../build-request.ts';
import { parseIgnoreFile } from '../dockerfile/ignore.ts';
import { BuildError, messageOf, type SourceFile, systemErrorCode } from '../errors.ts';
import { parsePlatform } from '../image/platform.ts';
import { formatReference, parseReference, withDefaultTag } from '../image/reference.ts';
import { type OutputSpec, parseOutput } from '../output/output-spec.ts';
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
  readonly 'no-cache'?: boolean;
  readonly 'no-cache-filter'?: string[] | undefined;
  readonly pull?: boolean;
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

/** Reads the Dockerfile and the ignore file, and checks all flags. Throws USAGE_* and CONTEXT_*. */
export async function toBuildRequest(
  flags: BuildFlags,
  { context, root }: { context: string; root: string },
): Promise<BuildRequest> {
  const { env } = process;
  const directory = process.cwd();
  const host = hostPlatform();
  const { dockerfile, contextDirectory, ignore } = await readSources(context, flags.file);
  const platforms = (flags.platform ?? []).flatMap((value) => value.split(','));
  if (platforms.length > 1) {
    throw usage('USAGE_PLATFORM', '--platform takes one platform', 'Build once for each platform.');
  }
  const buildArgs = new Map((flags['build-arg'] ?? []).flatMap((text) => buildArg(text, env)));
  const names = (flags.tag ?? []).map(fullName);
  const jobs = flags.jobs ?? Math.max(4, availableParallelism() * 2);
  return {
    root,
    dockerfile,
    context: contextDirectory,
    ignore,
    namedContexts: new Map((flags['build-context'] ?? []).map((text) => keyValue('--build-context', text))),
    target: flags.target,
    buildArgs,
    targetPlatform: platforms[0] === undefined ? host : parsePlatform(platforms[0], host),
    hostPlatform: host,
    labels: Object.fromEntries((flags.label ?? []).map((text) => keyValue('--label', text))),
    annotations: Object.fromEntries((flags.annotation ?? []).map((text) => keyValue('--annotation', text))),
    noCache: flags['no-cache'] === true ? true : noCacheStages(flags['no-cache-filter']),
    pull: flags.pull === true,
    network: flags.network === 'none' || flags.network === 'private' ? flags.network : 'host',
    outputs: outputsOf(flags, names),
    settings: {
      hostname: 'buildkitsandbox',
      extraHosts: (flags['add-host'] ?? []).map(parseAddHost),
      shmSize: parseSize('--shm-size', flags['shm-size']),
      ulimits: (flags.ulimit ?? []).map(parseUlimit),
      secrets: new Map((flags.secret ?? []).map((text) => parseSecret(text, env))),
      ssh: new Map((flags.ssh ?? []).map((text) => parseSsh(text, env))),
    },
    isolation: flags.isolation as BuildRequest['isolation'],
    snapshotter: flags.snapshotter as BuildRequest['snapshotter'],
    jobs,
    threads: Math.max(2, availableParallelism()),
    epoch: epochOf(flags['source-date-epoch'], { buildArgs, env }),
    directory,
    env: { ...env },
    known: new Map(),
  };
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

function buildArg(text: string, env: NodeJS.ProcessEnv): [string, string][] {
  const equals = text.indexOf('=');
  if (equals === 0 || text === '')
    throw usage('USAGE_BUILD_ARG', `--build-arg ${text}: the name is missing`, 'Write NAME=VALUE.');
  if (equals > 0) return [[text.slice(0, equals), text.slice(equals + 1)]];
  const value = env[text];
  return value === undefined ? [] : [[text, value]];
}

function outputsOf(flags: BuildFlags, names: readonly string[]): OutputSpec[] {
  const outputs = (flags.output ?? []).map((text) => parseOutput(text, names));
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

function epochOf(
  flag: string | undefined,
  { buildArgs, env }: { buildArgs: ReadonlyMap<string, string>; env: NodeJS.ProcessEnv },
): number | undefined {
  const text = flag ?? buildArgs.get('SOURCE_DATE_EPOCH') ?? env['SOURCE_DATE_EPOCH'];
  if (text === undefined || text === '') return undefined;
  if (!/^\d+$/.test(text)) {
    throw usage(
      'USAGE_EPOCH',
      `SOURCE_DATE_EPOCH must be whole seconds since 1970, not "${text}"`,
      'For example: $(git log -1 --format=%ct).',
    );
  }
  return Number(text);
}

interface Sources {
  readonly dockerfile: SourceFile;
  readonly contextDirectory: string | undefined;
  readonly ignore: readonly string[];
}

async function readSources(context: string, file: string | undefined): Promise<Sources> {
  if (context === '-') {
    return {
      dockerfile: { path: '-', text: await readStandardInput() },
      contextDirectory: undefined,
      ignore: [],
    };
  }
  const directory = resolve(context);
  const stats = statSync(directory, { throwIfNoEntry: false });
  if (stats?.isDirectory() !== true) {
    throw new BuildError(
      'CONTEXT_NOT_FOUND',
      `unable to prepare context: path "${context}" ${stats === undefined ? 'not found' : 'is no directory'}`,
      {
        suggestions: ['Give the directory that holds the files to copy, often "." for the current one.'],
      },
    );
  }
  if (file === '-') {
    const text = await readStandardInput();
    return {
      dockerfile: { path: '-', text },
      contextDirectory: directory,
      ignore: readIgnore(directory, undefined),
    };
  }
  const path = file === undefined ? join(directory, 'Dockerfile') : resolve(file);
  const shown = file ?? join(context, 'Dockerfile');
  const text = readDockerfile(path, shown, { directory, given: file !== undefined });
  return {
    dockerfile: { path: shown, text },
    contextDirectory: directory,
    ignore: readIgnore(directory, path),
  };
}

function readDockerfile(
  path: string,
  shown: string,
  { directory, given }: { directory: string; given: boolean },
): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'EISDIR') throw notReadable(shown, 'it is a directory');
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw notReadable(shown, messageOf(error));
    // -f may also be meant relative to the context, as some tools have it.
    const inside = given ? join(directory, shown) : undefined;
    const found = inside !== undefined && statSync(inside, { throwIfNoEntry: false }) !== undefined;
    const hint = found
      ? `-f is relative to the current directory; did you mean ${inside}?`
      : 'Name it with -f FILE.';
    throw new BuildError(
      'USAGE_NO_DOCKERFILE',
      `failed to read dockerfile: open ${shown}: no such file or directory`,
      {
        suggestions: [hint],
      },
    );
  }
}

function notReadable(shown: string, why: string): BuildError {
  return new BuildError('USAGE_NO_DOCKERFILE', `failed to read dockerfile: ${shown}: ${why}`, {
    suggestions: ['Name a readable file with -f FILE.'],
  });
}

/** <Dockerfile>.dockerignore beside the Dockerfile goes before .dockerignore of the context. */
function readIgnore(directory: string, dockerfile: string | undefined): readonly string[] {
  const candidates = [
    ...(dockerfile === undefined ? [] : [join(dirname(dockerfile), `${basename(dockerfile)}.dockerignore`)]),
    join(directory, '.dockerignore'),
  ];
  for (const path of candidates) {
    try {
      return parseIgnoreFile(readFileSync(path, 'utf8'));
    } catch (error) {
      if (error instanceof BuildError) throw error;
      if (systemErrorCode(error) !== 'ENOENT') {
        throw new BuildError('CONTEXT_IGNORE_FILE', `cannot read ${path}: ${messageOf(error)}`, {
          cause: error,
        });
      }
    }
  }
  return [];
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
