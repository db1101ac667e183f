/** RUN: a snapshot on top of the stage's layers, a process in it, and the changes packed while the build goes on. */
import { BuildError, located } from '../errors.ts';
import type { RunStep } from '../plan/step.ts';
import { linesOf } from '../progress/step-output.ts';
import { monotonicMs } from '../system/monotonic.ts';
import { hostTree } from './host-tree.ts';
import type { LayerUse } from './layer-use.ts';
import { NeedsNamespace } from './needs-namespace.ts';
import { homeOf, resolveUser } from './owner.ts';
import { type PreparedMounts, prepareMounts } from './run-mounts.ts';
import { prepareWorkdir } from './run-workdir.ts';
import type { ExecutionEnvironment, SolverContext } from './solver-context.ts';
import type { StepLayer } from './step-layer.ts';
import type { StepReporter } from './step-reporter.ts';
import type { StepRequest } from './step-request.ts';

/** Lines of output kept for the message of a failed step. */
const TAIL_LINES = 20;

type RunRequest = StepRequest & {
  readonly step: RunStep;
  readonly use: LayerUse;
  readonly reporter: StepReporter;
};

/** Runs a RUN. Throws RUN_* at the instruction's line. */
export async function executeRun(context: SolverContext, request: RunRequest): Promise<StepLayer> {
  const { execution } = context.options;
  refuseForeign(context, request);
  if (execution === undefined) throw new NeedsNamespace('a RUN step must be executed');
  const { access } = context;
  const lowers = await access.directories(request.state.layers, request.reporter);
  const scratch = access.session.makeDirectory('run');
  const mounted = await execution.snapshotter.prepare(access.session.makeDirectory('snapshot'), lowers);
  let seen: PreparedMounts['times'];
  try {
    seen = await runIn(context, { ...request, execution, rootfs: mounted.rootfs, scratch });
  } catch (error) {
    await mounted.discard();
    throw located(error, request.step.location);
  }
  const directory = context.store.layers.adoptSnapshot(await mounted.commit());
  const settled = access.packing.packSnapshot({
    directory,
    lowers,
    below: request.state.layers,
    seen,
    created: context.now(),
    use: request.use,
  });
  return { settled, directory };
}

function refuseForeign(context: SolverContext, { step, plan }: RunRequest): void {
  try {
    context.options.requireRunnable(plan.platform);
  } catch (error) {
    throw located(error, step.location);
  }
}

/** Runs the process; says whose times its mounts showed. */
async function runIn(
  context: SolverContext,
  request: RunRequest & {
    readonly execution: ExecutionEnvironment;
    readonly rootfs: string;
    readonly scratch: string;
  },
): Promise<PreparedMounts['times']> {
  const { step, execution, rootfs, scratch, reporter } = request;
  const { settings, sandbox } = execution;
  const tree = hostTree(rootfs);
  const user = resolveUser(step.user, () => tree);
  prepareWorkdir(rootfs, step.cwd, user);
  const mounts = await prepareMounts(context, { ...request, settings, scratch, user });
  // The runtime's own idea of HOME differs for users who are not in /etc/passwd.
  const home = step.env.some((entry) => entry.startsWith('HOME=')) ? [] : [`HOME=${homeOf(user.uid, tree)}`];
  const output = linesOf({
    keep: TAIL_LINES,
    emit: (stream, text) => reporter.output(stream, text),
    now: monotonicMs,
  });
  let exitCode: number;
  try {
    ({ exitCode } = await sandbox.run({
      rootfs,
      argv: step.argv,
      env: [...step.env, ...step.proxyEnv, ...mounts.env, ...home],
      cwd: step.cwd,
      user,
      mounts: mounts.mounts,
      network: step.network,
      hostname: settings.hostname,
      extraHosts: settings.extraHosts,
      shmSize: settings.shmSize,
      ulimits: settings.ulimits,
      scratch,
      output: (stream, chunk) => output.write(stream, chunk),
      signal: context.signal,
    }));
  } finally {
    output.end();
    await mounts.release();
  }
  if (exitCode !== 0) throw failed(step, exitCode, output.tail());
  return mounts.times;
}

function failed(step: RunStep, exitCode: number, output: readonly string[]): BuildError {
  const command = step.argv.join(' ');
  const shown = command.length > 300 ? `${command.slice(0, 300)}…` : command;
  return new BuildError(
    'RUN_FAILED',
    `process "${shown}" did not complete successfully: exit code: ${exitCode}`,
    {
      output,
      suggestions: hints(exitCode, output),
    },
  );
}

function hints(exitCode: number, output: readonly string[]): string[] {
  const text = output.join('\n');
  if (exitCode === 137) return ['The process was killed (signal 9), most often because memory ran out.'];
  if (exitCode === 127)
    return ['A command was not found: install it in a RUN before, or check its spelling and PATH.'];
  if (exitCode === 126)
    return ['A file could not be executed: check its mode (chmod +x) and that it fits the platform.'];
  if (/no space left on device/i.test(text)) return ['The disk is full: free space, or run kiln prune.'];
  if (/temporary failure in name resolution|could not resolve host|temporary failure resolving/i.test(text)) {
    return ['A name could not be resolved: check the network and DNS of this machine, and --network.'];
  }
  return [];
}
