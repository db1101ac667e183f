/** What runs inside the namespace: a build with what it takes to run steps, a container, the checks of `kiln doctor`. */
import { setMaxListeners } from 'node:events';
import { type BuildOutcome, buildImage } from './actions/build-image.ts';
import type { BuildRequest } from './actions/build-request.ts';
import { BuildScratch } from './actions/build-scratch.ts';
import type { ContainerTask, ContainerTaskResult } from './actions/container-tasks.ts';
import { openRegistry } from './actions/open-registry.ts';
import type { RunTask } from './actions/run-task.ts';
import { chooseSandbox } from './executor/choose-sandbox.ts';
import { type NamespaceContext, serveNamespace } from './executor/namespace-child.ts';
import { type Check, probeInside } from './executor/probe.ts';
import type { Emit } from './progress/event.ts';
import { chooseSnapshotter, type SnapshotterChoice } from './snapshot/choose-snapshotter.ts';
import type { ExecutionEnvironment } from './solver/solver-context.ts';
import type { GarbageOptions, GarbageReport } from './store/collect-garbage.ts';
import { type Session, Store } from './store/store.ts';
import type { StoreUsage } from './store/store-usage.ts';

/** What the command outside asks for. */
export type NamespaceTask =
  | { readonly task: 'build'; readonly request: BuildRequest }
  | { readonly task: 'run'; readonly request: RunTask }
  | { readonly task: 'container'; readonly request: ContainerTask }
  | { readonly task: 'probe'; readonly root: string; readonly env: NodeJS.ProcessEnv }
  | { readonly task: 'prune'; readonly root: string; readonly options: GarbageOptions }
  | { readonly task: 'measure'; readonly root: string };

/** What it gets. */
type Answer = BuildOutcome | Check[] | GarbageReport | StoreUsage | ContainerTaskResult | number;

/** What it is sent while the build goes on. */
export interface NamespaceMessage {
  readonly event: Parameters<Emit>[0];
}

serveNamespace<NamespaceTask, Answer>((task, context) => {
  // Not the caller's, which may hide files of the store from its groups; modes that layers say are set beside it.
  process.umask(0o022);
  setMaxListeners(0, context.signal);
  switch (task.task) {
    case 'build':
      return build(task.request, context);
    case 'run':
      return run(task.request, context);
    case 'container':
      return container(task.request, context);
    case 'probe':
      return probe(task, context);
    case 'prune':
      return prune(task);
    case 'measure':
      return measure(task);
  }
});

async function build(request: BuildRequest, context: NamespaceContext): Promise<BuildOutcome> {
  const { registry, ...connect } = openRegistry(request.env);
  const emit: Emit = (event) => context.send({ event } satisfies NamespaceMessage);
  const sessions: Session[] = [];
  const scratch = new BuildScratch(request.root);
  const execution = async (store: Store): Promise<ExecutionEnvironment> => {
    store.sweepTemporary(Date.now());
    const searchPath = request.env['PATH'];
    const { sandbox, reason } = chooseSandbox({ isolation: request.isolation, setup: context, searchPath });
    // The copy driver keeps its tree there, so it lives as long as the build.
    const session = store.openSession();
    sessions.push(session);
    const choice = await snapshotterIn(session, { wanted: request.snapshotter, context, searchPath });
    if (sandbox.name === 'chroot' && request.isolation === 'auto') {
      const message = `RUN steps are only isolated by chroot: ${reason}. --isolation chroot says so on purpose, --isolation oci forbids it.`;
      emit({ type: 'warning', message });
    }
    emit({ type: 'note', message: `sandbox: ${sandbox.description} (${reason})` });
    emit({ type: 'note', message: `snapshotter: ${choice.snapshotter.name} (${choice.reason})` });
    return { sandbox, snapshotter: choice.snapshotter, settings: request.settings };
  };
  try {
    return await buildImage(request, {
      emit,
      signal: context.signal,
      clock: () => Date.now(),
      ...connect,
      download: (url, ask) => registry.download(url, ask),
      scratch,
      execution,
      stdout: process.stdout,
    });
  } finally {
    for (const session of sessions) session.close();
    scratch.close();
    await registry.close();
  }
}

async function run(request: RunTask, context: NamespaceContext): Promise<number> {
  const { runTask } = await import('./actions/run-container-inside.ts');
  return runTask(request, context);
}

async function container(request: ContainerTask, context: NamespaceContext): Promise<ContainerTaskResult> {
  const { doContainerTask } = await import('./actions/container-tasks.ts');
  return doContainerTask(request, context);
}

async function probe(
  { root, env }: Extract<NamespaceTask, { task: 'probe' }>,
  context: NamespaceContext,
): Promise<Check[]> {
  const session = Store.open(root).openSession();
  try {
    const searchPath = env['PATH'];
    const { snapshotter, reason } = await snapshotterIn(session, { wanted: 'auto', context, searchPath });
    return probeInside(context, searchPath, { name: snapshotter.name, reason });
  } finally {
    session.close();
  }
}

async function prune({ root, options }: Extract<NamespaceTask, { task: 'prune' }>): Promise<GarbageReport> {
  const { collectGarbage } = await import('./store/collect-garbage.ts');
  return collectGarbage(Store.open(root), options);
}

async function measure({ root }: Extract<NamespaceTask, { task: 'measure' }>): Promise<StoreUsage> {
  const { storeUsage } = await import('./store/store-usage.ts');
  return storeUsage(Store.open(root));
}

function snapshotterIn(
  session: Session,
  question: {
    wanted: BuildRequest['snapshotter'];
    context: NamespaceContext;
    searchPath: string | undefined;
  },
): Promise<SnapshotterChoice> {
  const { wanted, context, searchPath } = question;
  return chooseSnapshotter({
    directory: session.makeDirectory('snapshotter'),
    wanted,
    mountable: context.mode !== 'none',
    searchPath,
  });
}
