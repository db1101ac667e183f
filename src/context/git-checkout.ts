/**
 * Git repositories as sources: a ref made a commit, and the files of a commit put into a directory, by the system's
 * git. Shallow where the server allows it; never interactive. What is fetched follows BuildKit's git source.
 */
import { chmodSync, existsSync, lstatSync, lutimesSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { GitRef } from '../dockerfile/remote-source.ts';
import { BuildError, type ErrorCode } from '../errors.ts';
import { toByteString, toFsPath } from '../system/byte-path.ts';
import { makeDirectories } from '../system/files.ts';
import { type CommandResult, runCommand } from '../system/process.ts';

/** What a git command may use, and how its failure is called. */
export interface GitTools {
  /** The user's environment: git finds its settings and credentials there. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly code: ErrorCode;
  /** Values of an Authorization header, for https remotes. */
  readonly authorization?: string | undefined;
}

/** A ref of a remote and the commit it stands for. */
export interface GitCommit {
  readonly commit: string;
  /** Full name of the ref; undefined when the commit itself was asked for. */
  readonly ref: string | undefined;
}

const FULL_COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/** Takes user names and passwords out of URLs in a text. */
export function withoutLogins(text: string): string {
  return text.replaceAll(/([a-z+]+:\/\/)[^/@\s]+@/g, '$1***@');
}

/** Asks the remote which commit is meant; a full commit is not asked about. Rejects with `tools.code`. */
export async function resolveGit(source: GitRef, tools: GitTools): Promise<GitCommit> {
  const { ref = 'HEAD', remote } = source;
  const found = FULL_COMMIT.test(ref) ? { commit: ref, ref: undefined } : await lookUp(source, tools);
  const { checksum } = source;
  if (checksum !== undefined && checksum !== '' && !found.commit.startsWith(checksum.toLowerCase())) {
    throw new BuildError(
      'COPY_CHECKSUM',
      `expected checksum to match ${checksum}, got ${found.commit} for ${withoutLogins(remote)}#${ref}`,
      { suggestions: ['The ref has moved, or the checksum is that of another commit.'] },
    );
  }
  return found;
}

async function lookUp({ remote, ref }: GitRef, tools: GitTools): Promise<GitCommit> {
  const wanted = ref ?? 'HEAD';
  const said = await git(['ls-remote', '--', remote, wanted, `${wanted}^{}`], { tools, remote });
  const commits = new Map<string, string>();
  for (const line of said.stdout.split('\n')) {
    const [commit = '', name = ''] = line.split('\t');
    if (FULL_COMMIT.test(commit)) commits.set(name, commit);
  }
  // A branch goes before a tag of the same name, as with git checkout. What a tag points at goes before the tag object.
  const names =
    wanted === 'HEAD'
      ? ['HEAD']
      : wanted.startsWith('refs/')
        ? [wanted]
        : [`refs/heads/${wanted}`, `refs/tags/${wanted}`, `refs/${wanted}`, wanted];
  for (const name of names) {
    const commit = commits.get(`${name}^{}`) ?? commits.get(name);
    if (commit !== undefined) return { commit, ref: name };
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
  const init = keep ? [tree] : ['--bare', gitDir];
  await git(['-c', 'init.defaultBranch=master', 'init', '--quiet', '--template=', ...init], {
    tools,
    remote,
    cwd: directory,
  });
  await run(['remote', 'add', 'origin', remote]);
  await fetchCommit(commit, { run, code: tools.code });
  await run(['checkout', '--quiet', '--force', '--detach', commit.commit]);
  if (source.submodules !== false && existsSync(join(tree, '.gitmodules'))) {
    await run(['submodule', '--quiet', 'update', '--init', '--recursive', '--depth=1']);
  }
  const time = Number((await run(['show', '--no-patch', '--format=%ct', commit.commit])).stdout.trim());
  if (keep) {
    await run(['remote', 'set-url', 'origin', withoutLogins(remote).replace('***@', '')]);
    await run(['reflog', 'expire', '--all', '--expire=now']);
    for (const name of ['FETCH_HEAD', 'ORIG_HEAD']) rmSync(join(gitDir, name), { force: true });
  }
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

async function git(
  args: readonly string[],
  { tools, remote, cwd }: { tools: GitTools; remote: string; cwd?: string },
): Promise<CommandResult> {
  const result = await runCommand('git', ['-c', 'core.hooksPath=/dev/null', '-c', 'gc.auto=0', ...args], {
    env: gitEnvironment(tools),
    signal: tools.signal,
    ...(cwd === undefined ? {} : { cwd }),
    missing: {
      code: 'HOST_COMMAND_MISSING',
      suggestions: [
        'Git sources need git: install the package git (apt-get, dnf or apk), or use an archive.',
      ],
    },
  });
  if (result.exitCode === 0) return result;
  const said = withoutLogins(result.stderr)
    .split('\n')
    .filter((line) => line.trim() !== '');
  const reason =
    said.findLast((line) => line.startsWith('fatal: ') || line.startsWith('error: ')) ?? said.at(-1);
  const command = args.find((word) =>
    /^(?:ls-remote|init|remote|fetch|checkout|submodule|cat-file|show)$/.test(word),
  );
  throw new BuildError(
    tools.code,
    `git ${command ?? args[0]} failed for ${withoutLogins(remote)}: ${reason ?? `exit status ${result.exitCode}`}`,
    { output: said.slice(-10), suggestions: suggestionsFor(result.stderr) },
  );
}

function suggestionsFor(stderr: string): string[] {
  if (/could not read Username|Authentication failed|terminal prompts disabled/i.test(stderr)) {
    return [
      'The repository needs a login: set up a git credential helper, or pass --secret id=GIT_AUTH_TOKEN.',
    ];
  }
  if (/Permission denied \(publickey|Host key verification failed/i.test(stderr)) {
    return [
      'Load the key into an ssh agent, and make the host known (ssh-keyscan HOST >> ~/.ssh/known_hosts).',
    ];
  }
  if (/not found|does not exist|does not appear to be a git repository/i.test(stderr)) {
    return ['Check the address of the repository.'];
  }
  return [];
}

/** Variables that would point git at another repository, as when kiln is started from a git hook. */
const REPOSITORY_VARIABLES =
  /^GIT_(?:DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_.*|COMMON_DIR|NAMESPACE|PREFIX)$/;

function gitEnvironment({ env, authorization }: GitTools): NodeJS.ProcessEnv {
  const own: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(env)) if (!REPOSITORY_VARIABLES.test(name)) own[name] = value;
  const count = Number(env['GIT_CONFIG_COUNT'] ?? 0);
  return {
    ...own,
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: env['GIT_ASKPASS'] ?? 'true',
    GIT_SSH_COMMAND:
      env['GIT_SSH_COMMAND'] ?? (env['GIT_SSH'] === undefined ? 'ssh -o BatchMode=yes' : undefined),
    // By the environment, because arguments can be seen by everyone on the machine.
    ...(authorization === undefined
      ? {}
      : {
          GIT_CONFIG_COUNT: String(count + 1),
          [`GIT_CONFIG_KEY_${count}`]: 'http.extraHeader',
          [`GIT_CONFIG_VALUE_${count}`]: `Authorization: ${authorization}`,
        }),
  };
}
