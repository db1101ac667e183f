/** The inside of the namespace: sets it up, runs the one handler, and answers the command that started it. */
import { readFileSync } from 'node:fs';
import { messageOf } from '../errors.ts';
import { MOUNT, mount } from '../system/mount-calls.ts';
import { processControl } from '../system/process-calls.ts';
import type { FromChild, NamespaceSetup, ToChild } from './namespace-wire.ts';
import { toWireError } from './namespace-wire.ts';
import { CAP_SYS_ADMIN, hasCapability } from './remedies.ts';

export interface NamespaceContext extends NamespaceSetup {
  /** Aborted by Ctrl-C, by SIGTERM, and when the command is gone. Clean up and return. */
  readonly signal: AbortSignal;
  /** Tells the command something; it arrives at `onMessage`. */
  send(message: unknown): void;
  /** Passes on what the command sends; what came before anybody listened is passed on then. */
  onMessage(listener: (message: unknown) => void): void;
}

/** Time a handler has to clean up when nobody is left to wait for it. */
const ORPHAN_GRACE = 10_000;

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/** Runs `handler` for the command that entered the namespace, sends its result or error back, and exits. */
export function serveNamespace<Payload, Result>(
  handler: (payload: Payload, context: NamespaceContext) => Promise<Result>,
): void {
  const controller = new AbortController();
  const abort = (): void => controller.abort(new DOMException('The build was interrupted', 'AbortError'));
  // The whole group gets the terminal's Ctrl-C, and a service manager signals every process of a job.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, abort);
  process.on('disconnect', () => {
    abort();
    setTimeout(() => process.exit(1), ORPHAN_GRACE).unref();
  });
  let listener: ((message: unknown) => void) | undefined;
  const early: unknown[] = [];
  process.on('message', (message: ToChild) => {
    if (message.type === 'message') {
      if (listener === undefined) early.push(message.message);
      else listener(message.message);
      return;
    }
    if (message.type === 'abort') {
      abort();
      return;
    }
    const refusal = prepare(message.setup);
    if (refusal !== undefined) {
      finish(refusal);
      return;
    }
    const context = {
      ...message.setup,
      signal: controller.signal,
      send: (content: unknown): void => post({ type: 'message', message: content }),
      onMessage: (next: (message: unknown) => void): void => {
        listener = next;
        for (const message of early.splice(0)) next(message);
      },
    };
    answer(() => handler(message.payload as Payload, context), controller.signal).then(finish);
  });
  post({ type: 'ready' });
}

async function answer(run: () => Promise<unknown>, signal: AbortSignal): Promise<FromChild> {
  try {
    return { type: 'result', value: await run() };
  } catch (error) {
    return signal.aborted ? { type: 'aborted' } : { type: 'error', error: toWireError(error) };
  }
}

/** Mounts what the namespace needs. Returns what to say when a fresh /proc is refused. */
function prepare({ mode, pidNamespace }: NamespaceSetup): FromChild | undefined {
  if (mode === 'none') return undefined;
  // The kernel forgets unshare's --kill-child when node gains its capabilities, so it is asked for again.
  processControl(PR_SET_PDEATHSIG, SIGKILL);
  if (pidNamespace) {
    try {
      mount({
        source: 'proc',
        target: '/proc',
        type: 'proc',
        flags: MOUNT.nosuid | MOUNT.nodev | MOUNT.noexec,
      });
    } catch (error) {
      return { type: 'proc-refused', capable: hasCapability(CAP_SYS_ADMIN), said: messageOf(error) };
    }
  }
  hideHybridCgroups();
  return undefined;
}

/**
 * crun refuses to start at all where cgroup v1 and v2 are mixed and v2 has controllers, even with cgroups disabled.
 * Seen from our own mount namespace, the v2 part is empty.
 */
function hideHybridCgroups(): void {
  const unified = '/sys/fs/cgroup/unified';
  try {
    if (readFileSync(`${unified}/cgroup.controllers`, 'utf8').trim() === '') return;
    mount({ source: 'none', target: unified, type: 'tmpfs', flags: MOUNT.nosuid | MOUNT.nodev });
  } catch {
    // No such hierarchy, or it cannot be covered: the runtime will say what it thinks of it.
  }
}

function post(message: FromChild, done?: () => void): void {
  if (process.connected !== true || process.send === undefined) {
    done?.();
    return;
  }
  // The command may be gone at any moment; 'disconnect' takes care of that.
  process.send(message, undefined, undefined, () => done?.());
}

function finish(message: FromChild): void {
  post(message, () => process.exit(0));
}
