/** What the user set for all RUN steps of a build: hosts, limits, secrets. */
import type { Ulimit } from '../executor/sandbox.ts';

/** As in docker. */
export const DEFAULT_SHM_SIZE = 64 << 20;

export interface RunSettings {
  readonly hostname: string;
  readonly extraHosts: readonly { readonly name: string; readonly address: string }[];
  /** Bytes of /dev/shm; DEFAULT_SHM_SIZE unless the user says otherwise. */
  readonly shmSize: number;
  readonly ulimits: readonly Ulimit[];
  /** Secrets by id, their bytes in base64. */
  readonly secrets: ReadonlyMap<string, { readonly value: string }>;
  /** ssh agents by id: path of the agent's socket. */
  readonly ssh: ReadonlyMap<string, string>;
}
