/** `kiln run` inside the namespace: what a container needs to run, and the caller's streams for it. */
import { runContainer } from '../container/run-container.ts';
import { chooseSandbox } from '../executor/choose-sandbox.ts';
import type { NamespaceContext } from '../executor/namespace-child.ts';
import type { AttachedProcess } from '../executor/sandbox.ts';
import { chooseSnapshotter } from '../snapshot/choose-snapshotter.ts';
import { Store } from '../store/store.ts';
import { DescriptorStream } from '../system/descriptor-stream.ts';
import type { FromContainer, RunTask, ToContainer } from './run-task.ts';

/** Runs the container of a task; resolves to its exit code. */
export async function runTask(task: RunTask, context: NamespaceContext): Promise<number> {
  const { root, interactive, isolation, snapshotter, terminal, searchPath, container } = task;
  const { sandbox } = chooseSandbox({ isolation, setup: context, searchPath });
  const tell = (message: FromContainer): void => context.send(message);
  return runContainer(container, {
    store: Store.open(root),
    sandbox,
    snapshotter: (directory) =>
      chooseSnapshotter({ directory, wanted: snapshotter, mountable: context.mode !== 'none', searchPath }),
    attachment: {
      stdin: interactive ? process.stdin : undefined,
      stdout: new DescriptorStream(1),
      stderr: new DescriptorStream(2),
      terminal,
    },
    onCreate: () => tell('created'),
    onStart: (child) => {
      context.onMessage((message) => pass(message as ToContainer, child));
      tell('started');
    },
    clock: () => Date.now(),
    signal: context.signal,
  });
}

function pass(message: ToContainer, child: AttachedProcess): void {
  if ('signal' in message) child.signal(message.signal);
  else child.resize(message.resize);
}
