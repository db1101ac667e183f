import * as Flags from '@oclif/core/flags';
import { parseDuration } from '../dockerfile/duration.ts';
import { messageOf } from '../errors.ts';
import { formatSize } from '../format/units.ts';
import { parseSize, usage } from './flag-values.ts';
import { KilnCommand } from './kiln-command.ts';
import { repeatable } from './shared-flags.ts';

export default class Prune extends KilnCommand {
  static override description =
    'Remove from the local store what no image, no container and no cache record needs.';

  static override flags = {
    all: Flags.boolean({
      char: 'a',
      description: 'remove the build cache as well: records, unpacked layers, cache mounts',
    }),
    containers: Flags.boolean({
      description: 'remove stopped containers as well, with what they have written',
    }),
    force: Flags.boolean({ char: 'f', description: 'accepted for habit; nothing is asked', hidden: true }),
    filter: Flags.string({
      description:
        'until=24h: remove records and cache mounts that were not used for so long, containers that ended before',
      ...repeatable,
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
    const { pruneStore } = await import('../actions/prune-store.ts');
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
    const report = await pruneStore(root, options, { env: process.env, signal, killSignal });
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

/** until=1h30m as milliseconds. Throws USAGE_FILTER. */
function parseUntil(text: string): number {
  try {
    if (!text.startsWith('until=')) throw new Error('there is only until=');
    // Days are no unit of Go's, but of everybody else's.
    const hours = text.slice(6).replaceAll(/([\d.]+)d/g, (_, days) => `${Number(days) * 24}h`);
    return parseDuration(hours) / 1e6;
  } catch (error) {
    throw usage(
      'USAGE_FILTER',
      `--filter ${text}: is no filter of prune: ${messageOf(error)}`,
      'Write until=24h, or another time in s, m, h or d.',
    );
  }
}
