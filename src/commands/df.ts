import * as Flags from '@oclif/core/flags';
import type { StoreUsage } from '../store/store-usage.ts';
import { KilnCommand } from './kiln-command.ts';
import { formatFlag } from './shared-flags.ts';

export default class Df extends KilnCommand {
  static override description =
    'Show what the local store holds, how large it is, and what prune --all could free.';

  static override flags = {
    verbose: Flags.boolean({ char: 'v', description: 'list every item' }),
    format: formatFlag(),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Df);
    const { signal, killSignal } = this.interruption();
    const [{ Store }, { storeUsage }, { renderListing }, { USAGE_LISTING, itemListing, itemRow, usageRow }] =
      await Promise.all([
        import('../store/store.ts'),
        import('../store/store-usage.ts'),
        import('../format/listing.ts'),
        import('../actions/usage-rows.ts'),
      ]);
    const root = this.storeRoot(flags.root);
    let found: StoreUsage = storeUsage(Store.open(root));
    if (!found.complete) {
      const { enterNamespace } = await import('../executor/namespace.ts');
      const payload = { task: 'measure', root };
      found = await enterNamespace<StoreUsage>({ payload, env: { ...process.env }, signal, killSignal });
    }
    const now = Date.now();
    const { format } = flags;
    const width = this.outputWidth();
    const list = found.usage.map((usage) => {
      const items = usage.items.map((item) => itemRow(usage, item, now));
      return { ...usageRow(usage), ...(flags.verbose ? { Items: items } : {}) };
    });
    process.stdout.write(renderListing(list, USAGE_LISTING, { format, width }));
    if (!flags.verbose || format !== undefined) return;
    for (const usage of found.usage) {
      const items = usage.items.map((item) => itemRow(usage, item, now));
      const table = renderListing(items, itemListing(usage), { format, width });
      process.stdout.write(`\n${usage.type}:\n${table}`);
    }
  }
}
