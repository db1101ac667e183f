/** What `kiln run` and its inside tell each other, as data. */
import type { ContainerOverrides } from '../container/container-config.ts';
import type { ContainerRequest } from '../container/run-container.ts';
import type { Platform } from '../image/descriptor.ts';
import type { TerminalSize } from '../system/terminal-calls.ts';
import type { ObtainOptions } from './obtain-image.ts';

/** What the command line says. */
export interface RunOptions
  extends Omit<ContainerRequest, 'manifest' | 'config' | 'threads'>,
    Omit<ObtainOptions, 'root' | 'connections' | 'platform' | 'emit' | 'signal' | 'clock'> {
  readonly root: string;
  readonly overrides: ContainerOverrides;
  readonly platform: Platform;
  readonly hostPlatform: Platform;
  /** Architectures whose programs run here by an emulator. */
  readonly emulated: readonly string[];
  /** Passes standard input on. */
  readonly interactive: boolean;
  readonly isolation: 'auto' | 'oci' | 'chroot';
  readonly snapshotter: 'auto' | 'overlay' | 'fuse-overlayfs' | 'copy';
  readonly threads: number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What crosses into the namespace. */
export interface RunTask extends Pick<RunOptions, 'root' | 'interactive' | 'isolation' | 'snapshotter'> {
  readonly container: ContainerRequest;
  /** Set to give the container a terminal. */
  readonly terminal: TerminalSize | undefined;
  readonly searchPath: string | undefined;
}

/** To the container. */
export type ToContainer = { readonly signal: NodeJS.Signals } | { readonly resize: TerminalSize };

/** From it. */
export type FromContainer = 'created' | 'started';
