/** Runs a file of test/ inside the namespaces, as root or as the user kiln, and gives back what it said. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type TestUser = 'root' | 'kiln';

export interface Said<Value> {
  readonly value?: Value;
  readonly error?: {
    readonly code?: string;
    readonly message: string;
    readonly suggestions?: readonly string[];
    readonly output?: readonly string[];
  };
  readonly messages: readonly unknown[];
  /** Everything printed beside the answer. */
  readonly printed: string;
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export interface InsideOptions {
  readonly env?: Record<string, string>;
  /** Command that the whole thing is started by, such as setpriv with fewer capabilities. */
  readonly wrapper?: readonly string[];
}

/** A run under way. */
export interface Running<Value> {
  readonly child: ChildProcess;
  readonly said: Promise<Said<Value>>;
}

/** Starts an entry (a path relative to test/) with a payload. */
export function startInside<Value>(
  user: TestUser | string,
  entry: string,
  { payload, ...options }: InsideOptions & { readonly payload: unknown },
): Running<Value> {
  const file = here(`../${entry}`);
  accessSync(file, constants.R_OK);
  const program = [process.execPath, here('entries/enter.ts'), file, JSON.stringify(payload)];
  // The test's own PATH is for kiln; runuser and the wrapper come from the ordinary one.
  const environment =
    options.env === undefined ? [] : ['env', ...Object.entries(options.env).map((pair) => pair.join('='))];
  const [command = '', ...args] = [
    ...(user === 'root' ? [] : ['runuser', '-u', user, '--']),
    ...(options.wrapper ?? []),
    ...environment,
    ...program,
  ];
  const child = spawn(command, args, {
    cwd: '/',
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  let complaint = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    complaint += chunk;
  });
  const said = new Promise<Said<Value>>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve(parse<Value>(text, complaint)));
  });
  return { child, said };
}

function parse<Value>(text: string, complaint: string): Said<Value> {
  const lines = text.split('\n');
  const answers = lines.filter((line) => line.startsWith('@@')).map((line) => JSON.parse(line.slice(2)));
  const messages = answers.filter((answer) => 'message' in answer).map((answer) => answer.message);
  const last = answers.findLast((answer) => 'value' in answer || 'error' in answer) ?? {};
  const printed = [...lines.filter((line) => !line.startsWith('@@')), complaint].join('\n').trim();
  return { ...last, messages, printed };
}

/** Runs an entry to its end; a failure inside fails the test with its message. */
export async function inside<Value>(user: TestUser, entry: string, payload: unknown): Promise<Value> {
  const { said } = startInside<Value>(user, entry, { payload });
  const { value, error, printed } = await said;
  if (error !== undefined)
    throw new Error(`${error.code ?? ''} ${error.message} ${(error.output ?? []).join(' ')}\n${printed}`);
  if (value === undefined) throw new Error(`no answer: ${printed}`);
  return value;
}

/** A directory that belongs to the user, on a real disk, and is gone after `remove`. */
export function temporaryDirectory(user: TestUser): { readonly path: string; remove(): void } {
  const path = mkdtempSync('/var/tmp/kiln-test-');
  chmodSync(path, 0o755);
  if (user !== 'root') execFileSync('chown', [`${user}:${user}`, path]);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A root filesystem of busybox: /bin with every applet, /etc, /tmp and nothing else. */
export function busyboxRoot(path: string, user: TestUser): string {
  for (const name of ['bin', 'etc', 'tmp', 'root']) mkdirSync(join(path, name), { recursive: true });
  chmodSync(join(path, 'tmp'), 0o1777);
  cpSync('/bin/busybox', join(path, 'bin/busybox'));
  const applets = execFileSync('busybox', ['--list'], { encoding: 'utf8' }).trim().split('\n');
  for (const applet of applets) if (applet !== 'busybox') symlinkSync('busybox', join(path, 'bin', applet));
  if (user !== 'root') execFileSync('chown', ['-R', `${user}:${user}`, path]);
  return path;
}
