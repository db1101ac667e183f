import * as Flags from '@oclif/core/flags';
import { renderTable } from '../format/table.ts';
import { formatSize } from '../format/units.ts';
import type { StoreUsage } from '../store/store-usage.ts';
import { KilnCommand } from './kiln-command.ts';

export default class Df extends KilnCommand {
  static override description =
    'Show what the local store holds, how large it is, and what prune could free.';

  static override flags = {
    verbose: Flags.boolean({ char: 'v', description: 'list every item' }),
    format: Flags.string({ description: 'json: one JSON object a kind and line', options: ['json'] }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Df);
    const { signal, killSignal } = this.interruption();
    const [{ Store }, { storeUsage }] = await Promise.all([
      import('../store/store.ts'),
      import('../store/store-usage.ts'),
    ]);
    const root = this.storeRoot(flags.root);
    let found: StoreUsage = storeUsage(Store.open(root));
    if (!found.complete) {
      const { enterNamespace } = await import('../executor/namespace.ts');
      const env = { ...process.env };
      found = await enterNamespace<StoreUsage>({
        payload: { task: 'measure', root },
        env,
        signal,
        killSignal,
      });
    }
    const rows = found.usage.map(({ type, items }) => ({
      Type: type,
      TotalCount: items.length,
      Active: items.filter(({ active }) => active).length,
      Size: items.reduce((sum, { size }) => sum + size, 0),
      Reclaimable: items.reduce((sum, { size, active }) => sum + (active ? 0 : size), 0),
      ...(flags.verbose
        ? { Items: items.map(({ name, size, active }) => ({ Name: name, Size: size, Active: active })) }
        : {}),
    }));
    if (flags.format === 'json') {
      process.stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
      return;
    }
    const table = rows.map((row) => [
      row.Type,
      `${row.TotalCount}`,
      `${row.Active}`,
      formatSize(row.Size),
      share(row),
    ]);
    process.stdout.write(renderTable([['TYPE', 'TOTAL', 'ACTIVE', 'SIZE', 'RECLAIMABLE'], ...table]));
    if (!flags.verbose) return;
    for (const { type, items } of found.usage) {
      const lines = items.map(({ name, size, active }) => [name, formatSize(size), active ? 'yes' : 'no']);
      process.stdout.write(`\n${type}:\n${renderTable([['NAME', 'SIZE', 'ACTIVE'], ...lines])}`);
    }
  }
}

function share({
  Size: size,
  Reclaimable: free,
}: {
  readonly Size: number;
  readonly Reclaimable: number;
}): string {
  return size === 0 ? '0B' : `${formatSize(free)} (${Math.floor((100 * free) / size)}%)`;
}
