/**
 * Git repositories as sources: a ref made a commit, and the files of a commit put into a directory, by the system's
 * git. Shallow where the server allows it; never interactive. What is fetched follows BuildKit's git source.
 */
import {
  chmodSync,
  existsSync,
  lstatSync,
  lutimesSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { GitRef } from '../dockerfile/remote-source.ts';
import { BuildError, type ErrorCode } from '../errors.ts';
import { toByteString, toFsPath } from '../system/byte-path.ts';
import { makeDirectories } from '../system/files.ts';
import type { CommandResult } from '../system/process.ts';
import { type GitTools, git, withoutLogins } from './git-command.ts';

/** A ref of a remote and the commit it stands for. */
export interface GitCommit {
  readonly commit: string;
  /** Full name of the ref; undefined when the commit itself was asked for. */
  readonly ref: string | undefined;
  /** The tag object, where the ref is an annotated tag. */
  readonly tag?: string | undefined;
}

const FULL_COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** Asks the remote which commit is meant; a full commit is not asked about. Rejects with `tools.code`. */
export async function resolveGit(source: GitRef, tools: GitTools): Promise<GitCommit> {
  const { ref = 'HEAD', remote, checksum = '' } = source;
  if (!/^[0-9a-f]*$/i.test(checksum)) {
    throw new BuildError(
      tools.code,
      `invalid checksum ${checksum} for ${withoutLogins(remote)}, expected hex commit hash`,
      { suggestions: ['Give the commit, such as $(git rev-parse HEAD), or its first digits.'] },
    );
  }
  const found = FULL_COMMIT.test(ref) ? { commit: ref, ref: undefined } : await lookUp(source, tools);
  const names = found.tag === undefined ? [found.commit] : [found.tag, found.commit];
  if (names.some((name) => name.startsWith(checksum.toLowerCase()))) return found;
  throw new BuildError(
    'COPY_CHECKSUM',
    `expected checksum to match ${checksum}, got ${names.join(' or ')} for ${withoutLogins(remote)}#${ref}`,
    { suggestions: ['The ref has moved, or the checksum is that of another commit.'] },
  );
}

async function lookUp({ remote, ref }: GitRef, tools: GitTools): Promise<GitCommit> {
  const wanted = ref ?? 'HEAD';
  const said = await git(['ls-remote', '--', remote, wanted, `${wanted}^{}`], { tools, remote });
  const commits = new Map<string, string>();
  for (const line of said.stdout.split('\n')) {
    const [commit = '', name = ''] = line.split('\t');
    if (FULL_COMMIT.test(commit)) commits.set(name, commit);
  }
  // A branch goes before a tag of the same name, as with git checkout.
  const names =
    wanted === 'HEAD'
      ? ['HEAD']
      : [`refs/${wanted.replace(/^refs\//, '')}`, `refs/heads/${wanted}`, `refs/tags/${wanted}`];
  for (const name of names) {
    const object = commits.get(name);
    const commit = commits.get(`${name}^{}`);
    if (object !== undefined) return { commit: commit ?? object, ref: name, tag: commit && object };
  }
  throw new BuildError(tools.code, `repository ${withoutLogins(remote)} does not contain ref ${wanted}`, {
    suggestions: ['Check the name of the branch or tag; a commit must be given with all its digits.'],
  });
}

export interface CheckoutRequest {
  readonly source: GitRef;
  readonly commit: GitCommit;
  /** Existing, empty directory (absolute). */
  readonly directory: string;
}

/** The files of a commit. */
export interface Checkout {
  /** Absolute path of their root. */
  readonly directory: string;
  /** When the commit was made, in seconds since 1970. */
  readonly time: number;
}

/**
 * Fetches a commit and puts its files below `directory`. Modes are plain (0755, 0644) and times those of the commit, so
 * that two checkouts are alike.
 */
export async function checkoutGit(request: CheckoutRequest, tools: GitTools): Promise<Checkout> {
  const { source, commit, directory } = request;
  const { remote } = source;
  const subdir = subdirOf(source, tools);
  const keep = source.keepGitDir === true && subdir === '';
  const tree = join(directory, 'tree');
  const gitDir = keep ? join(tree, '.git') : join(directory, 'git');
  makeDirectories(tree);
  const run = (args: readonly string[]): Promise<CommandResult> =>
    git(['--git-dir', gitDir, '--work-tree', tree, ...args], { tools, remote, cwd: tree });
  const format = commit.commit.length === 64 ? ['--object-format=sha256'] : [];
  const place = keep ? [tree] : ['--bare', gitDir];
  await git(['-c', 'init.defaultBranch=master', 'init', '--quiet', '--template=', ...format, ...place], {
    tools,
    remote,
    cwd: directory,
  });
  await run(['remote', 'add', 'origin', remote]);
  await fetchCommit(commit, { run, code: tools.code });
  await run(['checkout', '--quiet', '--force', '--detach', commit.commit]);
  if (source.submodules !== false && existsSync(join(tree, '.gitmodules'))) {
    await updateSubmodules(run);
  }
  const time = Number((await run(['log', '-1', '--format=%ct', commit.commit])).stdout.trim());
  if (keep) forgetFetch(gitDir);
  const root = subdir === '' ? tree : join(tree, subdir);
  if (lstatSync(root, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new BuildError(
      tools.code,
      `${withoutLogins(remote)} has no directory ${subdir} at ${commit.commit}`,
      {
        suggestions: ['Check the part after the colon: REPOSITORY#REF:DIRECTORY.'],
      },
    );
  }
  makePlain(toByteString(root), { time, dropGit: !keep });
  return { directory: root, time };
}

async function updateSubmodules(run: (args: readonly string[]) => Promise<CommandResult>): Promise<void> {
  const update = ['submodule', '--quiet', 'update', '--init', '--recursive'];
  try {
    await run([...update, '--depth=1']);
  } catch (error) {
    // A server of plain files gives out whole histories only.
    if (!(error instanceof BuildError) || !error.output.some((line) => /--depth|shallow/.test(line)))
      throw error;
    await run(update);
  }
}

/** Takes out of a kept .git directory what tells of this machine, and logins in addresses: of submodules too. */
function forgetFetch(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (['FETCH_HEAD', 'ORIG_HEAD', 'logs'].includes(entry.name)) rmSync(path, { recursive: true });
    else if (entry.name === 'config' && entry.isFile()) {
      const text = readFileSync(path, 'utf8');
      writeFileSync(path, withoutLogins(text).replaceAll('://***@', '://'));
    } else if (entry.isDirectory() && !['objects', 'refs'].includes(entry.name)) forgetFetch(path);
  }
}

function subdirOf({ subdir = '' }: GitRef, { code }: GitTools): string {
  const parts = subdir.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || parts.includes('.git')) {
    throw new BuildError(code, `invalid directory in a git repository: ${subdir}`, {
      suggestions: ['Name a directory below the root of the repository.'],
    });
  }
  return parts.join('/');
}

