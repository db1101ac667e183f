/** Remote contexts brought to this machine: git repositories, downloads, archives from standard input. */
import { chmodSync, copyFileSync, createWriteStream, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ArchiveTree } from '../context/archive-tree.ts';
import type { ContextPlace } from '../context/contexts.ts';
import { DirectoryTree } from '../context/directory-tree.ts';
import type { Download } from '../context/download.ts';
import type { Checkout } from '../context/git-checkout.ts';
import { withoutLogins } from '../context/git-command.ts';
import { headOf, looksLikeArchive, plainTar } from '../context/plain-tar.ts';
import { sshOptions } from '../context/ssh-options.ts';
import { isGitContext, parseGitRef } from '../dockerfile/remote-source.ts';
import { BuildError } from '../errors.ts';
import { readSmallFile } from '../layer/read-file.ts';
import { resolvePath } from '../layer/resolve-path.ts';
import { type Fetched, type RemoteFile, RemoteSources } from '../solver/remote-sources.ts';
import type { RunSettings } from '../solver/run-settings.ts';
import { Store } from '../store/store.ts';
import { toByteString, toText } from '../system/byte-path.ts';
import type { BuildScratch } from './build-scratch.ts';

/** What fetching needs of the world. */
export interface RemoteWorld {
  readonly root: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** --secret and --ssh: what git logs in with. */
  readonly settings: Pick<RunSettings, 'secrets' | 'ssh'>;
  readonly scratch: BuildScratch;
  readonly download: Download;
  readonly signal: AbortSignal;
  readonly known: ReadonlyMap<string, Fetched>;
}

