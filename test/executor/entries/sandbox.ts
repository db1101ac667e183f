/** Inside the namespaces: runs sandbox requests one after another and tells what came of them. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from '../../../src/errors.ts';
import { ChrootSandbox } from '../../../src/executor/chroot-sandbox.ts';
import { serveNamespace } from '../../../src/executor/namespace-child.ts';
import type { NamespaceSetup } from '../../../src/executor/namespace-wire.ts';
import { findNetworkTools } from '../../../src/executor/network.ts';
import { findOciRuntime, OciSandbox } from '../../../src/executor/oci-sandbox.ts';
import type { Sandbox, SandboxRequest } from '../../../src/executor/sandbox.ts';

export interface SandboxPayload {
  readonly sandbox: 'crun' | 'runc' | 'chroot';
  readonly directory: string;
  readonly rootfs: string;
  readonly requests: readonly Partial<SandboxRequest>[];
  /** Abort this many milliseconds after the first output. */
  readonly abortAfter?: number;
  readonly noNetworkTools?: boolean;
}

export interface SandboxOutcome {
  readonly exitCode?: number;
  readonly error?: { readonly code: string; readonly message: string; readonly output: readonly string[] };
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

async function makeSandbox(payload: SandboxPayload, setup: NamespaceSetup): Promise<Sandbox> {
  const path = process.env['PATH'];
  const tools =
    payload.noNetworkTools === true ? { pasta: undefined, slirp4netns: undefined } : findNetworkTools(path);
  if (payload.sandbox === 'chroot') return new ChrootSandbox({ setup, tools, searchPath: path });
  const runtime = findOciRuntime(path);
  if (runtime === undefined) throw new Error('no OCI runtime');
  const only =
    payload.sandbox === 'runc' ? { name: 'runc' as const, path: '/usr/sbin/runc', version: 'test' } : runtime;
  return new OciSandbox(only, tools, path);
}

serveNamespace<SandboxPayload, SandboxOutcome[]>(async (payload, context) => {
  const sandbox = await makeSandbox(payload, context);
  const outcomes: SandboxOutcome[] = [];
  for (const [index, partial] of payload.requests.entries()) {
    const scratch = join(payload.directory, `scratch-${index}`);
    mkdirSync(scratch);
    const text = { stdout: '', stderr: '' };
    const abort = new AbortController();
    context.signal.addEventListener('abort', () => abort.abort(context.signal.reason));
    const request: SandboxRequest = {
      rootfs: payload.rootfs,
      argv: ['/bin/true'],
      env: ['PATH=/bin'],
      cwd: '/',
      user: { uid: 0, gid: 0, additionalGids: [] },
      mounts: [],
      network: 'host',
      hostname: 'kiln-test',
      extraHosts: [],
      shmSize: 67108864,
      ulimits: [],
      scratch,
      output: (stream, chunk) => {
        text[stream] += chunk.toString();
        context.send({ output: chunk.toString() });
        if (payload.abortAfter !== undefined)
          setTimeout(() => abort.abort(new Error('stop')), payload.abortAfter);
      },
      signal: abort.signal,
      ...partial,
    };
    const begin = performance.now();
    try {
      const { exitCode } = await sandbox.run(request);
      outcomes.push({ exitCode, ...text, milliseconds: performance.now() - begin });
    } catch (error) {
      const { message } = error as Error;
      const [code, output] = error instanceof BuildError ? [error.code, error.output] : ['', []];
      outcomes.push({ error: { code, message, output }, ...text, milliseconds: performance.now() - begin });
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }
  return outcomes;
});
