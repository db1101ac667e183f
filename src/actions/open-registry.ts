/** The registries of this machine and user, and connections to them. Nothing is read before the first use. */
import { homedir } from 'node:os';
import { type Connections, connectionsOf } from '../registry/connections.ts';
import type { HelperRunner } from '../registry/credentials.ts';
import { createRegistry, type Registry } from '../registry/registry.ts';
import { runCommand } from '../system/process.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Credential helpers run with the user's environment and half a minute at most. */
export function helperRunner(env: Environment): HelperRunner {
  return (program, args, input) => runCommand(program, args, { env: { ...env }, input, timeout: 30_000 });
}

export function openRegistry(env: Environment): {
  readonly registry: Registry;
  readonly connections: Connections;
  /** For caches, which a build can do without: a host that goes silent is given up soon. */
  readonly cacheConnections: () => Connections;
} {
  const registry = createRegistry({
    env,
    home: env['HOME'] ?? homedir(),
    userAgent: 'kiln',
    runHelper: helperRunner(env),
  });
  return {
    registry,
    connections: connectionsOf(registry),
    cacheConnections: () => connectionsOf(registry.impatient()),
  };
}
