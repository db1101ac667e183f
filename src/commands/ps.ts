import * as Flags from '@oclif/core/flags';
import { KilnCommand } from './kiln-command.ts';
import { formatFlag, repeatable } from './shared-flags.ts';

export default class Ps extends KilnCommand {
  static override description = 'List containers; those that run, or all.';

  static override flags = {
    all: Flags.boolean({ char: 'a', description: 'those that have ended as well' }),
    latest: Flags.boolean({ char: 'l', description: 'only the newest, running or not' }),
    last: Flags.integer({ char: 'n', description: 'only so many of the newest, running or not', min: 0 }),
    quiet: Flags.boolean({ char: 'q', description: 'print container IDs only' }),
    'no-trunc': Flags.boolean({ description: 'do not shorten IDs and commands' }),
    filter: Flags.string({
      char: 'f',
      description:
        'id=, name=, status=created|running|exited, exited=CODE, ancestor=IMAGE, label=KEY[=VALUE], before=, since=CONTAINER',
      ...repeatable,
    }),
    format: formatFlag(),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Ps);
    const [{ Store }, { CONTAINER_LISTING, containerFilter, containerRow }, { renderListing }] =
      await Promise.all([
        import('../store/store.ts'),
        import('../actions/container-rows.ts'),
        import('../format/listing.ts'),
      ]);
    const { containers } = Store.open(this.storeRoot(flags.root));
    const filters = flags.filter ?? [];
    const passes = containerFilter(filters, (text) => containers.find(text));
    const last = flags.latest ? 1 : flags.last;
    // As docker has it: who asks for a state means to see those in it.
    const ended = flags.all || last !== undefined || filters.some((text) => /^(?:status|exited)=/.test(text));
    const shown = containers.list().filter((container) => {
      return (ended || container.status === 'running') && passes(container);
    });
    const now = Date.now();
    const noTrunc = flags['no-trunc'];
    const rows = shown.slice(0, last).map((container) => containerRow(container, { noTrunc, now }));
    if (flags.quiet) {
      process.stdout.write(rows.map((row) => `${row['ID']}\n`).join(''));
      return;
    }
    const width = noTrunc ? undefined : this.outputWidth();
    process.stdout.write(renderListing(rows, CONTAINER_LISTING, { format: flags.format, width }));
  }
}
