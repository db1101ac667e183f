import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import { KilnCommand } from './kiln-command.ts';
import { formatFlag } from './shared-flags.ts';

export default class History extends KilnCommand {
  static override description = 'Show how an image was made, the last instruction first.';

  static override args = {
    image: Args.string({ description: 'name or ID of an image in the local store', required: true }),
  };

  static override flags = {
    quiet: Flags.boolean({ char: 'q', description: 'print image IDs only' }),
    'no-trunc': Flags.boolean({ description: 'do not shorten IDs and instructions' }),
    human: Flags.boolean({
      char: 'H',
      description: 'sizes with units and ages; --no-human for bytes and times',
      default: true,
      allowNo: true,
    }),
    format: formatFlag(),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(History);
    const [{ Store }, { findImage }, { HISTORY_LISTING, historyRows }, { renderListing }] = await Promise.all(
      [
        import('../store/store.ts'),
        import('../actions/stored-image.ts'),
        import('../actions/image-rows.ts'),
        import('../format/listing.ts'),
      ],
    );
    const image = findImage(Store.open(this.storeRoot(flags.root)), args.image);
    const noTrunc = flags['no-trunc'];
    const rows = historyRows(image, { noTrunc, human: flags.human, now: Date.now() });
    if (flags.quiet) {
      process.stdout.write(rows.map((row) => `${row['ID']}\n`).join(''));
      return;
    }
    const width = noTrunc ? undefined : this.outputWidth();
    process.stdout.write(renderListing(rows, HISTORY_LISTING, { format: flags.format, width }));
  }
}
