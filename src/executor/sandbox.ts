/**
 * The contract of a sandbox (DESIGN D5): run one process in a root filesystem, give back its exit code.
 * Everything here is already decided: user names are numbers, mounts are paths on the host.
 */
import type { Readable, Writable } from 'node:stream';
import type { TerminalSize } from '../system/terminal-calls.ts';

export type IsolationName = 'oci' | 'chroot';

export type NetworkMode = 'host' | 'none' | 'private';

/** A mount of a RUN step, in the terms of the runtime-spec. */
export interface SandboxMount {
  readonly type: 'bind' | 'tmpfs';
  /** Absolute path inside the root filesystem. */
  readonly destination: string;
  /** bind: absolute host path of a file or directory. */
  readonly source?: string;
  readonly readonly?: boolean;
  /** tmpfs: size limit in bytes. */
  readonly size?: number;
}

export interface Ulimit {
  /** Name without RLIMIT_, lower case, such as "nofile". */
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

export interface SandboxUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

export type OutputListener = (stream: 'stdout' | 'stderr', chunk: Buffer) => void;

/** The streams of a process that somebody talks to. */
export interface Attachment {
  /** What it reads; without one its input is empty. */
  readonly stdin: Readable | undefined;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Gives it a terminal of its own with this size; all it writes then goes to `stdout`. */
  readonly terminal: TerminalSize | undefined;
  /** Called once it is being started. */
  readonly onStart: (process: AttachedProcess) => void;
}

/** A running process, for who passes on signals and the size of a window. */
export interface AttachedProcess {
  /**
   * Sends a signal. The kernel drops signals that the first process of a PID namespace does not handle; here they end
   * it, as they would any other process.
   */
  signal(name: NodeJS.Signals): void;
  resize(size: TerminalSize): void;
}

export interface SandboxRequest {
  /** Absolute host path of the writable root filesystem, mounted. */
  readonly rootfs: string;
  readonly argv: readonly string[];
  /** NAME=value, in order. */
  readonly env: readonly string[];
  /** Absolute path inside the root filesystem; it exists. */
  readonly cwd: string;
  readonly user: SandboxUser;
  readonly mounts: readonly SandboxMount[];
  readonly network: NetworkMode;
  readonly hostname: string;
  /** Lines added to /etc/hosts: name and address. */
  readonly extraHosts: readonly { readonly name: string; readonly address: string }[];
  /** Bytes of /dev/shm. */
  readonly shmSize: number;
  readonly ulimits: readonly Ulimit[];
  /** Scratch directory for this run (absolute, exists, empty): bundle, generated files. The caller removes it. */
  readonly scratch: string;
  /** Nothing outside of mounts can be written. */
  readonly readonlyRoot?: boolean;
  /** What the process writes, or streams that it is connected to for as long as it lives. */
  readonly output: OutputListener | Attachment;
  /** Aborting kills every process of the sandbox; `run` then rejects with the signal's reason. */
  readonly signal: AbortSignal;
}

export interface SandboxResult {
  /** Exit code of the process; 128 + n when signal n ended it. */
  readonly exitCode: number;
}

export interface Sandbox {
  readonly name: IsolationName;
  /** What runs the process, for messages: "crun 1.8.1". */
  readonly description: string;
  /**
   * Runs the process and waits for it and everything it left behind. Mount points that `run` had to create in
   * the root filesystem are removed again (parents' mtimes restored), so they never end up in a layer.
   * Rejects with a BuildError (RUN_* or HOST_*) when the process cannot be started.
   */
  run(request: SandboxRequest): Promise<SandboxResult>;
}
