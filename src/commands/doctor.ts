import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import * as Flags from '@oclif/core/flags';
import type { Check } from '../executor/probe.ts';
import { renderTable } from '../format/table.ts';
import { formatSize } from '../format/units.ts';
import type { StoreCheck, StoreProblem } from '../store/check-store.ts';
import { KilnCommand } from './kiln-command.ts';

export default class Doctor extends KilnCommand {
  static override description = 'Check what this machine allows, and say how to mend what it does not.';

  static override flags = {
    store: Flags.boolean({
      description: 'check every file of the local store instead, and mend it: what is broken is removed',
    }),
    'dry-run': Flags.boolean({ description: 'with --store: only say what is broken', dependsOn: ['store'] }),
    format: Flags.string({ description: 'json: one JSON array', options: ['json'] }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Doctor);
    const { signal, killSignal } = this.interruption();
    if (flags.store) return this.#checkStore(flags, signal);
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

  async #checkStore(
    flags: { root: string | undefined; format: string | undefined; 'dry-run'?: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    const [{ Store }, { checkStore }, { keyOf }, { DigestMemory }] = await Promise.all([
      import('../store/store.ts'),
      import('../store/check-store.ts'),
      import('../plan/cache-key.ts'),
      import('../context/digest-memory.ts'),
    ]);
    const dryRun = flags['dry-run'] === true;
    const store = Store.open(this.storeRoot(flags.root));
    const { isIntact: isDigestMemory } = DigestMemory;
    const options = { dryRun, now: new Date(), signal, keyOf, isDigestMemory };
    const check = await checkStore(store, options);
    if (flags.format === 'json') process.stdout.write(`${JSON.stringify(check)}\n`);
    else process.stdout.write(storeReport(check, dryRun));
    if (check.problems.some(({ lost }) => lost)) process.exitCode = 1;
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

/** What was checked, what was wrong and what became of it, and what is lost. */
function storeReport({ checked, problems }: StoreCheck, dryRun: boolean): string {
  const { images, blobs, bytes, records, tocs, variants, snapshots, containers } = checked;
  const counts = `${images} images, ${blobs} blobs (${formatSize(bytes)}), ${records} cache records, ${tocs + variants} layer files, ${snapshots} snapshot names, ${containers} containers`;
  const lines = [`checked ${counts}`];
  for (const { kind, name, why, lost } of problems) {
    const did = lost && kind === 'container' ? 'found' : dryRun ? 'would mend' : 'mended';
    lines.push(`${did} ${NOUNS[kind]} ${name}: ${why}`);
  }
  const lost = problems.filter((problem) => problem.lost);
  if (problems.length === 0) lines.push('the store is whole');
  else if (lost.length === 0) lines.push('nothing is lost: all of it is made again when it is needed');
  for (const { kind, name } of lost) {
    lines.push(`lost: ${NOUNS[kind]} ${name}; ${REMEDIES[kind] ?? 'the next build makes it again'}`);
  }
  return `${lines.join('\n')}\n`;
}

const NOUNS: Readonly<Record<StoreProblem['kind'], string>> = {
  index: 'index',
  image: 'image',
  blob: 'blob',
  toc: 'table of contents',
  variant: 'compressed form',
  snapshot: 'snapshot name',
  record: 'cache record',
  download: 'download',
  files: 'list of files',
  container: 'container',
  memory: 'memory',
};

const REMEDIES: Partial<Record<StoreProblem['kind'], string>> = {
  index: 'kiln images shows what is left; kiln tag names it again',
  image: 'build or pull it again',
  container: 'kiln rm removes one that is still in kiln ps -a',
};
