/** Inside the namespaces: says where it is, waits, fails, or leaves a process behind, as told. */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { BuildError } from '../../../src/errors.ts';
import { serveNamespace } from '../../../src/executor/namespace-child.ts';

export interface PlainPayload {
  readonly what: 'where' | 'wait' | 'stubborn' | 'fail' | 'bug' | 'die';
  readonly file?: string;
  readonly marker?: string;
}

serveNamespace<PlainPayload, unknown>(async ({ what, file, marker }, context) => {
  if (marker !== undefined) spawn('sleep', [marker], { stdio: 'ignore', detached: true }).unref();
  if (what === 'fail')
    throw new BuildError('RUN_FAILED', 'as told', { suggestions: ['try'], output: ['line'] });
  if (what === 'bug') throw new TypeError('a bug');
  if (what === 'die') process.kill(process.pid, 'SIGABRT');
  if (what === 'stubborn') {
    context.send('waiting');
    for (;;) await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  if (what === 'wait') {
    const aborted = new Promise<void>((resolve) => {
      context.signal.addEventListener('abort', () => resolve());
    });
    const timer = setInterval(() => {}, 1000);
    context.send('waiting');
    await aborted;
    clearInterval(timer);
    if (file !== undefined) writeFileSync(file, 'cleaned up');
    throw context.signal.reason;
  }
  return {
    pid: process.pid,
    uid: process.getuid?.(),
    mode: context.mode,
    pidNamespace: context.pidNamespace,
    processes: readFileSync('/proc/self/stat', 'utf8').split(' ')[0],
    map: readFileSync('/proc/self/uid_map', 'utf8').trim().split(/\s+/).map(Number),
  };
});
