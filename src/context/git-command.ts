/** Runs the system's git: with the user's settings and credentials, never interactive, and nothing that changes files. */
import { BuildError, type ErrorCode } from '../errors.ts';
import { type CommandResult, runCommand } from '../system/process.ts';

/** What a git command may use, and how its failure is called. */
export interface GitTools {
  /** The user's environment: git finds its settings and credentials there. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly code: ErrorCode;
  /** Value of an Authorization header for the remote's server. */
  readonly authorization?: string | undefined;
  /** Options for ssh, as one text for a shell; unless the user has an ssh command of their own. */
  readonly ssh: string;
}

/** Takes user names and passwords out of URLs in a text. */
export function withoutLogins(text: string): string {
  return text.replaceAll(/([a-z+]+:\/\/)[^/@\s]+@/g, '$1***@');
}

/**
 * Settings that hold for every command, submodules too. Files are as the repository has them, whatever the user's
 * settings convert on the way: line ends, attributes, large files. No submodule may be a directory of this machine.
 */
const SETTINGS = [
  'core.hooksPath=/dev/null',
  'core.attributesFile=/dev/null',
  'core.autocrlf=false',
  'core.eol=lf',
  'filter.lfs.smudge=',
  'filter.lfs.process=',
  'filter.lfs.required=false',
  'gc.auto=0',
  'protocol.file.allow=user',
  'submodule.recurse=false',
].flatMap((setting) => ['-c', setting]);

/** Runs git and waits. Rejects with `tools.code`, or HOST_COMMAND_MISSING. `remote` is for messages and the login. */
export async function git(
  args: readonly string[],
  { tools, remote, cwd }: { tools: GitTools; remote: string; cwd?: string },
): Promise<CommandResult> {
  const result = await runCommand('git', [...SETTINGS, ...args], {
    env: gitEnvironment(remote, tools),
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
  const command = args.find((word) =>
    /^(?:ls-remote|init|remote|fetch|checkout|submodule|cat-file|log)$/.test(word),
  );
  const reason = reasonOf(said) ?? `exit status ${result.exitCode}`;
  throw new BuildError(
    tools.code,
    `git ${command ?? args[0]} failed for ${withoutLogins(remote)}: ${reason}`,
    { output: said.slice(-10), suggestions: suggestionsFor(result.stderr) },
  );
}

/** The line that says why: ssh's own goes before git's, which only knows that nothing came. */
function reasonOf(said: readonly string[]): string | undefined {
  return (
    said.findLast((line) => /Permission denied|Host key verification failed|^ssh: /.test(line))?.trim() ??
    said.findLast((line) => line.startsWith('fatal: ') || line.startsWith('error: ')) ??
    said.at(-1)
  );
}

function suggestionsFor(stderr: string): string[] {
  if (/could not read Username|Authentication failed|terminal prompts disabled/i.test(stderr)) {
    return [
      'The repository needs a login: set up a git credential helper, or pass --secret id=GIT_AUTH_TOKEN.',
    ];
  }
  if (/REMOTE HOST IDENTIFICATION HAS CHANGED/.test(stderr)) {
    return [
      'The host shows another key than the one that is known: find out why. If it is right, forget the old one (ssh-keygen -R HOST).',
    ];
  }
  if (/Host key verification failed/i.test(stderr)) {
    return ['Make the host known (ssh-keyscan HOST >> ~/.ssh/known_hosts).'];
  }
  if (/Permission denied \(/i.test(stderr)) {
    return [
      'Load the key into an ssh agent (ssh-add), and name the agent if it is another one: --ssh default=SOCKET.',
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

function gitEnvironment(remote: string, { env, authorization, ssh }: GitTools): NodeJS.ProcessEnv {
  const own: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(env)) if (!REPOSITORY_VARIABLES.test(name)) own[name] = value;
  const count = Number(env['GIT_CONFIG_COUNT'] ?? 0);
  return {
    ...own,
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: env['GIT_ASKPASS'] ?? 'true',
    GIT_SSH_COMMAND: env['GIT_SSH_COMMAND'] ?? (env['GIT_SSH'] === undefined ? `ssh ${ssh}` : undefined),
    // By the environment, because arguments can be seen by everyone on the machine.
    ...(authorization === undefined
      ? {}
      : {
          GIT_CONFIG_COUNT: String(count + 1),
          [`GIT_CONFIG_KEY_${count}`]: `http.${loginScope(remote)}.extraHeader`,
          [`GIT_CONFIG_VALUE_${count}`]: `Authorization: ${authorization}`,
        }),
  };
}

/** Where a login is sent: to the repository's own server, and to no other that submodules may be on. */
function loginScope(remote: string): string {
  const [, scheme = '', host = ''] = /^(https?:\/\/)(?:[^/@]*@)?([^/]*)/.exec(remote) ?? [];
  return `${scheme}${host}/`;
}
