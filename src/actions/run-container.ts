/** `kiln run` from outside: the image, then the container inside the namespace, with signals and the window passed on. */

import { commandOf, containerConfig } from '../container/container-config.ts';
import { checkName } from '../container/container-name.ts';
import type { ContainerRequest } from '../container/run-container.ts';
import { requireRunnable } from '../executor/foreign-platform.ts';
import { enterNamespace } from '../executor/namespace.ts';
import type { NamespaceTask } from '../namespace-main.ts';
import { type Session, Store } from '../store/store.ts';
import type { TerminalSize } from '../system/terminal-calls.ts';
import { type ObtainOptions, obtainImage } from './obtain-image.ts';
import type { FromContainer, RunOptions, ToContainer } from './run-task.ts';

/** The caller's terminal, where the container gets one. */
export interface CallerTerminal {
  size(): TerminalSize;
  onResize(listener: () => void): void;
  /** Keys go to the container as they are pressed; returns what ends that. */
  makeRaw(): () => void;
}

export interface RunWorld extends Pick<ObtainOptions, 'connections' | 'emit' | 'signal' | 'clock'> {
  readonly killSignal: AbortSignal;
  readonly terminal: CallerTerminal | undefined;
  /** From then on signals are the container's; before, they end the command. */
  readonly onStart: (forward: (signal: NodeJS.Signals) => void) => void;
}

/** Runs a container; resolves to the exit code of its process. Throws BuildError for everything that kiln could not do. */
export async function runContainer(options: RunOptions, world: RunWorld): Promise<number> {
  const { name, image, platform, hostPlatform, emulated, overrides, terminal } = { ...options, ...world };
  if (name !== undefined) checkName(name);
  const store = Store.open(options.root);
  let session: Session | undefined = store.openSession();
  const closeSession = (): void => {
    session?.close();
    session = undefined;
  };
  try {
    const { descriptor, config } = await obtainImage(store, image, { ...options, ...world, platform });
    requireRunnable(config, { host: hostPlatform, emulated });
    const container: ContainerRequest = {
      ...requestOf(options),
      manifest: descriptor,
      config: containerConfig(config.config ?? {}, overrides),
    };
    commandOf(container.config);
    const { root, interactive, isolation, snapshotter, env } = options;
    const request = { root, interactive, isolation, snapshotter, container, searchPath: env['PATH'] };
    const task = { task: 'run', request: { ...request, terminal: terminal?.size() } } satisfies NamespaceTask;
    return await enter(task, { options, world, closeSession });
  } finally {
    closeSession();
  }
}

async function enter(
  payload: NamespaceTask,
  { options, world, closeSession }: { options: RunOptions; world: RunWorld; closeSession: () => void },
): Promise<number> {
  const { signal, killSignal, terminal, onStart } = world;
  let send: (message: ToContainer) => void = () => {};
  terminal?.onResize(() => send({ resize: terminal.size() }));
  let restore: (() => void) | undefined;
  const inside = enterNamespace<number>({
    payload,
    env: { ...options.env },
    signal,
    killSignal,
    onStart: (post) => {
      send = post;
    },
    onMessage: (message) => {
      const stage = message as FromContainer;
      if (stage === 'created') closeSession();
      if (stage !== 'started') return;
      if (options.interactive) restore = terminal?.makeRaw();
      onStart((name) => send({ signal: name }));
    },
  });
  return inside.finally(() => restore?.());
}

/** The part of the options that the container itself is made of. */
function requestOf(options: RunOptions): Omit<ContainerRequest, 'manifest' | 'config'> {
  const { image, name, autoRemove, mounts, network, hostname, extraHosts } = options;
  const { shmSize, ulimits, readonlyRoot, threads } = options;
  return {
    ...{ image, name, autoRemove, mounts, network, hostname, extraHosts },
    ...{ shmSize, ulimits, readonlyRoot, threads },
  };
}
