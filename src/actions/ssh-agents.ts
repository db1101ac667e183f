/** The agents that --ssh names: a socket as it is, private keys in an agent that lives as long as the build. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BuildError, messageOf } from '../errors.ts';
import { findExecutable, runCommand } from '../system/process.ts';
import type { BuildScratch } from './build-scratch.ts';

export interface SshAgentsOptions {
  readonly scratch: BuildScratch;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

/** Ends the agent when its input ends: with the build, or with kiln however that dies. */
const AGENT = 'ssh-agent -D -a "$1" & cat; kill $!';

/** Milliseconds for the agent to come up. */
const PATIENCE = 5_000;

/** Sockets by id. `given` has one agent's socket or any number of private keys each. Throws USAGE_SSH. */
export async function sshAgents(
  given: ReadonlyMap<string, readonly string[]>,
  options: SshAgentsOptions,
): Promise<Map<string, string>> {
  const agents = new Map<string, string>();
  for (const [id, paths] of given) agents.set(id, await agentOf(id, paths, options));
  return agents;
}

async function agentOf(id: string, paths: readonly string[], options: SshAgentsOptions): Promise<string> {
  const sockets = paths.filter((path) => statOf(id, path).isSocket());
  const [socket] = sockets;
  if (socket !== undefined && paths.length === 1) return socket;
  if (socket !== undefined) {
    throw refused(
      `--ssh ${id}: an agent's socket (${socket}) stands alone`,
      'Give the socket, or only keys.',
    );
  }
  const started = await startAgent(options);
  for (const path of paths) await addKey(path, { ...options, socket: started });
  return started;
}

function statOf(id: string, path: string): Stats {
  try {
    return statSync(path);
  } catch (error) {
    throw refused(`--ssh ${id}: ${messageOf(error)}`, 'Name the socket of an ssh agent, or a private key.');
  }
}

async function startAgent({ scratch, env, signal }: SshAgentsOptions): Promise<string> {
  if (findExecutable('ssh-agent', env['PATH']) === undefined) {
    throw refused(
      '--ssh with a private key needs the program ssh-agent',
      'Install it (apt-get install openssh-client), or give the socket of a running agent.',
    );
  }
  const socket = join(scratch.makeDirectory('ssh'), 'agent');
  const agent = spawn('/bin/sh', ['-c', AGENT, 'sh', socket], {
    env,
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  scratch.onClose(() => agent.stdin.destroy());
  const deadline = Date.now() + PATIENCE;
  while (!existsSync(socket)) {
    signal.throwIfAborted();
    if (Date.now() > deadline || agent.exitCode !== null) {
      throw refused('--ssh: ssh-agent did not start', 'Try it by hand: ssh-agent -D');
    }
    await delay(10);
  }
  return socket;
}

/** Through its input, ssh-add takes a key whatever the mode of its file. */
async function addKey(
  path: string,
  { socket, env, signal }: SshAgentsOptions & { readonly socket: string },
): Promise<void> {
  const result = await runCommand('ssh-add', ['-q', '-'], {
    env: { ...env, SSH_AUTH_SOCK: socket, SSH_ASKPASS: '/bin/false', SSH_ASKPASS_REQUIRE: 'force' },
    input: readFileSync(path, 'utf8'),
    signal,
  });
  if (result.exitCode === 0) return;
  throw refused(
    `--ssh: ${path} is no private key that can be used without a passphrase`,
    'A key with a passphrase goes into an agent first (ssh-add), whose socket --ssh takes.',
  );
}

function refused(message: string, suggestion: string): BuildError {
  return new BuildError('USAGE_SSH', message, { suggestions: [suggestion] });
}
