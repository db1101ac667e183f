/** What is done with containers inside the namespace, beside running them: their files belong to many owners. */
import { pipeline } from 'node:stream/promises';
import { commitContainer } from '../container/commit-container.ts';
import { withContainerFiles } from '../container/container-files.ts';
import { removeContainer } from '../container/run-container.ts';
import type { NamespaceContext } from '../executor/namespace-child.ts';
import type { Digest } from '../image/descriptor.ts';
import type { FileTree } from '../layer/file-tree.ts';
import { flattenToTar } from '../layer/flatten.ts';
import type { SnapshotChange } from '../layer/pack-snapshot.ts';
import { outputError } from '../output/output-error.ts';
import { chooseSnapshotter } from '../snapshot/choose-snapshotter.ts';
import type { Container } from '../store/container-store.ts';
import { Store } from '../store/store.ts';
import { DescriptorStream } from '../system/descriptor-stream.ts';
import { writeOutputFile } from '../system/output-file.ts';

/** A container, by what the command line says, and what to do with it. */
export type ContainerTask = { readonly root: string } & (
  | { readonly kind: 'remove'; readonly directories: readonly string[] }
  | { readonly kind: 'changes'; readonly container: string }
  | CommitTask
  | ExportTask
);

export interface CommitTask {
  readonly kind: 'commit';
  readonly container: string;
  readonly names: readonly string[];
  readonly changes: readonly string[];
  readonly author: string | undefined;
  readonly message: string | undefined;
  /** SOURCE_DATE_EPOCH in seconds. */
  readonly epoch: number | undefined;
}

interface ExportTask {
  readonly kind: 'export';
  readonly container: string;
  /** Absolute path; standard output when absent. */
  readonly file: string | undefined;
  readonly searchPath: string | undefined;
}

export type ContainerTaskResult = Digest | readonly SnapshotChange[] | undefined;

/** Does a task. Throws CONTAINER_*, and what the task itself throws. */
export async function doContainerTask(
  task: ContainerTask,
  context: NamespaceContext,
): Promise<ContainerTaskResult> {
  const store = Store.open(task.root);
  const { signal } = context;
  switch (task.kind) {
    case 'remove':
      for (const directory of task.directories) removeContainer(store, directory);
      return undefined;
    case 'changes':
      return withContainerFiles(store, store.containers.find(task.container), { signal }, (files) =>
        files.changes(),
      );
    case 'commit': {
      const { epoch } = task;
      const created = epoch === undefined ? new Date() : new Date(epoch * 1000);
      return commitContainer(store, store.containers.find(task.container), { ...task, created, signal });
    }
    case 'export':
      await exportContainer(store, store.containers.find(task.container), { ...task, context });
      return undefined;
  }
}

function exportContainer(
  store: Store,
  container: Container,
  { file, searchPath, context }: ExportTask & { readonly context: NamespaceContext },
): Promise<void> {
  const { signal, mode } = context;
  const wanted = container.snapshotter ?? 'auto';
  return withContainerFiles(store, container, { signal }, (files) =>
    files.withRoot(
      (directory) => chooseSnapshotter({ directory, wanted, mountable: mode !== 'none', searchPath }),
      async (tree) => {
        if (file === undefined) await pipeline(flattenToTar(tree), new DescriptorStream(1), { signal });
        else await exportTo(file, tree, signal);
      },
    ),
  );
}

async function exportTo(file: string, tree: FileTree, signal: AbortSignal): Promise<void> {
  try {
    await writeOutputFile(file, () => flattenToTar(tree), signal);
  } catch (error) {
    throw outputError(error, file);
  }
}