/** The commit alone where the server gives it out by name; else its ref, else everything. */
async function fetchCommit(
  { commit, ref }: GitCommit,
  { run, code }: { run: (args: readonly string[]) => Promise<CommandResult>; code: ErrorCode },
): Promise<void> {
  const fetch = ['fetch', '--quiet', '--no-tags', '--update-head-ok', '--force'];
  // Named refs are kept under their names, so that `git describe` and the like work in a kept .git directory.
  const named = ref === undefined || ref === 'HEAD' ? undefined : `${ref}:${ref}`;
  const attempts = [
    ...(named === undefined ? [] : [[...fetch, '--depth=1', 'origin', named]]),
    [...fetch, '--depth=1', 'origin', commit],
    [...fetch, 'origin', '+refs/heads/*:refs/remotes/origin/*', '+refs/tags/*:refs/tags/*'],
  ];
  let failure: unknown;
  for (const attempt of attempts) {
    try {
      await run(attempt);
      await run(['cat-file', '-e', `${commit}^{commit}`]);
      return;
    } catch (error) {
      if (!(error instanceof BuildError) || error.code !== code) throw error;
      failure = error;
    }
  }
  throw failure;
}

/** `path` is a byte string. */
function makePlain(path: string, options: { readonly time: number; readonly dropGit: boolean }): void {
  for (const name of readdirSync(toFsPath(path), { encoding: 'latin1' })) {
    const child = `${path}/${name}`;
    const host = toFsPath(child);
    if (options.dropGit && name === '.git') {
      rmSync(host, { recursive: true, force: true });
      continue;
    }
    const stats = lstatSync(host);
    if (stats.isDirectory()) makePlain(child, options);
    else if (stats.isFile()) chmodSync(host, (stats.mode & 0o100) === 0 ? 0o644 : 0o755);
    lutimesSync(host, options.time, options.time);
  }
  chmodSync(toFsPath(path), 0o755);
  lutimesSync(toFsPath(path), options.time, options.time);
}
