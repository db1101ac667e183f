/** Inside the namespaces: what would be chosen here, what doctor says, and a step by chroot on a copied snapshot. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chooseSandbox } from '../../../src/executor/choose-sandbox.ts';
import { serveNamespace } from '../../../src/executor/namespace-child.ts';
import { probeInside } from '../../../src/executor/probe.ts';
import type { IsolationName, SandboxMount } from '../../../src/executor/sandbox.ts';
import { chooseSnapshotter } from '../../../src/snapshot/choose-snapshotter.ts';
import type { SnapshotterName } from '../../../src/snapshot/snapshotter.ts';

export interface ChoosePayload {
  readonly directory: string;
  readonly isolation?: 'auto' | IsolationName;
  readonly wanted?: 'auto' | SnapshotterName;
  /** Lower directory of a step to run with what was chosen. */
  readonly lower?: string;
  readonly argv?: readonly string[];
  readonly mounts?: readonly SandboxMount[];
}

export interface Chosen {
  readonly sandbox: string;
  readonly sandboxReason: string;
  readonly snapshotter: string;
  readonly snapshotterReason: string;
  readonly left: readonly string[];
  readonly checks: ReturnType<typeof probeInside>;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly exitCode?: number;
  readonly upper?: string;
}

serveNamespace<ChoosePayload, Chosen>(async (payload, context) => {
  const { directory } = payload;
  const searchPath = process.env['PATH'];
  const { sandbox, reason } = chooseSandbox({
    isolation: payload.isolation ?? 'auto',
    setup: context,
    searchPath,
  });
  const snapshots = await chooseSnapshotter({
    directory,
    wanted: payload.wanted ?? 'auto',
    mountable: context.mode !== 'none',
    searchPath,
  });
  const chosen = {
    sandbox: sandbox.name,
    sandboxReason: reason,
    snapshotter: snapshots.snapshotter.name,
    snapshotterReason: snapshots.reason,
    left: readdirSync(directory).filter((name) => name.startsWith('trial-')),
    checks: probeInside(context, searchPath, { name: snapshots.snapshotter.name, reason: snapshots.reason }),
  };
  if (payload.lower === undefined) return chosen;
  const [step, scratch] = [join(directory, 'step'), join(directory, 'scratch')];
  mkdirSync(step);
  mkdirSync(scratch);
  const mounted = await snapshots.snapshotter.prepare(step, [payload.lower]);
  const text = { stdout: '', stderr: '' };
  const { exitCode } = await sandbox.run({
    rootfs: mounted.rootfs,
    argv: payload.argv ?? [],
    env: ['PATH=/bin'],
    cwd: '/',
    user: { uid: 0, gid: 0, additionalGids: [] },
    mounts: payload.mounts ?? [],
    network: 'host',
    hostname: 'kiln-test',
    extraHosts: [],
    shmSize: 65536,
    ulimits: [],
    scratch,
    output: (stream, chunk) => {
      text[stream] += chunk.toString();
    },
    signal: context.signal,
  });
  const upper = await mounted.commit();
  writeFileSync(join(directory, 'done'), '');
  return { ...chosen, ...text, exitCode, upper };
});
