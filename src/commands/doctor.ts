import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import * as Flags from '@oclif/core/flags';
import type { Check } from '../executor/probe.ts';
import { renderTable } from '../format/table.ts';
import { KilnCommand } from './kiln-command.ts';

export default class Doctor extends KilnCommand {
  static override description = 'Check what this machine allows, and say how to mend what it does not.';

  static override flags = {
    format: Flags.string({ description: 'json: one JSON array', options: ['json'] }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Doctor);
    const { signal, killSignal } = this.interruption();
    const [{ probeHost, namespaceCheck }, { enterNamespace }] = await Promise.all([
      import('../executor/probe.ts'),
      import('../executor/namespace.ts'),
    ]);
    const root = this.storeRoot(flags.root);
    const env = { ...process.env };
    const checks: Check[] = probeHost({ env, store: nearestExisting(root) });
    try {
      checks.push(
        ...(await enterNamespace<Check[]>({
          payload: { task: 'probe', root, env },
          env,
          signal,
          killSignal,
        })),
      );
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      checks.push(namespaceCheck(error));
    }
    if (flags.format === 'json') process.stdout.write(`${JSON.stringify(checks, undefined, 2)}\n`);
    else process.stdout.write(report(checks));
    if (checks.some(({ status }) => status === 'fail')) process.exitCode = 1;
  }
}

function nearestExisting(path: string): string {
  let candidate = path;
  while (!existsSync(candidate) && dirname(candidate) !== candidate) candidate = dirname(candidate);
  return candidate;
}

function report(checks: readonly Check[]): string {
  const table = renderTable(
    checks.map(({ id, status, found }) => [status === 'ok' ? 'ok' : status.toUpperCase(), id, found]),
  );
  const remedies = checks.flatMap(({ id, status, remedy }) =>
    status === 'ok' || remedy === undefined ? [] : [`${id}: ${remedy}\n`],
  );
  return remedies.length === 0 ? table : `${table}\n${remedies.join('')}`;
}
