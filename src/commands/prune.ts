import * as Flags from '@oclif/core/flags';
import { formatSize } from '../format/units.ts';
import type { GarbageReport } from '../store/collect-garbage.ts';
import { parseSize, usage } from './flag-values.ts';
import { KilnCommand } from './kiln-command.ts';

export default class Prune extends KilnCommand {
  static override description =
    'Remove from the local store what no image, no container and no cache record needs.';

  static override flags = {
    all: Flags.boolean({ char: 'a', description: 'remove the build cache as well, and unpacked layers' }),
    containers: Flags.boolean({
      description: 'remove stopped containers as well, with what they have written',
    }),
    force: Flags.boolean({ char: 'f', description: 'accepted for habit; nothing is asked', hidden: true }),
    filter: Flags.string({
      description:
        'until=24h: remove cache records that were not used for so long, containers that ended before',
      multiple: true,
      multipleNonGreedy: true,
    }),
    'keep-storage': Flags.string({
      description: 'bytes of cache to keep, such as 5GB; what was used last stays',
      helpValue: 'SIZE',
    }),
    'dry-run': Flags.boolean({ description: 'say what would be removed' }),
    format: Flags.string({ description: 'json: one JSON object', options: ['json'] }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Prune);
    const { signal, killSignal } = this.interruption();
    const [{ Store }, { enterNamespace }] = await Promise.all([
      import('../store/store.ts'),
      import('../executor/namespace.ts'),
    ]);
    const root = this.storeRoot(flags.root);
    const ages = (flags.filter ?? []).map(parseUntil);
    const keep = flags['keep-storage'];
    const options = {
      all: flags.all,
      maxAge: ages.length === 0 ? undefined : Math.max(...ages),
      keepStorage: keep === undefined ? undefined : parseSize('--keep-storage', keep),
      containers: flags.containers,
      dryRun: flags['dry-run'],
      now: Date.now(),
    };
    Store.open(root);
    const report = await enterNamespace<GarbageReport>({
      payload: { task: 'prune', root, options },
      env: { ...process.env },
      signal,
      killSignal,
    });
    if (flags.format === 'json') {
      process.stdout.write(`${JSON.stringify({ ...report, dryRun: options.dryRun })}\n`);
      return;
    }
    const lines = report.removed.map(({ kind, name, size }) => `${kind} ${name} (${formatSize(size)})\n`);
    if (lines.length > 0)
      process.stdout.write(`${options.dryRun ? 'Would remove' : 'Removed'}:\n${lines.join('')}\n`);
    process.stdout.write(`Total reclaimed space: ${formatSize(report.reclaimed)}\n`);
    if (report.busy) process.stderr.write('Other builds are running: what they made or used was kept.\n');
  }
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** until=1h30m as milliseconds. Throws USAGE_FILTER. */
function parseUntil(text: string): number {
  const span = /^until=((?:\d+(?:\.\d+)?[smhd])+)$/.exec(text)?.[1];
  if (span === undefined) {
    throw usage(
      'USAGE_FILTER',
      `--filter ${text}: is no filter of prune`,
      'Write until=24h, or another time in s, m, h or d.',
    );
  }
  let total = 0;
  for (const [, count, unit = 's'] of span.matchAll(/([\d.]+)([smhd])/g))
    total += Number(count) * (UNITS[unit] ?? 0);
  return total;
}
