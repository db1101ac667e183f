/** Where a build reads from: its context and Dockerfile, wherever they are, and contexts with names. */
import { lstatSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { RemoteWorld } from '../actions/remote-context.ts';
import type { ContextPlace, NamedContext } from '../context/contexts.ts';
import { parseIgnoreFile } from '../dockerfile/ignore.ts';
import { isGitContext } from '../dockerfile/remote-source.ts';
import { BuildError, messageOf, type SourceFile, systemErrorCode } from '../errors.ts';
import { contextName } from '../plan/stage-graph.ts';
import { keyValue, usage } from './flag-values.ts';

/** What the command line says of the context. */
export interface SourceRequest {
  /** A directory, an address, or "-". */
  readonly context: string;
  readonly file: string | undefined;
  /** How remote contexts are fetched; nothing of it is touched for local ones. */
  readonly world: Omit<RemoteWorld, 'download' | 'known'>;
  readonly keepGitDir: boolean | undefined;
}

/** What was read. */
export interface Sources {
  readonly dockerfile: SourceFile;
  readonly context: ContextPlace | undefined;
  readonly ignore: readonly string[];
}

const ADDRESS = /^https?:\/\//;

/** Reads the Dockerfile and the ignore file of a context. Throws USAGE_*, CONTEXT_* and, fetching, COPY_*. */
export function readSources(request: SourceRequest): Promise<Sources> {
  const { context, file } = request;
  if (context === '-') return fromStandardInput(request);
  const isLocal = statSync(context, { throwIfNoEntry: false })?.isDirectory() === true;
  if (!isLocal && (ADDRESS.test(context) || isGitContext(context))) return fromAddress(request);
  return fromDirectory(context, file);
}

async function fromStandardInput({ file, world }: SourceRequest): Promise<Sources> {
  if (file === '-') {
    throw usage(
      'USAGE_STDIN',
      "invalid argument: can't use stdin for both build context and dockerfile",
      'Give one of them as a file or directory.',
    );
  }
  const { readContextStream } = await import('../actions/remote-context.ts');
  const read = await readContextStream(process.stdin, world);
  if (read.kind === 'archive') return inPlace(read.place, file, { dockerfile: undefined });
  if (file !== undefined) {
    throw usage(
      'USAGE_STDIN',
      'ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles',
      'Leave -f out, or pass a tar archive on standard input.',
    );
  }
  return { dockerfile: { path: '-', text: read.text.toString('utf8') }, context: undefined, ignore: [] };
}

async function fromAddress({ context, file, world, keepGitDir }: SourceRequest): Promise<Sources> {
  const { fetchMainContext } = await import('../actions/remote-context.ts');
  const { openRegistry } = await import('../actions/open-registry.ts');
  const { registry } = openRegistry(world.env);
  try {
    const { place, dockerfile } = await fetchMainContext(context, {
      ...world,
      known: new Map(),
      keepGitDir,
      download: (url, ask) => registry.download(url, ask),
    });
    return await inPlace(place, file, { dockerfile });
  } finally {
    await registry.close();
  }
}

/** The Dockerfile of a context that is no directory of the user's; its ignore file has no say, as in BuildKit. */
async function inPlace(
  place: ContextPlace,
  file: string | undefined,
  { dockerfile }: { dockerfile: string | undefined },
): Promise<Sources> {
  if (file === '-') return { dockerfile: { path: '-', text: await readText() }, context: place, ignore: [] };
  const { readContextFile } = await import('../actions/remote-context.ts');
  const name = dockerfile ?? file ?? 'Dockerfile';
  const names = /(?:^|\/)Dockerfile$/.test(name) ? [name, name.replace(/Dockerfile$/, 'dockerfile')] : [name];
  for (const candidate of names) {
    const content = readContextFile(place, candidate);
    if (content === undefined) continue;
    return { dockerfile: { path: candidate, text: content.toString('utf8') }, context: place, ignore: [] };
  }
  throw missing(name, 'Name it with -f FILE, as a path inside the context.');
}

async function fromDirectory(context: string, file: string | undefined): Promise<Sources> {
  const directory = resolve(context);
  const stats = statSync(directory, { throwIfNoEntry: false });
  if (stats?.isDirectory() !== true) {
    throw new BuildError(
      'CONTEXT_NOT_FOUND',
      `unable to prepare context: path "${context}" ${stats === undefined ? 'not found' : 'is no directory'}`,
      { suggestions: ['Give the directory that holds the files to copy, often "." for the current one.'] },
    );
  }
  const place = { kind: 'directory', path: directory } as const;
  if (file === '-') {
    const text = await readText();
    return { dockerfile: { path: '-', text }, context: place, ignore: readIgnore(directory, undefined) };
  }
  const path = file === undefined ? defaultDockerfile(directory) : resolve(file);
  const shown = file ?? join(context, basename(path));
  const text = readDockerfile(path, shown, { directory, given: file !== undefined });
  return { dockerfile: { path: shown, text }, context: place, ignore: readIgnore(directory, path) };
}

/** "Dockerfile", else "dockerfile" when only that is there. */
function defaultDockerfile(directory: string): string {
  const path = join(directory, 'Dockerfile');
  const lower = join(directory, 'dockerfile');
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return path;
  return lstatSync(lower, { throwIfNoEntry: false }) === undefined ? path : lower;
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
    throw missing(
      shown,
      found ? `-f is relative to the current directory; did you mean ${inside}?` : 'Name it with -f FILE.',
    );
  }
}

function missing(shown: string, hint: string): BuildError {
  return new BuildError(
    'USAGE_NO_DOCKERFILE',
    `failed to read dockerfile: open ${shown}: no such file or directory`,
    { suggestions: [hint] },
  );
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

async function readText(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** NAME=VALUE of --build-context: the name images are compared by, and what it stands for. Throws USAGE_BUILD_CONTEXT. */
export function namedContext(text: string, directory: string): [string, NamedContext] {
  const [name, value] = keyValue('--build-context', text);
  const [plain, platform] = name.split('::');
  const key = platform === undefined ? contextName(name) : `${contextName(plain ?? '')}::${platform}`;
  return [key, contextOf(value, { text, directory })];
}

function contextOf(value: string, { text, directory }: { text: string; directory: string }): NamedContext {
  const image = /^docker-image:\/\/(.+)$/.exec(value)?.[1];
  if (image !== undefined) return { kind: 'image', reference: image };
  const layout = /^oci(?:-layout)?:(?:\/\/)?(.+)$/.exec(value)?.[1];
  if (layout !== undefined) return { kind: 'image', reference: `oci:${layout}` };
  const path = resolve(directory, value);
  if (value !== '' && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    return { kind: 'directory', path };
  }
  if (ADDRESS.test(value) || isGitContext(value)) return { kind: 'remote', url: value };
  throw usage(
    'USAGE_BUILD_CONTEXT',
    value === ''
      ? `--build-context ${text}: the value is missing`
      : `--build-context ${text}: ${value} is no directory`,
    'Write NAME=DIRECTORY, or give docker-image://IMAGE, oci-layout://DIR, https://… or a git repository.',
  );
}