/** Downloads and repositories of one build. */
export function openRemoteSources(world: RemoteWorld): RemoteSources {
  const { root, env, settings, scratch, download, signal, known } = world;
  let ssh: string | undefined;
  return new RemoteSources({
    store: Store.open(root),
    download,
    makeDirectory: (purpose) => scratch.makeDirectory(purpose),
    env,
    gitLogin: (remote) => gitLogin(remote, settings.secrets),
    sshOptions: () => {
      ssh ??= sshOptions(scratch.makeDirectory('ssh'), { agent: settings.ssh.get('default') });
      return ssh;
    },
    known,
    signal,
    redact: (url) => withoutLogins(url.replace(/[?#].*$/s, '')),
  });
}

/** The secrets GIT_AUTH_HEADER and GIT_AUTH_TOKEN, for one host (NAME.HOST) or for all, as BuildKit reads them. */
function gitLogin(remote: string, secrets: RunSettings['secrets']): string | undefined {
  const host = /^https?:\/\/(?:[^/@]*@)?([^/]+)/.exec(remote)?.[1];
  if (host === undefined) return undefined;
  for (const suffix of [`.${host}`, '']) {
    const header = secrets.get(`GIT_AUTH_HEADER${suffix}`);
    if (header !== undefined) return Buffer.from(header.value, 'base64').toString('utf8').trim();
    const token = secrets.get(`GIT_AUTH_TOKEN${suffix}`);
    if (token === undefined) continue;
    const login = `x-access-token:${Buffer.from(token.value, 'base64').toString('utf8').trim()}`;
    return `Basic ${Buffer.from(login).toString('base64')}`;
  }
  return undefined;
}

/** A named remote context: the files of a repository, or a download as the file "context". */
export async function fetchNamedContext(
  url: string,
  { remote, scratch, store }: { remote: RemoteSources; scratch: BuildScratch; store: Store },
): Promise<ContextPlace> {
  if (isGitContext(url)) {
    return checkedOut(await remote.checkout(parseGitRef(url)));
  }
  const file = await remote.file(url, undefined);
  return aloneIn(scratch.makeDirectory('context'), file, store);
}

function checkedOut({ directory, time }: Checkout): ContextPlace {
  return { kind: 'directory', path: directory, fetched: true, modified: time };
}

/** The main context, and the Dockerfile in it where the context itself says which that is. */
export interface MainContext {
  readonly place: ContextPlace;
  readonly dockerfile?: string;
}

/** A main context at an address: a repository, an archive, or a Dockerfile on its own. Rejects with COPY_*. */
export async function fetchMainContext(
  url: string,
  world: RemoteWorld & { readonly keepGitDir: boolean | undefined },
): Promise<MainContext> {
  const remote = openRemoteSources(world);
  if (isGitContext(url)) {
    const source = parseGitRef(url);
    const keepGitDir = world.keepGitDir === true || source.keepGitDir === true;
    return { place: checkedOut(await remote.checkout({ ...source, keepGitDir })) };
  }
  const store = Store.open(world.root);
  const file = await remote.file(url, undefined);
  const path = store.blobs.path(file.digest);
  if (!looksLikeArchive(headOf({ path: toByteString(path), start: 0, size: file.size }))) {
    return { place: aloneIn(world.scratch.makeDirectory('context'), file, store), dockerfile: 'context' };
  }
  return { place: { ...(await archiveAt(path, url, world)), modified: file.modified } };
}

/** A download as the only file of a directory. */
function aloneIn(directory: string, { digest, modified }: RemoteFile, store: Store): ContextPlace {
  const path = join(directory, 'context');
  copyFileSync(store.blobs.path(digest), path);
  chmodSync(path, 0o600);
  utimesSync(path, modified ?? 0, modified ?? 0);
  return { kind: 'directory', path: directory, fetched: true, modified };
}

/** Standard input as a context: an archive, or the text of a Dockerfile when it is none. */
export async function readContextStream(
  stream: Readable,
  { scratch, signal }: Pick<RemoteWorld, 'scratch' | 'signal'>,
): Promise<
  | { readonly kind: 'archive'; readonly place: ContextPlace }
  | { readonly kind: 'text'; readonly text: Buffer }
> {
  const iterator: AsyncIterator<Buffer> = stream[Symbol.asyncIterator]();
  const first: Buffer[] = [];
  let size = 0;
  const next = async (): Promise<boolean> => {
    const { value, done } = await iterator.next();
    if (done === true) return false;
    first.push(value);
    size += value.length;
    return true;
  };
  // A tar header has 512 bytes; what tells it from text must be there whole.
  while (size < 512 && (await next()));
  if (!looksLikeArchive(Buffer.concat(first))) {
    while (await next());
    return { kind: 'text', text: Buffer.concat(first) };
  }
  const path = scratch.draft('context.archive');
  const rest = async function* (): AsyncGenerator<Buffer> {
    yield* first;
    for (let step = await iterator.next(); step.done !== true; step = await iterator.next()) yield step.value;
  };
  await pipeline(rest, createWriteStream(path), { signal });
  return { kind: 'archive', place: await archiveAt(path, 'standard input', { scratch, signal }) };
}

async function archiveAt(
  path: string,
  shown: string,
  { scratch, signal }: Pick<RemoteWorld, 'scratch' | 'signal'>,
): Promise<ContextPlace> {
  const range = { path: toByteString(path), start: 0, size: statSync(path).size };
  const plain = await plainTar(range, { draft: (purpose) => scratch.draft(purpose), signal });
  if (plain !== undefined) return { kind: 'archive', path: toText(plain.path) };
  throw new BuildError('CONTEXT_ARCHIVE', `${withoutLogins(shown)}: the compressed file is no tar archive`, {
    suggestions: ['A context is a tar archive, plain or compressed with gzip, bzip2, xz or zstd.'],
  });
}

/** Bytes of a file in a context, symlinks followed inside it; undefined when it is not there. */
export function readContextFile(place: ContextPlace, name: string): Buffer | undefined {
  const path = toByteString(place.path);
  const tree =
    place.kind === 'archive'
      ? new ArchiveTree({ path, start: 0, size: statSync(place.path).size })
      : new DirectoryTree(path, { clock: () => 0 });
  const found = resolvePath(tree, toByteString(name), { followLast: true });
  return tree.lstat(found)?.type === 'file' ? readSmallFile(tree, found) : undefined;
}
