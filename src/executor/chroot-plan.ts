/** What the chroot sandbox tells its init process, and what that one answers when it cannot start the command. */
import type { RuntimeMount } from './oci-spec.ts';
import type { SandboxUser, Ulimit } from './sandbox.ts';

export interface ChrootPlan {
  readonly rootfs: string;
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly user: SandboxUser;
  readonly hostname: string;
  readonly limits: readonly Ulimit[];
  /** Empty where nothing may be mounted. Destinations are free of symlinks. */
  readonly mounts: readonly RuntimeMount[];
  /** Whether the process has mount, UTS and IPC namespaces of its own. */
  readonly isolated: boolean;
  /** Whether it is the first process of a PID namespace and needs a /proc of its own. */
  readonly ownPids: boolean;
  /** A network namespace without any connection, whose loopback is still down. */
  readonly loopback: boolean;
  /** Descriptors 0 to 2 are a terminal. */
  readonly terminal: boolean;
  /** The root filesystem is read-only, mounts are not. */
  readonly readonlyRoot: boolean;
}

/** Descriptor on which the init process reports; it closes when the command starts. */
export const REPORT_FD = 3;

/** What failed before the command could start. */
export interface ChrootReport {
  readonly stage: 'mount' | 'limit' | 'user' | 'cwd' | 'command' | 'setup';
  /** Such as ENOENT. */
  readonly code: string;
  readonly message: string;
}
