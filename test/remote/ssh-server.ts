/** An ssh server of the test user's on this machine, with keys of its own, and an agent that holds the user's key. */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { accountOf, type RunKilnOptions, spawnAs } from '../helpers/run-kiln.ts';
import type { Workspace } from '../helpers/workspace.ts';
import { TEST_USER } from '../setup/places.ts';
import { run } from '../setup/run.ts';

export interface SshServer {
  readonly port: number;
  /** "USER@127.0.0.1" */
  readonly login: string;
  /** Socket of an agent with a key that is let in. */
  readonly agent: string;
  /** Socket of an agent with a key that is not. */
  readonly stranger: string;
  /** File with the private key that is let in, readable for everyone who runs the tests. */
  readonly key: string;
}

/** Starts both for one test. What is below the workspace's directory can be read over ssh once it is the test user's. */
export async function serveSsh(work: Workspace): Promise<SshServer> {
  const directory = join(work.directory, 'ssh');
  mkdirSync(directory);
  const file = (name: string): string => join(directory, name);
  for (const name of ['host', 'user', 'other']) {
    run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file(name)]);
  }
  const port = await freePort();
  const options = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${file('host')}`,
    `AuthorizedKeysFile ${file('user.pub')}`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PidFile none',
  ];
  writeFileSync(file('sshd_config'), `${options.join('\n')}\n`);
  const { uid, gid } = accountOf(TEST_USER);
  run('chown', ['-R', `${uid}:${gid}`, directory]);
  chmodSync(directory, 0o755);
  const as: RunKilnOptions = { user: TEST_USER, cwd: '/', home: work.home };
  await started(spawnAs(['/usr/sbin/sshd', '-D', '-e', '-f', file('sshd_config')], as), 'Server listening');
  const agents: string[] = [];
  for (const name of ['user', 'other']) {
    const socket = file(`${name}.sock`);
    await started(spawnAs(['ssh-agent', '-D', '-a', socket], as), 'SSH_AUTH_SOCK=');
    const add = [
      '--reuid',
      String(uid),
      '--regid',
      String(gid),
      '--clear-groups',
      'ssh-add',
      '-q',
      file(name),
    ];
    const added = spawnSync('setpriv', add, { env: { ...process.env, SSH_AUTH_SOCK: socket } });
    if (added.status !== 0) throw new Error(`ssh-add: ${added.stderr.toString()}`);
    agents.push(socket);
  }
  const [agent = '', stranger = ''] = agents;
  return { port, login: `${TEST_USER}@127.0.0.1`, agent, stranger, key: file('user') };
}

/** Adds a line to what the test user's ssh knows, for one test. */
export function knowHost(line: string): void {
  const { uid, gid, home } = accountOf(TEST_USER);
  const file = join(home, '.ssh/known_hosts');
  run('install', ['-d', '-m', '700', '-o', String(uid), '-g', String(gid), join(home, '.ssh')]);
  writeFileSync(file, `${line}\n`, { flag: 'a' });
  run('chown', [`${uid}:${gid}`, file]);
  onTestFinished(() => {
    const others = readFileSync(file, 'utf8')
      .split('\n')
      .filter((other) => other !== line);
    writeFileSync(file, others.join('\n'));
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo;
  await new Promise<unknown>((closed) => server.close(closed));
  return port;
}

/** Waits for words of a server's; it is stopped when the test ends. */
function started(child: ChildProcess, words: string): Promise<void> {
  let said = '';
  onTestFinished(
    () =>
      new Promise<void>((ended) => {
        if (child.exitCode !== null || child.signalCode !== null) return ended();
        child.once('close', () => ended());
        child.kill('SIGTERM');
      }),
  );
  return new Promise((ready, failed) => {
    const read = (chunk: Buffer): void => {
      said += chunk.toString();
      if (said.includes(words)) ready();
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('close', (code) => failed(new Error(`ended with ${code}: ${said}`)));
  });
}
