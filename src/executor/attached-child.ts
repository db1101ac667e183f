/** A sandbox's process as its caller sees it: to be signalled, and told the size of the window. */
import type { ChildProcess } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { readTextIfExists } from '../system/files.ts';
import { setTerminalSize, type TerminalSize } from '../system/terminal-calls.ts';
import type { AttachedProcess } from './sandbox.ts';
import type { StepStreams } from './step-streams.ts';

/** Signals that end a process which does nothing about them. */
const FATAL: ReadonlySet<NodeJS.Signals> = new Set([
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGTERM',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
]);

export class AttachedChild implements AttachedProcess {
  readonly #child: ChildProcess;
  readonly #streams: StepStreams;
  readonly #firstProcess: () => number | undefined;
  /** The signal that ended the process in place of one that the kernel dropped. */
  endedBy: NodeJS.Signals | undefined;

  /** `firstProcess`: the process in the sandbox, undefined until it is there. */
  constructor(child: ChildProcess, streams: StepStreams, firstProcess: () => number | undefined) {
    this.#child = child;
    this.#streams = streams;
    this.#firstProcess = firstProcess;
  }

  signal(name: NodeJS.Signals): void {
    void this.#deliver(name);
  }

  resize(size: TerminalSize): void {
    this.#streams.resize?.(size);
    const pid = this.#firstProcess();
    if (pid === undefined) return;
    try {
      // Where a runtime stands between, the container has another terminal, which not every runtime passes sizes on to.
      const fd = openSync(`/proc/${pid}/root/dev/console`, constants.O_RDWR | constants.O_NOCTTY);
      try {
        setTerminalSize(fd, size);
      } finally {
        closeSync(fd);
      }
    } catch {
      // It ended meanwhile, or has no terminal but ours.
    }
  }

  async #deliver(name: NodeJS.Signals): Promise<void> {
    for (;;) {
      const { exitCode, signalCode } = this.#child;
      if (exitCode !== null || signalCode !== null) return;
      const pid = this.#firstProcess();
      if (pid !== undefined) {
        this.#send(pid, name);
        return;
      }
      await delay(5);
    }
  }

  #send(pid: number, name: NodeJS.Signals): void {
    const dropped = FATAL.has(name) && !isHandled(pid, name);
    try {
      process.kill(pid, dropped ? 'SIGKILL' : name);
      if (dropped) this.endedBy ??= name;
    } catch {
      // It ended meanwhile.
    }
  }
}

/** Whether a process blocks, ignores or catches a signal, by /proc/PID/status. */
function isHandled(pid: number, name: NodeJS.Signals): boolean {
  const status = readTextIfExists(`/proc/${pid}/status`) ?? '';
  const bit = 1n << BigInt(osConstants.signals[name] - 1);
  return [...status.matchAll(/^Sig(?:Blk|Ign|Cgt):\s*([0-9a-f]+)/gm)].some(
    ([, mask]) => (BigInt(`0x${mask}`) & bit) !== 0n,
  );
}
